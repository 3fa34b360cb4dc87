import { createHash, type Hash } from 'node:crypto';
import { ClaraError, type Fault } from '../../base/errors';
import { FiniteScanner } from './finite-scan';
import { headerLength, LENGTH_PREFIX_BYTES, parseHeader } from './header';
import type { TensorLayout, TensorSpec } from './layout';
import { compareLayouts } from './layout-check';

export interface InspectorOptions {
  /** The sentence's subject, for example `the update of st-marys`. */
  readonly what: string;
  /** Bytes that the file is said to have. */
  readonly fileBytes: number;
  /** Tensors, shapes and types that the file must have. Absent: any. */
  readonly expected?: { readonly tensors: readonly TensorSpec[] } | undefined;
}

/**
 * Judges a safetensors file while its bytes stream past: header, agreement with the expected layout, finite numbers, digest.
 * Bytes are given in order, in pieces of any size; memory is bounded by the header.
 */
export class Inspector {
  readonly #hash: Hash = createHash('sha256');
  readonly #options: InspectorOptions;
  #position = 0;
  /** Header bytes until all of them are here. */
  #head: Buffer | undefined = Buffer.alloc(0);
  #layout: TensorLayout | undefined;
  #scanner: FiniteScanner | undefined;

  constructor(options: InspectorOptions) {
    this.#options = options;
  }

  /** Bytes seen so far. */
  get position(): number {
    return this.#position;
  }

  /** @throws ClaraError `corrupt` for a bad header, `invalid-input` for tensors that are not the expected ones. */
  push(bytes: Uint8Array): void {
    const { what, fileBytes } = this.#options;
    if (this.#position + bytes.length > fileBytes) {
      throw new ClaraError('corrupt', `${what} goes on after the ${fileBytes} bytes that were announced`);
    }
    this.#hash.update(bytes);
    this.#position += bytes.length;
    const data = this.#head ? this.#collectHeader(this.#head, bytes) : bytes;
    if (data.length > 0) this.#scanner!.push(this.#position - data.length - this.#layout!.headerBytes.length, data);
  }

  /**
   * To be called after the last byte.
   * @returns the digest `sha256:<hex>`
   * @throws ClaraError `corrupt` when bytes are missing, `invalid-input` naming every tensor that is not finite
   */
  finish(): { readonly digest: string; readonly layout: TensorLayout } {
    const { what, fileBytes } = this.#options;
    if (this.#position < fileBytes || !this.#layout || !this.#scanner) {
      throw new ClaraError('corrupt', `${what} ended after ${this.#position} of ${fileBytes} bytes; send it whole`);
    }
    this.#scanner.finish(what);
    return { digest: `sha256:${this.#hash.digest('hex')}`, layout: this.#layout };
  }

  /** @returns the bytes that lie behind the header */
  #collectHeader(head: Buffer, bytes: Uint8Array): Uint8Array {
    const { what, fileBytes, expected } = this.#options;
    const all = head.length === 0 ? bytes : Buffer.concat([head, bytes]);
    const options = { fileBytes, name: what };
    const length =
      all.length < LENGTH_PREFIX_BYTES ? undefined : headerLength(all.subarray(0, LENGTH_PREFIX_BYTES), options);
    if (length === undefined || all.length < length) {
      // A copy: the memory of `bytes` is the caller's.
      this.#head = Buffer.from(all);
      return new Uint8Array(0);
    }
    this.#layout = parseHeader(all.subarray(0, length), options);
    this.#head = undefined;
    const faults = expected ? differences(expected, this.#layout) : [];
    if (faults.length > 0) throw ClaraError.ofFaults(what, faults);
    this.#scanner = new FiniteScanner(this.#layout);
    return all.subarray(length);
  }
}

/** Beside names, shapes and types, the order: readers of many files at once rely on each tensor's place. */
function differences(expected: { readonly tensors: readonly TensorSpec[] }, actual: TensorLayout): Fault[] {
  const faults = compareLayouts(expected, actual);
  if (faults.length > 0) return faults;
  const moved = actual.tensors.find(({ name }, index) => name !== expected.tensors[index]!.name);
  return moved
    ? [{ path: moved.name, rule: 'lies at another place than in the model; keep the order of its tensors' }]
    : [];
}
