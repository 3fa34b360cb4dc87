import { headerLength, parseHeader } from '../../federation/tensors/header';
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
  const start = new Uint8Array(Math.min(FIRST_READ_BYTES, reader.size));
  await reader.read(0, start);
  const length = headerLength(start, options);
  if (length <= start.length) return parseHeader(start, options);
  const header = new Uint8Array(length);
  header.set(start);
  await reader.read(start.length, header.subarray(start.length));
  return parseHeader(header, options);
}

/** Most headers end within a page: then one read is enough. */
const FIRST_READ_BYTES = 4096;
