import { createHash } from 'node:crypto';
import { ClaraError } from '../../base/errors';
import type { ObjectStore } from '../storage/object-store';

export interface Copy {
  readonly from: string;
  readonly target: string;
  /** `sha256:<hex>` that the bytes must have. */
  readonly digest?: string;
}

/** Copies an object within the store, digesting it on the way. @throws ClaraError `corrupt` when the digest is another */
export async function copyObject(
  store: ObjectStore,
  { from, target, digest: expected }: Copy,
  signal?: AbortSignal,
): Promise<{ readonly digest: string; readonly bytes: number }> {
  const hash = createHash('sha256');
  const { size, bytes } = await store.get(from, { signal });
  async function* digested(): AsyncGenerator<Uint8Array> {
    for await (const piece of bytes) {
      hash.update(piece);
      yield piece;
    }
    const found = `sha256:${hash.copy().digest('hex')}`;
    if (expected === undefined || found === expected) return;
    throw new ClaraError('corrupt', `${from} has digest ${found}, it was known by ${expected}; bring that model again`);
  }
  await store.put(target, digested());
  return { digest: `sha256:${hash.digest('hex')}`, bytes: size };
}
