import fc from 'fast-check';
import type { Affine } from '../../imaging/volume';

/** Grids to try file formats on, made without the code under test. */

const AXES = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
] as const;

export interface GridOptions {
  /** Largest turn away from the axes of the patient, radians. @default any */
  readonly tilt?: number;
  /** Whether axes may be left-handed. @default true */
  readonly mirrored?: boolean;
}

/** Any order and direction of axes, turned by any angle, voxels of 0.3 to 6 mm with edges of different length. */
export function affines({ tilt = Math.PI, mirrored = true }: GridOptions = {}): fc.Arbitrary<Affine> {
  const between = (min: number, max: number) => fc.double({ min, max, noNaN: true });
  return fc
    .record({
      order: fc.constantFrom(...AXES),
      signs: fc.tuple(fc.constantFrom(1, -1), fc.constantFrom(1, -1), fc.constantFrom(1, -1)),
      spacing: fc.tuple(between(0.3, 6), between(0.3, 6), between(0.3, 6)),
      angles: fc.tuple(between(-tilt, tilt), between(-tilt, tilt), between(-tilt, tilt)),
      origin: fc.tuple(between(-900, 900), between(-900, 900), between(-900, 900)),
    })
    .map(({ order, signs, spacing, angles, origin }) => {
      const rotation = multiply(multiply(turn(0, 1, angles[0]), turn(0, 2, angles[1])), turn(1, 2, angles[2]));
      const step = [0, 1, 2].map((row) =>
        [0, 1, 2].map((column) => (order[column] === row ? signs[column] * spacing[column] : 0)),
      );
      const linear = multiply(rotation, step);
      if (!mirrored && determinant(linear) < 0) for (const row of linear) row[2] = -row[2];
      return linear.flatMap((row, at) => [...row, origin[at]]) as unknown as Affine;
    });
}

function turn(a: number, b: number, angle: number): number[][] {
  const matrix = [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ];
  matrix[a][a] = Math.cos(angle);
  matrix[b][b] = Math.cos(angle);
  matrix[a][b] = -Math.sin(angle);
  matrix[b][a] = Math.sin(angle);
  return matrix;
}

function multiply(a: number[][], b: number[][]): number[][] {
  return a.map((row) => [0, 1, 2].map((column) => row.reduce((sum, value, at) => sum + value * b[at][column], 0)));
}

function determinant([[a, b, c], [d, e, f], [g, h, i]]: number[][]): number {
  return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
}
