import { ClaraError } from '../../base/errors';
import { ByteCursor, checkDeclaredSize, firstBytes, withInput } from '../byte-cursor';
import type { Volume, VoxelArray } from '../volume';
import { VOXEL_TYPES } from '../voxel-types';
import type { WideType } from './fields';
import { LONGEST_HEADER, type NrrdHeader, parseNrrdHeader } from './header';

export interface ReadNrrdOptions {
  /** Largest number of bytes, decompressed, that a file may declare. @default 2 GiB */
  readonly maxBytes?: number;
  /**
   * What to do with a file that names no anatomical space, so that nobody knows left from right. `refuse` says so;
   * `assume-ras` takes the axes as they come.
   * @default 'refuse'
   */
  readonly unknownOrientation?: 'refuse' | 'assume-ras';
  readonly signal?: AbortSignal;
}

const CALLED = 'the NRRD volume';

/**
 * Reads one volume of a NRRD file with its header attached: raw or gzip, either byte order, every integer and floating-point
 * type. 64-bit integers become Int32 where they fit, else they are refused. No more is inflated than the header declares.
 *
 * @param source path of the file, or its bytes
 * @throws ClaraError corrupt (lying header, truncated data), unsupported (see {@link parseNrrdHeader}), resource-exhausted (more
 *   than `maxBytes`), invalid-input (unknown orientation), not-found
 */
export async function readNrrd(source: string | Uint8Array, options: ReadNrrdOptions = {}): Promise<Volume> {
  return withInput(source, CALLED, async (input) => {
    const header = checked(parseNrrdHeader(await firstBytes(input, LONGEST_HEADER), input.name), input, options);
    const { shape, affine, type, littleEndian } = header;
    const gunzip = header.encoding === 'gzip';
    const cursor = new ByteCursor(input, { gunzip, start: header.dataOffset, signal: options.signal });
    try {
      const count = shape[0] * shape[1] * shape[2];
      const data =
        typeof type === 'string'
          ? await narrowed(cursor, count, type, littleEndian, input.name)
          : await cursor.voxels(count, type, littleEndian);
      return { geometry: { shape, affine }, data };
    } finally {
      await cursor.close();
    }
  });
}

/** Reads the header alone, with the same checks. */
export async function readNrrdHeader(source: string | Uint8Array, options: ReadNrrdOptions = {}): Promise<NrrdHeader> {
  return withInput(source, CALLED, async (input) =>
    checked(parseNrrdHeader(await firstBytes(input, LONGEST_HEADER), input.name), input, options),
  );
}

function checked(
  header: NrrdHeader,
  { name, size }: { readonly name: string; readonly size: number },
  options: ReadNrrdOptions,
): NrrdHeader {
  const { shape, type, dataOffset } = header;
  const [typeName, bytes] = typeof type === 'string' ? [type, 8] : [type.name, type.bytes];
  const what = `${shape.join(' x ')} voxels of ${typeName} from byte ${dataOffset}`;
  const needed = shape[0] * shape[1] * shape[2] * bytes;
  const available = Math.max(0, size - dataOffset);
  checkDeclaredSize(name, { what, needed, available, gzipped: header.encoding === 'gzip' }, options.maxBytes);
  if (!header.oriented && options.unknownOrientation !== 'assume-ras') {
    throw new ClaraError(
      'invalid-input',
      `${name} does not say how it lies in the patient (its field "space" names no anatomical directions): ` +
        'save it with a space such as left-posterior-superior, or left and right may be exchanged',
    );
  }
  return header;
}

async function narrowed(
  cursor: ByteCursor,
  count: number,
  type: WideType,
  littleEndian: boolean,
  name: string,
): Promise<VoxelArray> {
  // Read as float64, which is as wide, then looked at as what it is.
  const stored = await cursor.voxels(count, VOXEL_TYPES.float64, littleEndian);
  const wide = type === 'int64' ? new BigInt64Array(stored.buffer) : new BigUint64Array(stored.buffer);
  const data = new Int32Array(count);
  for (let at = 0; at < count; at += 1) {
    data[at] = Number(wide[at]);
    if (BigInt(data[at]) !== wide[at]) {
      throw new ClaraError('unsupported', `${name} has a voxel of ${wide[at]}: save it with numbers of up to 32 bits`);
    }
  }
  return data;
}
