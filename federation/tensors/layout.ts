import { type Dtype, ELEMENT_BYTES } from './dtype';

/** What a tensor is called and looks like, without where its bytes lie. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: Dtype;
  /** Sizes per axis, slowest first (row-major); `[]` is a scalar, an axis of 0 makes the tensor empty. */
  readonly shape: readonly number[];
}

export interface TensorInfo extends TensorSpec {
  /** First byte in the data section. */
  readonly begin: number;
  /** One past the last byte in the data section; `end - begin` = elements x element size. */
  readonly end: number;
}

/** Everything a safetensors file says before its data. */
export interface TensorLayout {
  /** In data order: each begins where the one before ends, the first at 0, the last ends at `dataBytes`. */
  readonly tensors: readonly TensorInfo[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Length prefix and JSON exactly as in the file; the data section starts at `headerBytes.length`. */
  readonly headerBytes: Uint8Array;
  readonly dataBytes: number;
  /** `headerBytes.length + dataBytes`. */
  readonly fileBytes: number;
}

/** Bytes of a tensor's data, or undefined when they cannot be counted exactly (2^53 and above). */
export function byteSizeOf(spec: Pick<TensorSpec, 'dtype' | 'shape'>): number | undefined {
  let bytes = ELEMENT_BYTES[spec.dtype];
  for (const size of spec.shape) {
    bytes *= size;
    if (!Number.isSafeInteger(bytes)) return undefined;
  }
  return bytes;
}
