import { createHash } from 'node:crypto';
import path from 'node:path';
import { writeFileDurably } from '../base/durable-file';
import { exists } from '../base/exists';
import { deriveSeed } from '../base/random';
import { type EncodeRequest, encode, residualAfter } from '../federation/encodings/encode';
import type { Encoding } from '../federation/encodings/encoding';
import { TensorFileBytes } from '../federation/encodings/tensor-bytes';
import type { OutboundUpdate } from './outbound-update';
import { ENCODED_FILE, RESIDUAL_FILE } from './task-files';

export interface EncodeUpdateRequest {
  /** The checked update. */
  readonly update: string;
  /** The model that it was trained from, as the trainer had it. */
  readonly global: string;
  /** What earlier rounds have not sent, if there is anything. */
  readonly residual: string;
  /** Where {@link ENCODED_FILE} and, with top-k, {@link RESIDUAL_FILE} are put. */
  readonly folder: string;
  readonly encoding: Encoding;
  readonly isKept: (name: string) => boolean;
  /** Of the task. */
  readonly seed: number;
  readonly signal: AbortSignal;
}

/**
 * Encodes an update for the wire. What top-k leaves to later rounds is written beside it, and becomes the site's residual when
 * the coordinator holds the update: until then the task can be done again from the same residual to the same bytes.
 *
 * @throws ClaraError `invalid-input` naming every tensor that the encoding cannot hold
 */
export async function encodeUpdate(request: EncodeUpdateRequest): Promise<OutboundUpdate> {
  const { encoding, folder, isKept, signal } = request;
  await using source = await TensorFileBytes.open(request.update);
  await using base = await TensorFileBytes.open(request.global);
  const residual =
    encoding.encoding === 'top-k' && (await exists(request.residual))
      ? await TensorFileBytes.open(request.residual)
      : undefined;
  try {
    const what = 'the update that the trainer wrote';
    const seed = deriveSeed(request.seed, 'wire');
    const whole: EncodeRequest = { encoding, source, base, residual, isKept, seed, what, signal };
    if (encoding.encoding === 'top-k') {
      await writeFileDurably(path.join(folder, RESIDUAL_FILE), residualAfter({ ...whole, encoding }), { signal });
    }
    return await writeDigested(path.join(folder, ENCODED_FILE), encode(whole), signal);
  } finally {
    await residual?.[Symbol.asyncDispose]();
  }
}

async function writeDigested(
  file: string,
  pieces: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<OutboundUpdate> {
  const hash = createHash('sha256');
  let size = 0;
  async function* digested(): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      hash.update(piece);
      size += piece.length;
      yield piece;
    }
  }
  await writeFileDurably(file, digested(), { signal });
  return { file, size, sha256: hash.digest() };
}
