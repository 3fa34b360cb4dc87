import { decode } from '../../federation/encodings/decode';
import { encode } from '../../federation/encodings/encode';
import type { Encoding } from '../../federation/encodings/encoding';
import type { ObjectStore } from '../storage/object-store';
import { type MadeObject, putDigested, StoredBytes } from './stored-bytes';

export interface WireModelRequest {
  readonly store: ObjectStore;
  /** Key of the model as it was aggregated. */
  readonly model: string;
  /** Where the encoded form goes, and what it decodes to. */
  readonly encoded: string;
  readonly decoded: string;
  readonly encoding: Encoding;
  readonly isKept: (name: string) => boolean;
  readonly seed: number;
  readonly signal: AbortSignal;
}

/** What sites download in place of a model, and the model that they then have. */
export interface WireModel extends MadeObject {
  readonly decoded: MadeObject;
}

/**
 * Encodes a model, and decodes it again as each site will: that is the model which sites train from and judge, and which the
 * next round is relative to. A function of the model, so making both again after a crash gives the same bytes.
 *
 * @throws ClaraError `invalid-input` naming tensors that the encoding cannot hold
 */
export async function makeWireModel(request: WireModelRequest): Promise<WireModel> {
  const { store, encoding, isKept, signal } = request;
  await using source = await StoredBytes.open(store, request.model);
  const what = `the model ${request.model}`;
  const pieces = encode({ encoding, source, isKept, seed: request.seed, what, signal });
  const made = await putDigested(store, request.encoded, pieces, signal);
  await using encoded = await StoredBytes.open(store, request.encoded);
  const back = decode({ encoding, encoded, model: source.layout, isKept, what, signal });
  return { ...made, decoded: await putDigested(store, request.decoded, back, signal) };
}
