import { type FileHandle, open } from 'node:fs/promises';
import { endianness } from 'node:os';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { ClaraError } from '../base/errors';
import { swapBytes } from './nifti-datatypes';
import { HEADER_BYTES, type NiftiHeader, parseNiftiHeader } from './nifti-header';
import type { Volume, VoxelArray } from './volume';

export interface ReadNiftiOptions {
  /** Largest number of bytes, decompressed, that a file may declare. @default 2 GiB */
  readonly maxBytes?: number;
  /**
   * What to do with a file that has neither sform nor qform, so that nobody knows left from right. `refuse` says so;
   * `assume-ras` takes the voxel sizes and RAS+ axes (method 1 of the standard).
   * @default 'refuse'
   */
  readonly unknownOrientation?: 'refuse' | 'assume-ras';
  readonly signal?: AbortSignal;
}

/** A volume together with the header that it came from, for writing a mask in the very same geometry. */
export interface NiftiVolume extends Volume {
  readonly header: NiftiHeader;
}

const DEFAULT_MAX_BYTES = 2 * 1024 ** 3;
const HOST_IS_LITTLE_ENDIAN = endianness() === 'LE';
/** DEFLATE cannot expand by more than 1032 (RFC 1951: 258 bytes out of 2 bits). */
const LARGEST_EXPANSION = 1032;
/**
 * How much padding behind the voxels is still inflated in order to reach, and so have checked, the CRC at the end of the
 * gzip member.
 */
const TOLERATED_PADDING = 64 * 1024;

/**
 * Reads one volume of NIfTI-1, plain or gzipped (told apart by content, not by name), of any datatype in
 * {@link NiftiDatatype} and either byte order. Voxels keep their type unless the header scales them; then they are Float32.
 * Extensions are skipped. No more is inflated than the header declares.
 *
 * @param source path of the file, or its bytes
 * @throws ClaraError corrupt (lying header, truncated data), unsupported (see {@link parseNiftiHeader}), resource-exhausted
 *   (more than `maxBytes`), invalid-input (unknown orientation), not-found
 */
export async function readNifti(source: string | Uint8Array, options: ReadNiftiOptions = {}): Promise<NiftiVolume> {
  return typeof source === 'string'
    ? withFile(source, (input) => readFrom(input, options))
    : readFrom({ name: 'the NIfTI volume', size: source.length, bytes: source }, options);
}

/** Reads the header alone, with the same checks. */
export async function readNiftiHeader(source: string, options: ReadNiftiOptions = {}): Promise<NiftiHeader> {
  return withFile(source, async (input) => {
    const cursor = new ByteCursor(await decompressed(input), source, options.signal);
    try {
      return await headerOf(input, cursor, options);
    } finally {
      await cursor.close();
    }
  });
}

async function withFile<Result>(name: string, read: (input: Input) => Promise<Result>): Promise<Result> {
  let file: FileHandle;
  try {
    file = await open(name, 'r');
  } catch (error) {
    throw ClaraError.from(error, `cannot open ${name}`);
  }
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new ClaraError('invalid-input', `${name} is no file: name one volume, .nii or .nii.gz`);
    return await read({ name, size: found.size, file });
  } finally {
    await file.close();
  }
}

type Input = { readonly name: string; readonly size: number } & (
  | { readonly file: FileHandle }
  | { readonly bytes: Uint8Array }
);

interface Decompressed {
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly gzipped: boolean;
}

async function readFrom(input: Input, options: ReadNiftiOptions): Promise<NiftiVolume> {
  const cursor = new ByteCursor(await decompressed(input), input.name, options.signal);
  try {
    const header = await headerOf(input, cursor, options);
    await cursor.skip(header.voxOffset - HEADER_BYTES);
    const voxels = new Uint8Array(voxelBytesOf(header));
    await cursor.fill(voxels);
    await cursor.checkEnd();
    if (header.littleEndian !== HOST_IS_LITTLE_ENDIAN) swapBytes(voxels, header.datatype.bytes);
    const data = scaled(header.datatype.view(voxels.buffer), header);
    return { geometry: { shape: header.shape, affine: header.affine }, data, header };
  } finally {
    await cursor.close();
  }
}

async function headerOf(input: Input, cursor: ByteCursor, options: ReadNiftiOptions): Promise<NiftiHeader> {
  const start = new Uint8Array(HEADER_BYTES);
  await cursor.fill(start);
  const header = parseNiftiHeader(start, input.name);
  checkSize(header, input, cursor.gzipped, options.maxBytes ?? DEFAULT_MAX_BYTES);
  if (header.orientation === 'pixdim' && options.unknownOrientation !== 'assume-ras') {
    throw new ClaraError(
      'invalid-input',
      `${input.name} does not say how it lies in the patient (qform_code and sform_code are both 0): ` +
        'save it with an orientation, or left and right may be exchanged',
    );
  }
  return header;
}

function voxelBytesOf({ shape, datatype }: NiftiHeader): number {
  return shape[0] * shape[1] * shape[2] * datatype.bytes;
}

/** Refuses before anything is allocated: a header must not make this program reserve what the file cannot hold. */
function checkSize(header: NiftiHeader, { name, size }: Input, gzipped: boolean, maxBytes: number): void {
  const needed = header.voxOffset + voxelBytesOf(header);
  if (needed > maxBytes) {
    throw new ClaraError(
      'resource-exhausted',
      `${name} declares ${header.shape.join(' x ')} voxels of ${header.datatype.name}, ${needed} bytes in all, ` +
        `which is over the limit of ${maxBytes}`,
    );
  }
  if (needed > (gzipped ? size * LARGEST_EXPANSION : size)) {
    throw new ClaraError(
      'corrupt',
      `${name} declares ${header.shape.join(' x ')} voxels of ${header.datatype.name} from byte ${header.voxOffset}, ` +
        `${needed} bytes in all, which its ${size} ${gzipped ? 'compressed ' : ''}bytes cannot hold`,
    );
  }
}

function scaled(stored: VoxelArray, { slope, inter }: NiftiHeader): VoxelArray {
  if (slope === 1 && inter === 0) return stored;
  const real = new Float32Array(stored.length);
  for (let at = 0; at < stored.length; at += 1) real[at] = stored[at] * slope + inter;
  return real;
}

async function decompressed(input: Input): Promise<Decompressed> {
  const magic = await firstBytes(input, 2);
  const raw: Readable =
    'file' in input
      ? input.file.createReadStream({ start: 0, autoClose: false, highWaterMark: 256 * 1024 })
      : Readable.from([input.bytes]);
  if (!(magic[0] === 0x1f && magic[1] === 0x8b)) return { chunks: raw, gzipped: false };
  const gunzip = createGunzip({ chunkSize: 256 * 1024 });
  raw.on('error', (error) => gunzip.destroy(error));
  gunzip.on('close', () => raw.destroy());
  return { chunks: raw.pipe(gunzip), gzipped: true };
}

async function firstBytes(input: Input, count: number): Promise<Uint8Array> {
  if ('bytes' in input) return input.bytes.subarray(0, count);
  const bytes = new Uint8Array(count);
  const { bytesRead } = await input.file.read(bytes, 0, count, 0);
  return bytes.subarray(0, bytesRead);
}

/** Takes exactly as many bytes from a stream as asked for. */
class ByteCursor {
  readonly gzipped: boolean;
  private readonly chunks: AsyncIterator<Uint8Array>;
  private rest: Uint8Array = new Uint8Array(0);
  private taken = 0;

  constructor(
    { chunks, gzipped }: Decompressed,
    private readonly name: string,
    private readonly signal?: AbortSignal,
  ) {
    this.gzipped = gzipped;
    this.chunks = chunks[Symbol.asyncIterator]();
  }

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

  /** Reads over a little padding to the end of a gzip member, whose CRC zlib then checks. */
  async checkEnd(): Promise<void> {
    if (!this.gzipped) return;
    for (let left = TOLERATED_PADDING; left > 0; ) {
      const part = await this.take(left);
      if (part === undefined) return;
      left -= part.length;
    }
  }

  async close(): Promise<void> {
    await this.chunks.return?.();
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
    if (this.signal?.aborted === true) throw ClaraError.from(this.signal.reason, this.name);
    try {
      const { done, value } = await this.chunks.next();
      return done === true ? undefined : value;
    } catch (error) {
      const message = (error as Error).message;
      throw isZlibError(error)
        ? new ClaraError(
            'corrupt',
            `${this.name} is damaged: its gzip data broke off after ${this.taken} bytes (${message})`,
            {
              cause: error,
            },
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

function isZlibError(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return typeof code === 'string' && code.startsWith('Z_');
}
