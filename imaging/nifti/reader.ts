import { ClaraError } from '../../base/errors';
import { ByteCursor, type ByteInput, checkDeclaredSize, firstBytes, isGzip, withInput } from '../byte-cursor';
import type { Volume, VoxelArray } from '../volume';
import { HEADER_BYTES, type NiftiHeader, parseNiftiHeader } from './header';

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

const CALLED = 'the NIfTI volume';

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
  return withHeader(source, options, async (header, cursor) => {
    await cursor.skip(header.voxOffset - HEADER_BYTES);
    const { shape, affine, datatype, littleEndian } = header;
    const stored = await cursor.voxels(shape[0] * shape[1] * shape[2], datatype, littleEndian);
    return { geometry: { shape, affine }, data: scaled(stored, header), header };
  });
}

/** Reads the header alone, with the same checks. */
export async function readNiftiHeader(
  source: string | Uint8Array,
  options: ReadNiftiOptions = {},
): Promise<NiftiHeader> {
  return withHeader(source, options, async (header) => header);
}

function withHeader<Result>(
  source: string | Uint8Array,
  options: ReadNiftiOptions,
  read: (header: NiftiHeader, cursor: ByteCursor) => Promise<Result>,
): Promise<Result> {
  return withInput(source, CALLED, async (input) => {
    const gunzip = isGzip(await firstBytes(input, 2));
    const cursor = new ByteCursor(input, { gunzip, signal: options.signal });
    try {
      return await read(await headerOf(input, cursor, gunzip, options), cursor);
    } finally {
      await cursor.close();
    }
  });
}

async function headerOf(
  input: ByteInput,
  cursor: ByteCursor,
  gzipped: boolean,
  options: ReadNiftiOptions,
): Promise<NiftiHeader> {
  const start = new Uint8Array(HEADER_BYTES);
  await cursor.fill(start);
  const header = parseNiftiHeader(start, input.name);
  const { shape, datatype, voxOffset } = header;
  const what = `${shape.join(' x ')} voxels of ${datatype.name} from byte ${voxOffset}`;
  const needed = voxOffset + shape[0] * shape[1] * shape[2] * datatype.bytes;
  checkDeclaredSize(input.name, { what, needed, available: input.size, gzipped }, options.maxBytes);
  if (header.orientation === 'pixdim' && options.unknownOrientation !== 'assume-ras') {
    throw new ClaraError(
      'invalid-input',
      `${input.name} does not say how it lies in the patient (qform_code and sform_code are both 0): ` +
        'save it with an orientation, or left and right may be exchanged',
    );
  }
  return header;
}

function scaled(stored: VoxelArray, { slope, inter }: NiftiHeader): VoxelArray {
  if (slope === 1 && inter === 0) return stored;
  const real = new Float32Array(stored.length);
  for (let at = 0; at < stored.length; at += 1) real[at] = stored[at] * slope + inter;
  return real;
}
