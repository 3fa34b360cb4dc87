import { deriveSeed, seededRandom } from '../../base/random';
import { affineOf, columnOf, lengthOf, toWorld } from '../../imaging/affine';
import { resampleMaskTo, resampleTo } from '../../imaging/resample';
import type { Geometry, Mask, Shape3, Vector3, Volume } from '../../imaging/volume';
import { extremesOf, type Organ } from './organs';

/** What a person and a scanner might have made of the same organ. */
export interface Perturbed {
  readonly kind: string;
  readonly image: Volume;
  readonly truth: Mask;
  readonly points: readonly Shape3[];
}

const SEED = 1;
const NOISE_HU = 25;
/** A scanner that is badly calibrated, exported with an abdominal window. */
const WINDOW = { slope: 1.15, shift: -15, low: -140, high: 260 } as const;
/** Other grids: mm along i, j, k; which axes run backwards; how far the axes are turned, in radians. */
const GRIDS: readonly (readonly [kind: string, spacing: Vector3, signs: Vector3, turn: number])[] = [
  ['1.5 x 1.5 x 3 mm, flipped', [1.5, 1.5, 3], [-1, 1, 1], 0],
  ['2 x 2 x 5 mm, flipped', [2, 2, 5], [-1, -1, 1], 0],
  ['4 mm', [4, 4, 4], [1, 1, 1], 0],
  ['2.5 x 2.5 x 3.5 mm, oblique', [2.5, 2.5, 3.5], [1, -1, -1], 0.3],
];

/** Organs of one image share what is made of it. */
export class Perturbations {
  private readonly made = new Map<Volume, readonly (readonly [kind: string, image: Volume])[]>();

  /** Other voxels of the faces, each moved by up to 1, 2 or 3 voxels along every axis; other grids; noise; another window. */
  of({ image, truth }: Organ, trials: number): Perturbed[] {
    const moved = Array.from({ length: trials }, (_, trial): Perturbed => {
      const reach = 1 + (trial % 3);
      return { kind: `moved by ${reach}`, image, truth, points: movedPoints(truth, trial, reach) };
    });
    const images = this.made.get(image) ?? imagesFrom(image);
    this.made.set(image, images);
    const others = images.map(([kind, other]): Perturbed => {
      const same = other.geometry === truth.geometry;
      const mask = same ? truth : resampleMaskTo(truth, other.geometry, 'linear');
      return { kind, image: other, truth: mask, points: extremesOf(mask, () => 0) };
    });
    return [...moved, ...others];
  }
}

function movedPoints(truth: Mask, trial: number, reach: number): Shape3[] {
  const random = seededRandom(deriveSeed('annotation bench', SEED, trial));
  const { shape } = truth.geometry;
  return extremesOf(truth, () => random.uniform()).map((point): Shape3 => {
    const [i, j, k] = point.map((index, axis) => {
      const moved = index + Math.round((2 * random.uniform() - 1) * reach);
      return Math.min(shape[axis] - 1, Math.max(0, moved));
    });
    return [i, j, k];
  });
}

function imagesFrom({ geometry, data }: Volume): [kind: string, image: Volume][] {
  const random = seededRandom(deriveSeed('annotation bench noise', SEED));
  const noisy = Float32Array.from(data, (hu) => hu + NOISE_HU * random.normal());
  const { slope, shift, low, high } = WINDOW;
  const windowed = Float32Array.from(data, (hu) => Math.min(high, Math.max(low, slope * hu + shift)));
  return [
    ['noise', { geometry, data: noisy }],
    ['window', { geometry, data: windowed }],
    ...GRIDS.map(([kind, spacing, signs, turn]): [string, Volume] => [
      kind,
      resampleTo({ geometry, data }, turnedGrid(geometry, spacing, signs, turn)),
    ]),
  ];
}

/** A grid round the same middle with axes of its own, as long as those of `geometry`. */
export function turnedGrid(geometry: Geometry, spacing: Vector3, signs: Vector3, turn: number): Geometry {
  const { shape, affine } = geometry;
  const cells = spacing.map((step, axis) =>
    Math.max(1, Math.round((shape[axis] * lengthOf(columnOf(affine, axis))) / step)),
  ) as unknown as Shape3;
  const [c, s] = [Math.cos(turn), Math.sin(turn)];
  const [d, t] = [Math.cos(turn / 2), Math.sin(turn / 2)];
  const directions: Vector3[] = [
    [c, s * d, s * t],
    [-s, c * d, c * t],
    [0, -t, d],
  ];
  const [x, y, z] = directions.map(
    (direction, axis) => direction.map((part) => part * spacing[axis] * signs[axis]) as unknown as Vector3,
  );
  const middle = toWorld(affine, [(shape[0] - 1) / 2, (shape[1] - 1) / 2, (shape[2] - 1) / 2]);
  const half = toWorld(affineOf([x, y, z], [0, 0, 0]), [(cells[0] - 1) / 2, (cells[1] - 1) / 2, (cells[2] - 1) / 2]);
  return {
    shape: cells,
    affine: affineOf([x, y, z], [middle[0] - half[0], middle[1] - half[1], middle[2] - half[2]]),
  };
}
