import { readHeader } from '../../federation/tensors/header';
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
export function layoutOf(reader: RangeReader, key: string): Promise<TensorLayout> {
  return readHeader((offset, target) => reader.read(offset, target), { fileBytes: reader.size, name: key });
}
