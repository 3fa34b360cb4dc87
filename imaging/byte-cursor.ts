import { type FileHandle, open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { ClaraError } from '../base/errors';
import { systemCode } from '../base/system-codes';
import type { VoxelArray } from './volume';
import { HOST_IS_LITTLE_ENDIAN, swapBytes, type VoxelType } from './voxel-types';

/**
 * Bounded reading of volume files, plain or gzipped. Nothing that a header declares is believed before it has been compared
 * with the bytes that are there.
 */

/** A file that is open, or the bytes of one. `name` is what messages call it. */
export type ByteInput = { readonly name: string; readonly size: number } & (
  | { readonly file: FileHandle }
  | { readonly bytes: Uint8Array }
);

/** DEFLATE cannot expand by more than 1032 (RFC 1951: 258 bytes out of 2 bits). */
const LARGEST_EXPANSION = 1032;
/**
 * How much padding behind the voxels is still inflated in order to reach, and so have checked, the CRC at the end of the
 * gzip member.
 */
const TOLERATED_PADDING = 64 * 1024;
const PIECE_BYTES = 256 * 1024;

export const DEFAULT_MAX_BYTES = 2 * 1024 ** 3;

/**
 * Opens `source` while `read` works on it.
 *
 * @param source path of the file, or its bytes
 * @param called what messages call bytes that have no path
 * @throws ClaraError not-found, permission-denied, invalid-input for a folder
 */
export async function withInput<Result>(
  source: string | Uint8Array,
  called: string,
  read: (input: ByteInput) => Promise<Result>,
): Promise<Result> {
  if (typeof source !== 'string') return read({ name: called, size: source.length, bytes: source });
  let file: FileHandle;
  try {
    file = await open(source, 'r');
  } catch (error) {
    throw ClaraError.from(error, `cannot open ${source}`);
  }
  try {
    const found = await file.stat();
    if (!found.isFile()) {
      throw new ClaraError('invalid-input', `${source} is no file: name one volume, such as .nii, .nii.gz or .nrrd`);
    }
    return await read({ name: source, size: found.size, file });
  } finally {
    await file.close();
  }
}

/** At most `count` bytes from the beginning, as they are in the file. */
export async function firstBytes(input: ByteInput, count: number): Promise<Uint8Array> {
  if ('bytes' in input) return input.bytes.subarray(0, count);
  const bytes = new Uint8Array(count);
  const { bytesRead } = await input.file.read(bytes, 0, count, 0);
  return bytes.subarray(0, bytesRead);
}

export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

export interface DeclaredSize {
  /** What the header declares, in words. */
  readonly what: string;
  /** All bytes that it needs, decompressed. */
  readonly needed: number;
  /** Bytes of the file that hold them. */
  readonly available: number;
  readonly gzipped: boolean;
}

/**
 * Refuses before anything is allocated: a header must not make this program reserve what the file cannot hold.
 *
 * @throws ClaraError resource-exhausted, corrupt
 */
export function checkDeclaredSize(name: string, declared: DeclaredSize, maxBytes = DEFAULT_MAX_BYTES): void {
  const { what, needed, available, gzipped } = declared;
  if (needed > maxBytes) {
    throw new ClaraError(
      'resource-exhausted',
      `${name} declares ${what}, ${needed} bytes in all, which is over the limit of ${maxBytes}`,
    );
  }
  if (needed > (gzipped ? available * LARGEST_EXPANSION : available)) {
    throw new ClaraError(
      'corrupt',
      `${name} declares ${what}, ${needed} bytes in all, which its ${available} ${gzipped ? 'compressed ' : ''}bytes cannot hold`,
    );
  }
}

export interface CursorOptions {
  /** Whether what follows `start` is one gzip member. */
  readonly gunzip: boolean;
  /** First byte to read. @default 0 */
  readonly start?: number;
  readonly signal?: AbortSignal;
}

/** Takes exactly as many bytes from a file as asked for. */
export class ByteCursor {
  private readonly chunks: AsyncIterator<Uint8Array>;
  private readonly name: string;
  private rest: Uint8Array = new Uint8Array(0);
  private taken = 0;

  constructor(
    input: ByteInput,
    private readonly options: CursorOptions,
  ) {
    this.name = input.name;
    this.chunks = chunksOf(input, options)[Symbol.asyncIterator]();
  }

  /** @throws ClaraError corrupt when there are fewer bytes */
  async fill(target: Uint8Array): Promise<void> {
    let done = 0;
    while (done < target.length) {
      const part = await this.take(target.length - done);
      if (part === undefined) throw this.truncated(target.length - done);
      target.set(part, done);
      done += part.length;
    }
  }

  async skip(count: number): Promise<void> {
    for (let left = count; left > 0; ) {
      const part = await this.take(left);
      if (part === undefined) throw this.truncated(left);
      left -= part.length;
    }
  }

  /** The next `count` numbers. What follows them may be padding; a gzip member is read to its end and so checked. */
  async voxels(count: number, type: VoxelType, littleEndian: boolean): Promise<VoxelArray> {
    const bytes = new Uint8Array(count * type.bytes);
    await this.fill(bytes);
    await this.checkEnd();
    if (littleEndian !== HOST_IS_LITTLE_ENDIAN) swapBytes(bytes, type.bytes);
    return type.view(bytes.buffer);
  }

  async close(): Promise<void> {
    await this.chunks.return?.();
  }

  /** Reads over a little padding to the end of a gzip member, whose CRC zlib then checks. */
  private async checkEnd(): Promise<void> {
    if (!this.options.gunzip) return;
    for (let left = TOLERATED_PADDING; left > 0; ) {
      const part = await this.take(left);
      if (part === undefined) return;
      left -= part.length;
    }
  }

  private async take(atMost: number): Promise<Uint8Array | undefined> {
    if (this.rest.length === 0) {
      const next = await this.next();
      if (next === undefined) return undefined;
      this.rest = next;
    }
    const part = this.rest.subarray(0, atMost);
    this.rest = this.rest.subarray(part.length);
    this.taken += part.length;
    return part;
  }

  private async next(): Promise<Uint8Array | undefined> {
    const { signal } = this.options;
    if (signal?.aborted === true) throw ClaraError.from(signal.reason, this.name);
    try {
      const { done, value } = await this.chunks.next();
      return done === true ? undefined : value;
    } catch (error) {
      const message = (error as Error).message;
      throw isZlibError(error)
        ? new ClaraError(
            'corrupt',
            `${this.name} is damaged: its gzip data broke off after ${this.taken} bytes (${message})`,
            { cause: error },
          )
        : ClaraError.from(error, this.name);
    }
  }

  private truncated(missing: number): ClaraError {
    return new ClaraError(
      'corrupt',
      `${this.name} ends after ${this.taken} bytes, ${missing} before its header promises`,
    );
  }
}

function chunksOf(input: ByteInput, { gunzip: gzipped, start = 0 }: CursorOptions): AsyncIterable<Uint8Array> {
  const raw: Readable =
    'file' in input
      ? input.file.createReadStream({ start, autoClose: false, highWaterMark: PIECE_BYTES })
      : Readable.from([input.bytes.subarray(start)]);
  if (!gzipped) return raw;
  const gunzip = createGunzip({ chunkSize: PIECE_BYTES });
  raw.on('error', (error) => gunzip.destroy(error));
  gunzip.on('close', () => raw.destroy());
  return raw.pipe(gunzip);
}

function isZlibError(error: unknown): boolean {
  return systemCode(error)?.startsWith('Z_') === true;
}
