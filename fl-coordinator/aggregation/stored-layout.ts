import { headerLength, LENGTH_PREFIX_BYTES, parseHeader } from '../../federation/tensors/header';
import type { TensorLayout } from '../../federation/tensors/layout';
import type { ObjectStore, RangeReader } from '../storage/object-store';

/** The header of a safetensors object in a store. @throws ClaraError `not-found`, `corrupt` */
export async function readStoredLayout(store: ObjectStore, key: string): Promise<TensorLayout> {
  const reader = await store.openForRanges(key);
  try {
    return await layoutOf(reader, key);
  } finally {
    await reader.close();
  }
}

/** As {@link readStoredLayout}, of an object that is open. */
export async function layoutOf(reader: RangeReader, key: string): Promise<TensorLayout> {
  const options = { fileBytes: reader.size, name: key };
  const prefix = new Uint8Array(Math.min(LENGTH_PREFIX_BYTES, reader.size));
  await reader.read(0, prefix);
  const header = new Uint8Array(headerLength(prefix, options));
  await reader.read(0, header);
  return parseHeader(header, options);
}
