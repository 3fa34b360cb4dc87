import { decode } from '../../federation/encodings/decode';
import type { Encoding } from '../../federation/encodings/encoding';
import { type Patterns, updateLayout } from '../../federation/sent-tensors';
import type { ObjectStore } from '../storage/object-store';
import { type MadeObject, putDigested, StoredBytes } from './stored-bytes';

export interface DecodeUpdateRequest {
  readonly store: ObjectStore;
  /** Key of the update as it was sent. */
  readonly sent: string;
  readonly target: string;
  /** Key of the model that the site trained from, as the site had it. */
  readonly base: string;
  readonly encoding: Encoding;
  readonly isKept: (name: string) => boolean;
  /** Tensors of the model that updates do not have. */
  readonly leftOut: Patterns;
  /** The sentence's subject, for example `the update of st-marys for round 3`. */
  readonly what: string;
  readonly signal: AbortSignal;
}

/**
 * Reads a sent update back to those tensors of its model that updates have, and makes that durable. The same bytes whenever it is done.
 *
 * @throws ClaraError `invalid-input` naming every tensor that cannot be read back; then nothing is at the target
 */
export async function decodeUpdate(request: DecodeUpdateRequest): Promise<MadeObject> {
  const { store, encoding, isKept, leftOut, what, signal } = request;
  await using encoded = await StoredBytes.open(store, request.sent);
  await using base = await StoredBytes.open(store, request.base);
  const model = updateLayout(base.layout, leftOut);
  const pieces = decode({ encoding, encoded, model, base, isKept, what, signal });
  // Awaited here: the objects are closed when this function returns.
  return await putDigested(store, request.target, pieces, signal);
}
