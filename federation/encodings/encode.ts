import { ClaraError, type Fault } from '../../base/errors';
import { blocksOf } from './blocks';
import { Changes } from './changes';
import { BLOCK_ELEMENTS } from './elements';
import { encodedHeader } from './encoded-layout';
import type { Encoding } from './encoding';
import { partEncoder } from './part-encoders';
import { residualLayout } from './residual';
import { bytesBetween, type TensorBytes } from './tensor-bytes';
import { keptOfBlock, largestIndices } from './top-k';

export interface EncodeRequest {
  readonly encoding: Encoding;
  /** The model or update to encode. An update has the header of its model. */
  readonly source: TensorBytes;
  /** What `delta` is the difference to: the model that the site trained from, as it had it. */
  readonly base?: TensorBytes | undefined;
  /** With top-k: what earlier rounds have not sent, see {@link residualAfter}. None in the first round. */
  readonly residual?: TensorBytes | undefined;
  /** Tensors that the plan excludes travel as they are. */
  readonly isKept: (name: string) => boolean;
  /** Of stochastic rounding: the same seed and numbers give the same bytes. */
  readonly seed: number;
  /** The sentence's subject, for example `the update that the trainer wrote`. */
  readonly what: string;
  readonly signal: AbortSignal;
}

/**
 * The encoded file, header first, in pieces that are valid until the next one. Memory is a few blocks, whatever the model;
 * tensors with two parts are read once for each.
 *
 * @throws ClaraError `invalid-input`, after the last piece, naming every tensor with a number that the encoding cannot hold
 */
export async function* encode(request: EncodeRequest): AsyncGenerator<Uint8Array> {
  const { source, encoding, isKept, what, signal } = request;
  const { tensors, layout } = encodedHeader(source.layout, encoding, isKept);
  yield layout.headerBytes;
  const changes = new Changes(request);
  const faults: Fault[] = [];
  for (const entry of tensors) {
    if (entry.treatment === 'keep') {
      yield* bytesBetween(source, entry.tensor.begin, entry.tensor.end, signal);
      continue;
    }
    for (const [index, part] of entry.parts.entries()) {
      const encoder = partEncoder(part, index, request);
      let tooLarge: number | undefined;
      for (const block of blocksOf(entry)) {
        signal.throwIfAborted();
        const { bytes, misfit } = encoder(await changes.read(entry, block));
        tooLarge ??= misfit === undefined ? undefined : block.first + misfit;
        yield bytes;
      }
      // The second part would say the same again.
      if (tooLarge !== undefined && faults.at(-1)?.path !== entry.tensor.name) {
        faults.push({ path: entry.tensor.name, rule: `element ${tooLarge} ${WAYS_OUT[encoding.encoding]}` });
      }
    }
  }
  if (faults.length > 0) throw ClaraError.ofFaults(what, faults);
}

/**
 * The residual after an update was encoded by top-k: a safetensors file of one float32 tensor for each that is encoded,
 * holding what did not travel. Given the same request it belongs to the file that {@link encode} makes.
 */
export async function* residualAfter(
  request: EncodeRequest & { readonly encoding: Extract<Encoding, { encoding: 'top-k' }> },
): AsyncGenerator<Uint8Array> {
  const { source, encoding, isKept, signal } = request;
  const { tensors } = encodedHeader(source.layout, encoding, isKept);
  yield residualLayout(tensors).headerBytes;
  const changes = new Changes(request);
  const rest = new Float32Array(BLOCK_ELEMENTS);
  const indices = new Uint16Array(BLOCK_ELEMENTS);
  for (const tensor of tensors) {
    if (tensor.treatment === 'keep') continue;
    for (const block of blocksOf(tensor)) {
      signal.throwIfAborted();
      const values = rest.subarray(0, block.elements);
      values.set(await changes.read(tensor, block));
      const kept = indices.subarray(0, keptOfBlock(block.elements, encoding.fraction));
      largestIndices(values, kept.length, kept);
      for (const index of kept) values[index] = 0;
      yield new Uint8Array(values.buffer, 0, values.byteLength);
    }
  }
}

const WAYS_OUT: Readonly<Record<Encoding['encoding'], string>> = {
  float32: 'differs from the model by more than its type holds; send it without delta',
  float16: 'is beyond the 65504 of float16; choose bfloat16 or float32',
  bfloat16: 'is beyond the largest bfloat16; choose float32',
  int8: 'is beyond the largest float32, which scales are; choose float32',
  'top-k': 'is beyond the largest float32; choose float32',
};
