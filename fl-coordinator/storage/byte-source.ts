import type { ByteSource } from '../../base/durable-file';

/** Whatever may be written, as pieces. */
export async function* piecesOf(source: ByteSource): AsyncGenerator<Uint8Array> {
  if (typeof source === 'string') yield Buffer.from(source);
  else if (source instanceof Uint8Array) yield source;
  else yield* source;
}
