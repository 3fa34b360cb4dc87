import { ClaraError, type Fault } from '../../base/errors';
import { ELEMENT_BYTES } from '../tensors/dtype';
import type { TensorInfo, TensorLayout } from '../tensors/layout';
import { compareLayouts } from '../tensors/layout-check';
import { BlockReader, blocksOf, type FloatTensor } from './blocks';
import { alignedBytes, BLOCK_ELEMENTS, narrow } from './elements';
import { encodedHeader } from './encoded-layout';
import type { Encoding } from './encoding';
import { partDecoder } from './part-decoders';
import { bytesBetween, type TensorBytes } from './tensor-bytes';

export interface DecodeRequest {
  /** That of the plan; the file must say the same. */
  readonly encoding: Encoding;
  readonly encoded: TensorBytes;
  /** Layout of the model that the file encodes, or that it is an update of. */
  readonly model: TensorLayout;
  /** What a delta is added to: the same bytes that it was made from. */
  readonly base?: TensorBytes | undefined;
  readonly isKept: (name: string) => boolean;
  /** The sentence's subject, for example `the update of st-marys for round 3`. */
  readonly what: string;
  readonly signal: AbortSignal;
}

/**
 * The file that was encoded, under the header of its model, in pieces that are valid until the next one. Deltas are added in
 * float64 and rounded once, to the type of the tensor. Memory is a few blocks, whatever the model.
 *
 * @throws ClaraError `invalid-input`: before the first piece when the file is not what the encoding makes of this model; after
 *   the last one, naming every tensor with numbers that are not finite, or indices that are no places of their block
 */
export async function* decode(request: DecodeRequest): AsyncGenerator<Uint8Array> {
  const { encoding, encoded, model, base, isKept, what, signal } = request;
  const { tensors, layout } = encodedHeader(model, encoding, isKept);
  checkHeader(layout, encoded.layout, what);
  if (encoding.delta && !base) throw new ClaraError('internal', 'a delta needs the model that it is the difference to');
  const baseReader = encoding.delta ? new BlockReader(base!) : undefined;
  const places = new Map(encoded.layout.tensors.map((tensor) => [tensor.name, tensor]));
  yield model.headerBytes;
  const values = new Float64Array(BLOCK_ELEMENTS);
  const starts = new Float64Array(BLOCK_ELEMENTS);
  const out = alignedBytes(BLOCK_ELEMENTS * 8);
  const faults: Fault[] = [];
  for (const entry of tensors) {
    const parts = entry.parts.map(({ name }) => places.get(name)!);
    if (entry.treatment === 'keep') {
      yield* bytesBetween(encoded, parts[0]!.begin, parts[0]!.end, signal);
      continue;
    }
    const { name, dtype } = entry.tensor;
    const decoder = partDecoder(encoding, encoded, parts);
    let fault: Fault | undefined;
    for (const block of blocksOf(entry)) {
      signal.throwIfAborted();
      const numbers = values.subarray(0, block.elements);
      fault ??= await decoder(block, numbers);
      const start = await baseReader?.read(name, block, starts);
      if (start) for (let i = 0; i < numbers.length; i++) numbers[i]! += start[i]!;
      const bytes = out.subarray(0, block.elements * ELEMENT_BYTES[dtype]);
      const misfit = narrow(dtype, numbers, bytes);
      if (misfit >= 0) fault ??= notFinite(entry, parts, block.first + misfit);
      yield bytes;
    }
    if (fault) faults.push(fault);
  }
  if (faults.length > 0) throw ClaraError.ofFaults(what, faults);
}

function notFinite({ tensor }: FloatTensor, parts: readonly TensorInfo[], element: number): Fault {
  const names = parts.map(({ name }) => name).join(' and ');
  return {
    path: tensor.name,
    rule: `element ${element}, read from ${names}, is not finite in ${tensor.dtype}; every number must be finite`,
  };
}

/** Names, types, shapes and order follow from encoding and model, and so do the metadata: the header is known to the byte. */
function checkHeader(expected: TensorLayout, actual: TensorLayout, what: string): void {
  if (Buffer.from(expected.headerBytes).equals(actual.headerBytes)) return;
  const faults = compareLayouts(expected, actual);
  if (faults.length > 0) throw ClaraError.ofFaults(what, faults);
  const rule = "is not the one that the plan's encoding gives the model; both ends must run the same release";
  throw ClaraError.ofFaults(what, [{ path: 'header', rule }]);
}
