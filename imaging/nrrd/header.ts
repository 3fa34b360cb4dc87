import { ClaraError, type Fault, showFault, showValue } from '../../base/errors';
import { affineOf, isInvertible } from '../affine';
import type { Affine, Shape3, Vector3 } from '../volume';
import type { VoxelType } from '../voxel-types';
import {
  MILLIMETRES,
  parseNumbers,
  parseQuoted,
  parseVector,
  parseVectors,
  signsOfSpace,
  voxelTypeNamed,
  type WideType,
} from './fields';

/** The header of a NRRD file: lines of text up to an empty one, then the voxels. */
export interface NrrdHeader {
  readonly shape: Shape3;
  /** Voxel indices to RAS+ millimetres. */
  readonly affine: Affine;
  /** False where the file names no anatomical space, so that nobody knows left from right; then axes are taken as RAS+. */
  readonly oriented: boolean;
  readonly type: VoxelType | WideType;
  readonly littleEndian: boolean;
  readonly encoding: 'raw' | 'gzip';
  /** First byte of the voxels. */
  readonly dataOffset: number;
}

/** Longer than any header seen: those of segmentations list every segment, some hundred bytes each. */
export const LONGEST_HEADER = 256 * 1024;
const MAX_AXES = 16; // NRRD_DIM_MAX of teem
const LONGEST_AXIS = 2 ** 31 - 1;

/**
 * @param start the first bytes of the file, {@link LONGEST_HEADER} of them where there are as many
 * @param name what messages call the file
 * @throws ClaraError corrupt with every fault; unsupported for what is valid but not read here: voxels in other files, more
 *   than one value a voxel, series, text and bzip2
 */
export function parseNrrdHeader(start: Uint8Array, name: string): NrrdHeader {
  const { fields, dataOffset } = fieldsOf(start, name);
  for (const detached of ['data file', 'datafile']) {
    if (fields.has(detached)) {
      throw new ClaraError(
        'unsupported',
        `${name} is a header whose voxels lie in other files: save the volume as one .nrrd file`,
      );
    }
  }
  const faults: Fault[] = [];
  const axes = axesOf(fields, name, faults);
  const type = typeOf(fields, name, faults);
  const encoding = encodingOf(fields, name, faults);
  const grid = axes === undefined ? undefined : gridOf(fields, axes, faults);
  for (const skip of ['line skip', 'lineskip', 'byte skip', 'byteskip']) {
    const value = fields.get(skip);
    if (value !== undefined && value !== '0') {
      faults.push({ path: skip, value: showValue(value), rule: 'must be 0 in a file that holds its voxels' });
    }
  }
  const littleEndian = endianOf(fields, type, faults);
  if (faults.length > 0 || grid === undefined || axes === undefined || type === undefined || encoding === undefined) {
    throw new ClaraError('corrupt', `the header of ${name} is wrong: ${faults.map(showFault).join('; ')}`, { faults });
  }
  return { ...grid, shape: axes.shape, type, littleEndian, encoding, dataOffset };
}

type Fields = ReadonlyMap<string, string>;

function fieldsOf(start: Uint8Array, name: string): { fields: Fields; dataOffset: number } {
  const text = Buffer.from(start.buffer, start.byteOffset, Math.min(start.length, LONGEST_HEADER)).toString('latin1');
  if (!/^NRRD000[1-9]\r?\n/.test(text)) {
    throw new ClaraError('corrupt', `${name} is no NRRD file: its first line must be NRRD0001 to NRRD0009`);
  }
  const end = /\r?\n\r?\n/.exec(text);
  const lines = text.slice(0, end?.index ?? text.length).split(/\r?\n/);
  const fields = new Map<string, string>();
  for (const line of lines.slice(1)) {
    if (line.startsWith('#') || line === '') continue;
    // A key/value pair (`:=`) is for people and programs, not for the format.
    const [, field, colon, value] = /^([^:]*)(:=?)(.*)$/.exec(line) ?? [];
    if (colon === ':') fields.set(field.trim().toLowerCase(), value.trim());
  }
  const detached = fields.has('data file') || fields.has('datafile');
  if (end === null && !detached) {
    throw new ClaraError(
      'corrupt',
      `the header of ${name} does not end: an empty line must follow within ${LONGEST_HEADER} bytes`,
    );
  }
  return { fields, dataOffset: end === null ? text.length : end.index + end[0].length };
}

interface Axes {
  readonly shape: Shape3;
  /** Which three of the file's axes those are; the others have one entry each. */
  readonly kept: readonly number[];
  readonly count: number;
}

function axesOf(fields: Fields, name: string, faults: Fault[]): Axes | undefined {
  const dimension = Number(fields.get('dimension'));
  const sizes = parseNumbers(fields.get('sizes') ?? '');
  if (!Number.isInteger(dimension) || dimension < 1 || dimension > MAX_AXES) {
    faults.push(faultOf(fields, 'dimension', `must be a whole number from 1 to ${MAX_AXES}`));
    return undefined;
  }
  if (sizes?.length !== dimension || sizes.some((size) => !Number.isInteger(size) || size < 1 || size > LONGEST_AXIS)) {
    faults.push(faultOf(fields, 'sizes', `must be ${dimension} whole numbers of 1 or more`));
    return undefined;
  }
  const directions = parseVectors(fields.get('space directions') ?? '') ?? [];
  const beside = sizes.map((size, axis) => ({ size, axis, none: directions[axis] === 'none' }));
  const spatial = beside.filter(({ none }) => !none);
  // Of the axes that carry no direction, or are too many, only those of one entry can be left out.
  const kept = spatial.length <= 3 ? spatial : dropSingles(spatial);
  const left = beside.filter((axis) => !kept.includes(axis));
  if (kept.length !== 3 || left.some(({ size }) => size !== 1)) {
    throw new ClaraError(
      'unsupported',
      `${name} has axes of ${sizes.join(' x ')}, but one volume with three axes and one value a voxel is needed: ` +
        'save each volume or segment by itself',
    );
  }
  const shape = kept.map(({ size }) => size) as unknown as Shape3;
  return { shape, kept: kept.map(({ axis }) => axis), count: dimension };
}

function dropSingles<Axis extends { readonly size: number }>(axes: readonly Axis[]): Axis[] {
  let surplus = axes.length - 3;
  return [...axes]
    .reverse()
    .filter(({ size }) => {
      if (size !== 1 || surplus === 0) return true;
      surplus -= 1;
      return false;
    })
    .reverse();
}

function typeOf(fields: Fields, name: string, faults: Fault[]): NrrdHeader['type'] | undefined {
  const found = voxelTypeNamed(fields.get('type') ?? '');
  if (fields.get('type')?.toLowerCase() === 'block') {
    throw new ClaraError('unsupported', `${name} has voxels of type block: save it with one number a voxel`);
  }
  if (found === undefined) faults.push(faultOf(fields, 'type', 'must be an integer or floating-point type of NRRD'));
  return found;
}

function encodingOf(fields: Fields, name: string, faults: Fault[]): NrrdHeader['encoding'] | undefined {
  const encoding = fields.get('encoding')?.toLowerCase();
  if (encoding === 'raw') return 'raw';
  if (encoding === 'gzip' || encoding === 'gz') return 'gzip';
  if (['txt', 'text', 'ascii', 'hex', 'bz2', 'bzip2'].includes(encoding ?? '')) {
    throw new ClaraError(
      'unsupported',
      `${name} has encoding ${encoding}, which is not read here: save it as gzip or raw`,
    );
  }
  faults.push(faultOf(fields, 'encoding', 'must be raw or gzip'));
  return undefined;
}

function endianOf(fields: Fields, type: NrrdHeader['type'] | undefined, faults: Fault[]): boolean {
  const endian = fields.get('endian')?.toLowerCase();
  if (endian === 'big') return false;
  const needed = typeof type === 'string' || (type !== undefined && type.bytes > 1);
  if (endian !== 'little' && (needed || endian !== undefined)) {
    faults.push(faultOf(fields, 'endian', 'must be little or big'));
  }
  return true;
}

/** The way from indices to the world, by `space directions` and `space origin` or, failing those, by `spacings`. */
function gridOf(fields: Fields, axes: Axes, faults: Fault[]): Pick<NrrdHeader, 'affine' | 'oriented'> | undefined {
  const space = fields.get('space');
  const signs = space === undefined ? undefined : signsOfSpace(space);
  const vectors = vectorsOf(fields, axes, faults);
  const origin = originOf(fields, faults);
  const unit = unitOf(fields, faults);
  if (vectors === undefined || origin === undefined || unit === undefined) return undefined;
  const [x, y, z] = signs ?? [1, 1, 1];
  // Adding 0 turns -0 into 0.
  const toRas = ([a, b, c]: Vector3): Vector3 => [a * x * unit + 0, b * y * unit + 0, c * z * unit + 0];
  const affine = affineOf([toRas(vectors[0]), toRas(vectors[1]), toRas(vectors[2])], toRas(origin));
  if (!affine.every(Number.isFinite) || !isInvertible(affine)) {
    faults.push(faultOf(fields, 'space directions', 'must be three axes that span the space'));
  }
  return { affine, oriented: signs !== undefined };
}

function vectorsOf(fields: Fields, { kept, count }: Axes, faults: Fault[]): Vector3[] | undefined {
  if (fields.has('space directions')) {
    const vectors = parseVectors(fields.get('space directions') ?? '');
    const own = kept.map((axis) => vectors?.[axis]);
    if (vectors?.length === count && own.every((vector) => vector !== 'none' && vector?.length === 3)) {
      return own as unknown as Vector3[];
    }
    faults.push(faultOf(fields, 'space directions', `must be ${count} vectors of three numbers, or none`));
    return undefined;
  }
  // An unknown spacing is written as nan; only the axes that are kept must have one.
  const words = (fields.get('spacings') ?? '').split(/\s+/);
  const spacings = kept.map((axis) => Number(words[axis] ?? Number.NaN));
  if (words.length !== count || !spacings.every((step) => Number.isFinite(step) && step > 0)) {
    faults.push(
      faultOf(
        fields,
        'spacings',
        'must be a voxel size greater than 0 for each axis where there are no space directions',
      ),
    );
    return undefined;
  }
  return [
    [spacings[0], 0, 0],
    [0, spacings[1], 0],
    [0, 0, spacings[2]],
  ];
}

function originOf(fields: Fields, faults: Fault[]): Vector3 | undefined {
  const text = fields.get('space origin');
  if (text === undefined) return [0, 0, 0];
  const origin = parseVector(text);
  if (origin?.length === 3) return origin as unknown as Vector3;
  faults.push(faultOf(fields, 'space origin', 'must be a vector of three numbers'));
  return undefined;
}

function unitOf(fields: Fields, faults: Fault[]): number | undefined {
  const units = new Set(parseQuoted(fields.get('space units') ?? ''));
  const [unit = ''] = units;
  const millimetres = units.size <= 1 ? MILLIMETRES[unit] : undefined;
  if (millimetres === undefined)
    faults.push(faultOf(fields, 'space units', 'must be the same for all axes: mm, cm, m or um'));
  return millimetres;
}

function faultOf(fields: Fields, path: string, rule: string): Fault {
  const value = fields.get(path);
  return value === undefined ? { path, rule } : { path, value: showValue(value), rule };
}
