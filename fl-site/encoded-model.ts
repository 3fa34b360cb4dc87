import { createHash } from 'node:crypto';
import { writeFileDurably } from '../base/durable-file';
import { ClaraError } from '../base/errors';
import { decode } from '../federation/encodings/decode';
import { modelLayoutOf } from '../federation/encodings/encoded-layout';
import type { Encoding } from '../federation/encodings/encoding';
import { TensorFileBytes } from '../federation/encodings/tensor-bytes';

export interface DecodeModelRequest {
  /** What was downloaded. */
  readonly encoded: string;
  readonly target: string;
  /** That of the approved plan. */
  readonly encoding: Encoding;
  readonly isKept: (name: string) => boolean;
  /** What the coordinator says that it decodes to. */
  readonly expected: { readonly size: number; readonly sha256: Uint8Array };
  readonly signal: AbortSignal;
}

/**
 * Reads a downloaded model back to its own types. The result is the coordinator's own to the byte, or it is refused: what a
 * delta is relative to must be the same at both ends.
 *
 * @throws ClaraError `invalid-input` for a file that is not encoded as the plan says; `corrupt` when the result is another than
 *   the coordinator's
 */
export async function decodeModel(request: DecodeModelRequest): Promise<void> {
  const { target, encoding, isKept, expected, signal } = request;
  await using encoded = await TensorFileBytes.open(request.encoded);
  const what = 'the encoded model';
  const model = modelLayoutOf(encoded.layout, what);
  // Before anything is written: as long as it says, and so within this site's limits.
  if (model.fileBytes !== expected.size) throw another();
  const hash = createHash('sha256');
  async function* digested(): AsyncGenerator<Uint8Array> {
    for await (const piece of decode({ encoding, encoded, model, isKept, what, signal })) {
      hash.update(piece);
      yield piece;
    }
    if (!hash.digest().equals(expected.sha256)) throw another();
  }
  await writeFileDurably(target, digested(), { signal });
}

function another(): ClaraError {
  return new ClaraError(
    'corrupt',
    'the encoded model decodes to another model here than at the coordinator; both must run the same release',
  );
}
