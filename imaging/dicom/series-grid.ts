import { ClaraError } from '../../base/errors';
import { affineOf, lengthOf } from '../affine';
import type { Geometry, Vector3 } from '../volume';
import type { Slice } from './slice';

/** Slices in order, and the grid that they make. */
export interface OrderedSeries {
  readonly slices: readonly Slice[];
  readonly geometry: Geometry;
}

/** Cosines, and lengths by their ratio, that differ by less are the same; headers carry six digits or more. */
const SAME = 1e-3;
/** Steps between slices that differ by less are equal: 2 %, or what rounding to hundredths of a millimetre does. */
const STEP_TOLERANCE = 0.02;
const STEP_TOLERANCE_MM = 0.015;

/**
 * Puts slices in order along their normal. Steps may lean (gantry tilt): the grid is then sheared, and each voxel lies where its
 * slice says.
 *
 * @throws ClaraError invalid-input naming the files that do not belong together, or between which a slice is missing
 */
export function orderSlices(slices: readonly Slice[]): OrderedSeries {
  const [first, ...others] = slices;
  if (first === undefined) throw new ClaraError('invalid-input', 'there is no slice: send the files of one series');
  for (const other of others) mustBelong(first, other);
  const normal = cross(first.rowDirection, first.columnDirection);
  const height = (slice: Slice): number => dot(slice.position, normal);
  const ordered = [...slices].sort((a, b) => height(a) - height(b));
  const step = ordered.length === 1 ? stepOfOne(first, normal) : commonStep(ordered, ordered.map(height));
  const lps = [scale(first.rowDirection, first.columnSpacing), scale(first.columnDirection, first.rowSpacing), step];
  const [i, j, k] = lps.map(toRas);
  return {
    slices: ordered,
    geometry: {
      shape: [first.columns, first.rows, ordered.length],
      affine: affineOf([i, j, k], toRas(ordered[0].position)),
    },
  };
}

function mustBelong(first: Slice, other: Slice): void {
  const refuse = (what: string, way: string): never => {
    throw new ClaraError('invalid-input', `${other.name} ${what} ${first.name}: ${way}`);
  };
  if (other.seriesUid !== first.seriesUid) refuse('is of another series than', 'send one series at a time');
  if (other.rows !== first.rows || other.columns !== first.columns) {
    refuse(
      `has ${other.columns} x ${other.rows} pixels, not ${first.columns} x ${first.rows} like`,
      'send slices of one size',
    );
  }
  const turned =
    distance(other.rowDirection, first.rowDirection) > SAME ||
    distance(other.columnDirection, first.columnDirection) > SAME;
  if (turned) refuse('has another orientation than', 'send the parallel slices alone, without localisers');
  const [a, b] = [other.rowSpacing / first.rowSpacing, other.columnSpacing / first.columnSpacing];
  if (Math.abs(a - 1) > SAME || Math.abs(b - 1) > SAME) {
    refuse('has another pixel spacing than', 'send slices of one field of view');
  }
  if (other.frameOfReferenceUid !== first.frameOfReferenceUid) {
    refuse('has another frame of reference than', 'send slices of one scan');
  }
}

/** The step from slice to slice, LPS mm. */
function commonStep(ordered: readonly Slice[], heights: readonly number[]): Vector3 {
  const gaps = heights.slice(1).map((height, at) => height - heights[at]);
  const usual = [...gaps].sort((a, b) => a - b)[Math.floor(gaps.length / 2)];
  const tolerance = Math.max(STEP_TOLERANCE * usual, STEP_TOLERANCE_MM);
  for (const [at, gap] of gaps.entries()) {
    if (gap <= STEP_TOLERANCE_MM) {
      throw new ClaraError(
        'invalid-input',
        `${ordered[at].name} and ${ordered[at + 1].name} lie at the same place: send one phase of the series`,
      );
    }
    if (Math.abs(gap - usual) <= tolerance) continue;
    const between = `${ordered[at].name} and ${ordered[at + 1].name}`;
    const missing = Math.round(gap / usual) - 1;
    const isWhole = missing >= 1 && Math.abs(gap - (missing + 1) * usual) <= tolerance * (missing + 1);
    throw new ClaraError(
      'invalid-input',
      isWhole
        ? `${missing === 1 ? 'a slice is' : `${missing} slices are`} missing between ${between}, which are ${mm(gap)} apart where the others are ${mm(usual)}: send the whole series`
        : `${between} are ${mm(gap)} apart where the others are ${mm(usual)}: slices must have equal distances, so resample the series first`,
    );
  }
  const last = ordered.length - 1;
  const step = scale(subtract(ordered[last].position, ordered[0].position), 1 / last);
  for (const [at, slice] of ordered.entries()) {
    const expected = ordered[0].position.map((value, axis) => value + at * step[axis]) as unknown as Vector3;
    if (distance(slice.position, expected) > 2 * tolerance) {
      throw new ClaraError(
        'invalid-input',
        `${slice.name} lies ${mm(distance(slice.position, expected))} beside the line of the others: resample the series first`,
      );
    }
  }
  return step;
}

function stepOfOne(slice: Slice, normal: Vector3): Vector3 {
  if (slice.thickness !== undefined) return scale(normal, slice.thickness);
  throw new ClaraError(
    'invalid-input',
    `${slice.name} is a single slice without a SliceThickness: send the whole series`,
  );
}

function mm(length: number): string {
  return `${Number(length.toFixed(2))} mm`;
}

function toRas([x, y, z]: Vector3): Vector3 {
  return [0 - x, 0 - y, z];
}

function scale([x, y, z]: Vector3, factor: number): Vector3 {
  return [x * factor, y * factor, z * factor];
}

function subtract(a: Vector3, b: Vector3): Vector3 {
  return [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
}

function distance(a: Vector3, b: Vector3): number {
  return lengthOf(subtract(a, b));
}

function dot(a: Vector3, b: Vector3): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

function cross(a: Vector3, b: Vector3): Vector3 {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}
