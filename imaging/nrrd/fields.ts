import type { Vector3 } from '../volume';
import { VOXEL_TYPES, type VoxelType } from '../voxel-types';

/** How the fields of a NRRD header are written (teem, "Definition of NRRD File Format", http://teem.sourceforge.net/nrrd). */

/** 64-bit integers have no typed array of numbers; the reader narrows them. */
export type WideType = 'int64' | 'uint64';

const NAMES: Readonly<Record<string, readonly string[]>> = {
  int8: ['signed char', 'int8', 'int8_t'],
  uint8: ['uchar', 'unsigned char', 'uint8', 'uint8_t'],
  int16: ['short', 'short int', 'signed short', 'signed short int', 'int16', 'int16_t'],
  uint16: ['ushort', 'unsigned short', 'unsigned short int', 'uint16', 'uint16_t'],
  int32: ['int', 'signed int', 'int32', 'int32_t'],
  uint32: ['uint', 'unsigned int', 'uint32', 'uint32_t'],
  int64: ['longlong', 'long long', 'long long int', 'signed long long', 'signed long long int', 'int64', 'int64_t'],
  uint64: ['ulonglong', 'unsigned long long', 'unsigned long long int', 'uint64', 'uint64_t'],
  float32: ['float'],
  float64: ['double'],
};

export function voxelTypeNamed(name: string): VoxelType | WideType | undefined {
  const found = Object.entries(NAMES).find(([, names]) => names.includes(name.toLowerCase()))?.[0];
  if (found === 'int64' || found === 'uint64') return found;
  return found === undefined ? undefined : VOXEL_TYPES[found as keyof typeof VOXEL_TYPES];
}

/** How a type is written by teem itself, which every reader knows. */
export const WRITTEN_NAME: Readonly<Record<VoxelType['name'], string>> = {
  int8: 'signed char',
  uint8: 'unsigned char',
  int16: 'short',
  uint16: 'unsigned short',
  int32: 'int',
  uint32: 'unsigned int',
  float32: 'float',
  float64: 'double',
};

const DIRECTIONS: readonly (readonly [string, number])[][] = [
  [
    ['right', 1],
    ['left', -1],
  ],
  [
    ['anterior', 1],
    ['posterior', -1],
  ],
  [
    ['superior', 1],
    ['inferior', -1],
  ],
];

/** What to multiply coordinates of a space such as `left-posterior-superior` or `LPS` by to have RAS+. */
export function signsOfSpace(space: string): Vector3 | undefined {
  const lower = space.toLowerCase();
  const words = /^[a-z]{3}$/.test(lower) ? [...lower] : lower.split('-');
  if (words.length !== 3) return undefined;
  const signs = words.map(
    (word, axis) => DIRECTIONS[axis].find(([name]) => word === name || word === name[0])?.[1] ?? Number.NaN,
  );
  return signs.every(Number.isFinite) ? (signs as unknown as Vector3) : undefined;
}

/** Millimetres per unit of `space units` and `units`. */
export const MILLIMETRES: Readonly<Record<string, number>> = {
  mm: 1,
  millimeter: 1,
  millimetre: 1,
  cm: 10,
  m: 1000,
  um: 0.001,
  '': 1,
};

/** `(1,0,0.5)`. */
export function parseVector(text: string): number[] | undefined {
  const inner = /^\(([^()]*)\)$/.exec(text.trim())?.[1];
  return inner === undefined ? undefined : parseNumbers(inner, ',');
}

/** Vectors and the word `none`, as in `none (1,0,0) (0,1,0) (0,0,1)`. */
export function parseVectors(text: string): (number[] | 'none')[] | undefined {
  const parts = text.match(/none|\([^()]*\)|\S+/g) ?? [];
  const vectors = parts.map((part) => (part === 'none' ? part : parseVector(part)));
  return vectors.includes(undefined) ? undefined : (vectors as (number[] | 'none')[]);
}

export function parseNumbers(text: string, separator: RegExp | ',' = /\s+/): number[] | undefined {
  const parts = text
    .trim()
    .split(separator)
    .map((part) => part.trim());
  const numbers = parts.map((part) => (part === '' ? Number.NaN : Number(part)));
  return numbers.every(Number.isFinite) ? numbers : undefined;
}

/** Words in double quotes, as in `"mm" "mm" "mm"`. */
export function parseQuoted(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"/g)].map(([, word]) => word.trim().toLowerCase());
}
