import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ClaraError, type Fault } from '../../base/errors';
import { type Dtype, ELEMENT_BYTES, float32OfBfloat16, float32OfHalf } from './dtype';
import type { TensorInfo, TensorLayout } from './layout';

/** A message stays readable when a whole model is NaN; the error's `faults` hold every tensor. */
const FINDINGS_IN_MESSAGE = 8;

/** The first number of a tensor that is not finite. */
export interface NonFinite {
  readonly tensor: string;
  /** Index in row-major order. */
  readonly element: number;
  readonly value: 'NaN' | 'Infinity' | '-Infinity';
}

/**
 * Finds NaN and infinity in the float tensors of a data section while its bytes stream past: nothing is kept but the first
 * finding of each tensor, and a chunk may begin and end in the middle of an element.
 */
export class FiniteScanner {
  readonly #tensors: readonly TensorInfo[];
  readonly #dataBytes: number;
  readonly #found: NonFinite[] = [];
  /** Bytes seen; also the offset that the next push must have. */
  #position = 0;
  /** Index of the tensor that owns the byte at `#position`, or an earlier one. */
  #current = 0;
  /** The first bytes of an element whose others are in the next chunk. */
  readonly #partial = new Uint8Array(8);

  constructor(layout: Pick<TensorLayout, 'tensors' | 'dataBytes'>) {
    this.#tensors = layout.tensors;
    this.#dataBytes = layout.dataBytes;
  }

  /** What was found so far, at most one a tensor, in data order. */
  get found(): readonly NonFinite[] {
    return this.#found;
  }

  /**
   * Looks at the next bytes of the data section.
   *
   * @param offset of the first byte in the data section; each push continues where the one before ended, from 0
   * @throws ClaraError `invalid-input` for a gap, a repetition or bytes beyond the data section
   */
  push(offset: number, bytes: Uint8Array): void {
    if (offset !== this.#position || offset + bytes.length > this.#dataBytes) {
      throw new ClaraError(
        'invalid-input',
        `${bytes.length} bytes at offset ${offset} do not continue a data section of ${this.#dataBytes} bytes at ${this.#position}; send its bytes in order, each once`,
      );
    }
    let rest = bytes;
    while (rest.length > 0) {
      while (this.#tensors[this.#current].end <= this.#position) this.#current++;
      const tensor = this.#tensors[this.#current];
      const own = rest.subarray(0, tensor.end - this.#position);
      this.#scan(tensor, own);
      this.#position += own.length;
      rest = rest.subarray(own.length);
    }
  }

  /**
   * To be called after the last byte.
   *
   * @param what the sentence's subject, for example `update of site a`
   * @throws ClaraError `invalid-input` that names every tensor with a number that is not finite; `corrupt` when bytes of the
   *   data section are missing
   */
  finish(what: string): void {
    if (this.#position !== this.#dataBytes) {
      throw new ClaraError(
        'corrupt',
        `${what} ended after ${this.#position} of its ${this.#dataBytes} bytes of data; send it whole`,
      );
    }
    if (this.#found.length > 0) throw notFinite(what, this.#found);
  }

  #scan(tensor: TensorInfo, bytes: Uint8Array): void {
    const pattern = EXPONENT_PATTERNS[tensor.dtype];
    if (pattern === undefined || this.#found.at(-1)?.tensor === tensor.name) return;
    const size = ELEMENT_BYTES[tensor.dtype];
    const before = this.#position - tensor.begin;
    let element = Math.floor(before / size);
    let rest = bytes;

    const waiting = before % size;
    if (waiting > 0) {
      const missing = rest.subarray(0, size - waiting);
      this.#partial.set(missing, waiting);
      if (waiting + missing.length < size) return;
      if (this.#look(tensor, pattern, element, this.#partial.subarray(0, size))) return;
      element++;
      rest = rest.subarray(missing.length);
    }
    const whole = rest.length - (rest.length % size);
    if (this.#look(tensor, pattern, element, rest.subarray(0, whole))) return;
    this.#partial.set(rest.subarray(whole));
  }

  /** Looks at whole elements, of which the first has index `element`. True when one is not finite. */
  #look(tensor: TensorInfo, pattern: ExponentPattern, element: number, bytes: Uint8Array): boolean {
    for (let begin = 0; begin < bytes.length; begin += BLOCK_BYTES) {
      const block = bytes.subarray(begin, begin + BLOCK_BYTES);
      if (!mayHoldNonFinite(block, pattern)) continue;
      const at = indexOfNonFinite(block, tensor.dtype);
      const value = String(numberAt(block, tensor.dtype, at)) as NonFinite['value'];
      this.#found.push({ tensor: tensor.name, element: element + begin / ELEMENT_BYTES[tensor.dtype] + at, value });
      return true;
    }
    return false;
  }
}

/** `tensor enc0.w element 17 is NaN`. */
export function showNonFinite({ tensor, element, value }: NonFinite): string {
  return `tensor ${tensor} element ${element} is ${value}`;
}

function notFinite(what: string, found: readonly NonFinite[]): ClaraError {
  const shown = found.slice(0, FINDINGS_IN_MESSAGE).map(showNonFinite).join(', ');
  const rest = found.length > FINDINGS_IN_MESSAGE ? `, and so on in ${found.length} tensors` : '';
  const faults: Fault[] = found.map(({ tensor, element, value }) => ({
    path: tensor,
    value,
    rule: `element ${element} must be a finite number`,
  }));
  return new ClaraError('invalid-input', `${what}: ${shown}${rest}; every number must be finite`, { faults });
}

/**
 * IEEE 754: a number is NaN or infinite exactly when all bits of its exponent are set. Masked down to the exponent, and with
 * one added at the exponent's lowest bit, such a number and no other carries into the (cleared) sign bit; nothing carries
 * further. So one pass of and, add, or over 32-bit words, without branches, tells whether a block holds one, whatever the
 * float type: 16-bit types lie two in a word, float64 has its exponent in every second word.
 */
interface ExponentPattern {
  readonly evenMask: number;
  readonly evenOne: number;
  readonly oddMask: number;
  readonly oddOne: number;
  readonly carry: number;
}

function sameInEachWord(mask: number, one: number, carry: number): ExponentPattern {
  return { evenMask: mask, evenOne: one, oddMask: mask, oddOne: one, carry };
}

/** Types that are not here cannot hold anything but finite numbers. */
const EXPONENT_PATTERNS: Partial<Readonly<Record<Dtype, ExponentPattern>>> = {
  F64: { evenMask: 0, evenOne: 0, oddMask: 0x7ff00000, oddOne: 0x00100000, carry: 0x80000000 },
  F32: sameInEachWord(0x7f800000, 0x00800000, 0x80000000),
  F16: sameInEachWord(0x7c007c00, 0x04000400, 0x80008000),
  BF16: sameInEachWord(0x7f807f80, 0x00800080, 0x80008000),
};

/** Stays in the caches between being copied and being looked at. A multiple of every element size. */
const BLOCK_BYTES = 32 * 1024;
/** The first page is left to the compiler's constants. */
const BLOCK_AT = 65536;

/** The export of finite-scan.as.ts. */
interface ScanKernel {
  mayHoldNonFinite(
    at: number,
    bytes: number,
    evenMask: number,
    evenOne: number,
    oddMask: number,
    oddOne: number,
    carry: number,
  ): number;
}

const memory = new WebAssembly.Memory({ initial: Math.ceil((BLOCK_AT + BLOCK_BYTES) / 65536) });
const scanned = new Uint8Array(memory.buffer, BLOCK_AT, BLOCK_BYTES);
let kernel: ScanKernel | undefined;

function loadKernel(): ScanKernel {
  const module = new WebAssembly.Module(readFileSync(path.join(__dirname, 'finite-scan.wasm')));
  return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as ScanKernel;
}

function mayHoldNonFinite(block: Uint8Array, pattern: ExponentPattern): boolean {
  kernel ??= loadKernel();
  scanned.set(block);
  // The kernel looks at 16 bytes at once; zeros are finite in every type.
  const bytes = Math.ceil(block.length / 16) * 16;
  scanned.fill(0, block.length, bytes);
  const { evenMask, evenOne, oddMask, oddOne, carry } = pattern;
  return kernel.mayHoldNonFinite(BLOCK_AT, bytes, evenMask, evenOne, oddMask, oddOne, carry) !== 0;
}

function indexOfNonFinite(block: Uint8Array, dtype: Dtype): number {
  let at = 0;
  while (Number.isFinite(numberAt(block, dtype, at))) at++;
  return at;
}

function numberAt(block: Uint8Array, dtype: Dtype, index: number): number {
  const view = new DataView(block.buffer, block.byteOffset, block.length);
  switch (dtype) {
    case 'F64':
      return view.getFloat64(index * 8, true);
    case 'F32':
      return view.getFloat32(index * 4, true);
    case 'F16':
      return float32OfHalf(view.getUint16(index * 2, true));
    default:
      return float32OfBfloat16(view.getUint16(index * 2, true));
  }
}
