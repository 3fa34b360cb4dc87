import { ClaraError } from '../../base/errors';
import { type FloatDtype, isFloat } from '../tensors/dtype';
import { encodeHeader, headerLength, LENGTH_PREFIX_BYTES, parseHeader } from '../tensors/header';
import type { TensorInfo, TensorLayout, TensorSpec } from '../tensors/layout';
import { describeEncoding, type Encoding } from './encoding';
import { INT8_BLOCK } from './int8';
import { keptOf } from './top-k';

/** Which encoding a file has, as its metadata say; a file without it is not encoded. */
export const ENCODING_KEY = 'clara-fed.encoding';
/** The header of the model that an encoded file decodes to: its JSON text. */
export const MODEL_HEADER_KEY = 'clara-fed.model-header';

/** Float types have a part of their own; what is kept travels as it is. */
export type EncodedTensor =
  | { readonly treatment: 'keep'; readonly tensor: TensorInfo; readonly parts: readonly [TensorSpec] }
  | {
      readonly treatment: 'encode';
      readonly tensor: TensorInfo & { readonly dtype: FloatDtype };
      readonly elements: number;
      readonly parts: readonly TensorSpec[];
    };

/**
 * What stands for each tensor of a model in an encoded file, in the model's order:
 *
 *     float32    w in its own type
 *     float16    w as F16; a tensor of a 16-bit type keeps it
 *     bfloat16   w as BF16; a tensor of a 16-bit type keeps it
 *     int8       w as I8, and `w#scales` as F32, one a block
 *     top-k      w as a list of F32, and `w#indices` as U16: places inside their block
 *
 * @param isKept tensors that the plan excludes; they and those that hold no fractions travel as they are
 */
export function encodedTensors(
  model: TensorLayout,
  encoding: Encoding,
  isKept: (name: string) => boolean,
): EncodedTensor[] {
  return model.tensors.map((tensor): EncodedTensor => {
    const { name, dtype, shape } = tensor;
    if (!isFloat(dtype) || isKept(name)) return { treatment: 'keep', tensor, parts: [{ name, dtype, shape }] };
    const elements = shape.reduce((product, size) => product * size, 1);
    const parts = partsOf({ name, dtype, shape }, elements, encoding);
    return { treatment: 'encode', tensor: { ...tensor, dtype }, elements, parts };
  });
}

function partsOf(
  { name, dtype, shape }: TensorSpec & { readonly dtype: FloatDtype },
  elements: number,
  encoding: Encoding,
): TensorSpec[] {
  const short = dtype === 'F16' || dtype === 'BF16';
  switch (encoding.encoding) {
    case 'float32':
      return [{ name, dtype, shape }];
    case 'float16':
      return [{ name, dtype: short ? dtype : 'F16', shape }];
    case 'bfloat16':
      return [{ name, dtype: short ? dtype : 'BF16', shape }];
    case 'int8':
      return [
        { name, dtype: 'I8', shape },
        { name: `${name}#scales`, dtype: 'F32', shape: [Math.ceil(elements / INT8_BLOCK)] },
      ];
    case 'top-k': {
      const kept = [keptOf(elements, encoding.fraction)];
      return [
        { name, dtype: 'F32', shape: kept },
        { name: `${name}#indices`, dtype: 'U16', shape: kept },
      ];
    }
  }
}

/**
 * The header of the encoded file of a model or of an update of it.
 *
 * @throws ClaraError `invalid-input` when the name of a part is taken by another tensor of the model, or is too long
 */
export function encodedHeader(
  model: TensorLayout,
  encoding: Encoding,
  isKept: (name: string) => boolean,
): { readonly tensors: readonly EncodedTensor[]; readonly layout: TensorLayout } {
  const tensors = encodedTensors(model, encoding, isKept);
  const text = Buffer.from(model.headerBytes.buffer, model.headerBytes.byteOffset, model.headerBytes.length)
    .subarray(LENGTH_PREFIX_BYTES)
    .toString('utf8');
  const header = encodeHeader(
    tensors.flatMap(({ parts }) => parts),
    { [ENCODING_KEY]: describeEncoding(encoding), [MODEL_HEADER_KEY]: text },
  );
  return { tensors, layout: parseHeader(header, { name: 'header of an encoded file' }) };
}

/**
 * The layout of the model that an encoded file decodes to, from the file's own metadata.
 *
 * @throws ClaraError `corrupt` when the file does not say it
 */
export function modelLayoutOf(encoded: TensorLayout, what: string): TensorLayout {
  const text = encoded.metadata[MODEL_HEADER_KEY];
  if (text === undefined) throw new ClaraError('corrupt', `${what} does not say which model it encodes; send it again`);
  const json = Buffer.from(text, 'utf8');
  const bytes = Buffer.alloc(LENGTH_PREFIX_BYTES + json.length);
  bytes.writeBigUInt64LE(BigInt(json.length));
  json.copy(bytes, LENGTH_PREFIX_BYTES);
  const name = `the model header in ${what}`;
  return parseHeader(bytes.subarray(0, headerLength(bytes, { name })), { name });
}
