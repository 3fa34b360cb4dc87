import { constants as bufferLimits } from 'node:buffer';
import { createHash } from 'node:crypto';
import { constants as fsConstants } from 'node:fs';
import { writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { type OpenFile, open } from '../../base/files';
import { readFully } from '../../base/positioned-io';
import { ELEMENT_BYTES, holds, type TensorData, viewAs } from './dtype';
import { encodeHeader, type HeaderLimits, readHeader } from './header';
import { byteSizeOf, type TensorLayout, type TensorSpec } from './layout';

/** Pieces in which files are read, hashed and written; one read(2) or write(2) cannot move 2^31 bytes. */
const PIECE_BYTES = 8 * 1024 * 1024;
const DIGEST_PIECE_BYTES = 1024 * 1024;

export interface Tensor extends TensorSpec {
  /**
   * Elements in row-major order, in the array type of `ArrayOf[dtype]`. For writing, the little-endian bytes of any dtype
   * may also be given as a Uint8Array.
   */
  readonly data: TensorData;
}

export interface TensorFile {
  readonly layout: TensorLayout;
  /** By name, in data order. */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

export interface WrittenFile {
  /** `sha256:<hex>` of the whole file, as {@link digestOfFile} would answer. */
  readonly sha256: string;
  readonly bytes: number;
}

export interface FileOptions {
  readonly signal?: AbortSignal;
}

/**
 * What a safetensors file holds, without reading its data. The layout is checked against the size of the file.
 *
 * @throws ClaraError `not-found`, `corrupt`
 */
export async function readLayout(path: string, limits: HeaderLimits = {}): Promise<TensorLayout> {
  return withFile(path, (file, fileBytes) => layoutOf(file, { ...limits, fileBytes, name: path }));
}

/**
 * Reads a whole safetensors file, each tensor into an array of its own.
 *
 * @throws ClaraError `not-found`; `corrupt` for a file that is not exactly what its header says; `resource-exhausted` for a
 *   tensor larger than this process can hold in one array (4 GiB)
 */
export async function readTensors(path: string, options: FileOptions & HeaderLimits = {}): Promise<TensorFile> {
  return withFile(path, async (file, fileBytes) => {
    const layout = await layoutOf(file, { ...options, fileBytes, name: path });
    const tensors = new Map<string, Tensor>();
    for (const { name, dtype, shape, begin, end } of layout.tensors) {
      const bytes = allocate(end - begin, name, path);
      await readFully(file, layout.headerBytes.length + begin, bytes, path, options.signal);
      tensors.set(name, { name, dtype, shape, data: viewAs(dtype, bytes) });
    }
    return { layout, tensors };
  });
}

/**
 * Writes a safetensors file, durable and whole or not at all, readable by everyone (0644), data in the order given. Arrays
 * are written from where they lie, without a copy.
 *
 * @throws ClaraError `invalid-input` when names repeat or an array does not fit its dtype and shape; `out-of-space`
 */
export async function writeTensors(
  path: string,
  tensors: Iterable<Tensor>,
  metadata: Readonly<Record<string, string>> = {},
  options: FileOptions = {},
): Promise<WrittenFile> {
  const all = [...tensors];
  const header = encodeHeader(all, metadata);
  const faults = all.flatMap((tensor) => dataFault(tensor) ?? []);
  if (faults.length > 0) throw ClaraError.ofFaults(`tensors to write to ${path}`, faults);

  const hash = createHash('sha256');
  let bytes = 0;
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (const part of [header, ...all.map((tensor) => tensor.data)]) {
      for (const piece of piecesOf(part)) {
        hash.update(piece);
        bytes += piece.length;
        yield piece;
      }
    }
  }
  try {
    await writeFileDurably(path, pieces(), { mode: 0o644, signal: options.signal });
  } catch (error) {
    throw ClaraError.from(error, `writing ${path}`);
  }
  return { sha256: `sha256:${hash.digest('hex')}`, bytes };
}

/** `sha256:<hex>` of a file's bytes. */
export async function digestOfFile(path: string, options: FileOptions = {}): Promise<string> {
  return withFile(path, async (file) => {
    const hash = createHash('sha256');
    const piece = Buffer.allocUnsafe(DIGEST_PIECE_BYTES);
    for (;;) {
      options.signal?.throwIfAborted();
      const { bytesRead } = await file.read(piece, 0, piece.length);
      if (bytesRead === 0) return `sha256:${hash.digest('hex')}`;
      hash.update(piece.subarray(0, bytesRead));
    }
  });
}

/** Opens a regular file for reading. Anything else (a pipe would wait for a writer for ever) is refused without blocking. */
async function withFile<Result>(
  path: string,
  use: (file: OpenFile, fileBytes: number) => Promise<Result>,
): Promise<Result> {
  try {
    const file = await open(path, fsConstants.O_RDONLY | fsConstants.O_NONBLOCK);
    try {
      const stats = await file.stat();
      if (!stats.isFile()) {
        throw new ClaraError('invalid-input', `${path} is not a regular file; name a file`);
      }
      return await use(file, stats.size);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw ClaraError.from(error, `reading ${path}`);
  }
}

function layoutOf(
  file: OpenFile,
  options: HeaderLimits & { readonly fileBytes: number; readonly name: string },
): Promise<TensorLayout> {
  return readHeader((offset, target) => readFully(file, offset, target, options.name), options);
}

/** Memory of its own for one tensor, aligned for every dtype, not cleared: it is read over entirely. */
function allocate(bytes: number, tensor: string, path: string): Uint8Array {
  if (bytes > bufferLimits.MAX_LENGTH) {
    throw new ClaraError(
      'resource-exhausted',
      `${path}: tensor ${tensor} takes ${bytes} bytes, more than the ${bufferLimits.MAX_LENGTH} that one array can hold; split it`,
    );
  }
  return Buffer.allocUnsafeSlow(bytes);
}

function dataFault({ name, dtype, shape, data }: Tensor): { path: string; value: string; rule: string } | undefined {
  if (!holds(dtype, data) && !(data instanceof Uint8Array)) {
    return { path: name, value: data.constructor.name, rule: `is not the array type of ${dtype}; convert it` };
  }
  const bytes = byteSizeOf({ dtype, shape })!;
  if (data.byteLength === bytes) return undefined;
  const rule = `${dtype} ${JSON.stringify(shape)} takes ${bytes} bytes (${bytes / ELEMENT_BYTES[dtype]} elements)`;
  return { path: name, value: `${data.byteLength} bytes`, rule };
}

function* piecesOf(part: ArrayBufferView): Generator<Uint8Array> {
  for (let begin = 0; begin < part.byteLength; begin += PIECE_BYTES) {
    const length = Math.min(PIECE_BYTES, part.byteLength - begin);
    yield new Uint8Array(part.buffer, part.byteOffset + begin, length);
  }
}
