import { ClaraError } from '../base/errors';
import { deriveSeed, seededRandom } from '../base/random';
import { type Anatomy, drawAnatomy, type Organ, TISSUE_HU, WALL } from './phantom-anatomy';
import type { Affine, Geometry, Mask, Shape3, Vector3, Volume } from './volume';

/**
 * A CT-like abdomen with a labelled spleen, made from numbers alone. It shows that federated training works; it says nothing
 * about clinical quality.
 */

/** How one hospital's scanner and protocol differ from another's. */
export interface PhantomStyle {
  /** Standard deviation of the voxel noise, HU. @default 30 */
  readonly noise?: number;
  /** Calibration offset added to every voxel, HU. @default 0 */
  readonly shift?: number;
  /** Factor on the density of perfused organs. @default 1 */
  readonly contrast?: number;
}

export interface PhantomOptions extends PhantomStyle {
  /** @default [64, 64, 48] */
  readonly shape?: Shape3;
  /** Millimetres along i, j, k. @default such that the field of view is 320 x 320 x 240 mm */
  readonly spacing?: Vector3;
}

export interface Phantom {
  /** Hounsfield units, RAS+ axes, the world's origin in the middle of the grid. */
  readonly image: Volume<Int16Array>;
  /** 1 in the spleen, 0 elsewhere. */
  readonly label: Mask;
}

export interface NamedPhantomStyle extends Required<PhantomStyle> {
  readonly name: string;
}

/**
 * Styles for the sites of a demonstration, in order; site n takes style n modulo their number. The first three lie so far
 * apart that a model of one site alone misses spleens at another, while one model can still learn them all.
 */
export const PHANTOM_SITE_STYLES: readonly NamedPhantomStyle[] = [
  { name: 'standard dose', noise: 25, shift: 5, contrast: 1.05 },
  { name: 'weak contrast', noise: 35, shift: -45, contrast: 0.65 },
  { name: 'strong contrast', noise: 30, shift: 45, contrast: 1.5 },
  { name: 'early phase', noise: 30, shift: 10, contrast: 1.15 },
  { name: 'late phase', noise: 40, shift: -20, contrast: 0.85 },
  { name: 'high dose', noise: 18, shift: 25, contrast: 1.25 },
  { name: 'old scanner', noise: 45, shift: -30, contrast: 0.8 },
  { name: 'low dose', noise: 48, shift: 0, contrast: 0.95 },
];

export const PHANTOM_LABELS: Readonly<Record<string, string>> = { '0': 'background', '1': 'spleen' };

const SPLEEN = 1;
const DEFAULT_SHAPE: Shape3 = [64, 64, 48];
const DEFAULT_FIELD_OF_VIEW: Vector3 = [320, 320, 240];
/** Ribs slope downwards round the chest; between two of them there is about twice a rib's height. */
const RIB_GAP = 0.55;
const CT_RANGE = { low: -1024, high: 3071 } as const;

/**
 * Draws patient `seed`. The same seed and options give the same voxels; the anatomy depends on the seed alone, so that two
 * styles can be compared on one patient.
 *
 * @throws ClaraError invalid-input when a dimension is not a positive integer or a spacing not a positive number
 */
export function makePhantom(seed: number, options: PhantomOptions = {}): Phantom {
  const { shape = DEFAULT_SHAPE, noise = 30, shift = 0, contrast = 1 } = options;
  const spacing = options.spacing ?? spacingFor(shape);
  checkGrid(shape, spacing);
  const anatomy = drawAnatomy(seed, contrast);
  const density = new Float32Array(shape[0] * shape[1] * shape[2]).fill(TISSUE_HU.air);
  const label = new Uint8Array(density.length);
  paintTrunk(density, shape, anatomy);
  for (const organ of anatomy.organs) paintOrgan(density, label, shape, anatomy, organ);
  const geometry = geometryOf(shape, spacing);
  return {
    image: { geometry, data: scan(density, shape, anatomy, { seed, noise, shift }) },
    label: { geometry, data: label },
  };
}

function spacingFor(shape: Shape3): Vector3 {
  const [x, y, z] = DEFAULT_FIELD_OF_VIEW;
  return [x / shape[0], y / shape[1], z / shape[2]];
}

function checkGrid(shape: Shape3, spacing: Vector3): void {
  if (!shape.every((size) => Number.isInteger(size) && size > 0)) {
    throw new ClaraError('invalid-input', `a phantom of shape [${shape}] cannot be drawn: use three positive integers`);
  }
  if (!spacing.every((step) => Number.isFinite(step) && step > 0)) {
    throw new ClaraError('invalid-input', `a phantom with spacing [${spacing}] cannot be drawn: use three positive mm`);
  }
}

function geometryOf(shape: Shape3, spacing: Vector3): Geometry {
  const [x, y, z] = spacing.map((step, axis) => (-step * (shape[axis] - 1)) / 2);
  const affine: Affine = [spacing[0], 0, 0, x, 0, spacing[1], 0, y, 0, 0, spacing[2], z];
  return { shape, affine };
}

/**
 * Fractions of the field of view at the voxel centres of one axis. Axes are RAS+ while fractions grow to the left, back and
 * feet, so every axis runs backwards.
 */
function fractions(size: number): Float64Array {
  return Float64Array.from({ length: size }, (_, index) => 1 - (index + 0.5) / size);
}

function trunkLevel(anatomy: Anatomy, left: number, back: number): number {
  const x = (left - 0.5) / anatomy.trunk.radiusLeft;
  const y = (back - 0.5) / anatomy.trunk.radiusBack;
  return x * x + y * y;
}

function paintTrunk(density: Float32Array, [ni, nj, nk]: Shape3, anatomy: Anatomy): void {
  const lefts = fractions(ni);
  const backs = fractions(nj);
  const downs = fractions(nk);
  for (let j = 0; j < nj; j += 1) {
    for (let i = 0; i < ni; i += 1) {
      const level = trunkLevel(anatomy, lefts[i], backs[j]);
      if (level >= 1) continue;
      const tissue = wallTissue(level);
      const inRibLayer = level > WALL.ribsFrom && level < WALL.ribsTo;
      const angle = inRibLayer ? Math.atan2(backs[j] - 0.5, lefts[i] - 0.5) : 0;
      for (let k = 0; k < nk; k += 1) {
        const rib = inRibLayer && Math.sin(angle * 7 + downs[k] * 40) > RIB_GAP;
        density[(k * nj + j) * ni + i] = rib ? TISSUE_HU.rib : tissue;
      }
    }
  }
}

function wallTissue(level: number): number {
  if (level > WALL.fatFrom) return TISSUE_HU.fat;
  return level > WALL.cavity ? TISSUE_HU.muscle : TISSUE_HU.visceral;
}

/** Organs stay inside the rib cage, except those of the back, which lie in the muscle behind it. */
function paintOrgan(density: Float32Array, label: Uint8Array, shape: Shape3, anatomy: Anatomy, organ: Organ): void {
  const [ni, nj, nk] = shape;
  const [centreLeft, centreBack, centreDown] = organ.centre;
  const [radiusLeft, radiusBack, radiusDown] = organ.radii;
  const reach = organ.turn === 0 ? undefined : Math.max(radiusLeft, radiusBack);
  const iRange = indexRange(ni, centreLeft, reach ?? radiusLeft);
  const jRange = indexRange(nj, centreBack, reach ?? radiusBack);
  const kRange = indexRange(nk, centreDown, radiusDown);
  const cos = Math.cos(organ.turn);
  const sin = Math.sin(organ.turn);
  const lefts = fractions(ni);
  const backs = fractions(nj);
  const downs = fractions(nk);
  const value = organ.name === 'spleen' ? SPLEEN : 0;
  const outermost = organ.name === 'spinous process' ? WALL.fatFrom : WALL.ribsFrom;
  for (let j = jRange.from; j < jRange.to; j += 1) {
    for (let i = iRange.from; i < iRange.to; i += 1) {
      const left = lefts[i] - centreLeft;
      const back = backs[j] - centreBack;
      const x = (sin * back + cos * left) / radiusLeft;
      const y = (cos * back - sin * left) / radiusBack;
      const inPlane = x * x + y * y;
      if (inPlane >= 1 || trunkLevel(anatomy, lefts[i], backs[j]) > outermost) continue;
      for (let k = kRange.from; k < kRange.to; k += 1) {
        const z = (downs[k] - centreDown) / radiusDown;
        if (organ.form === 'ellipsoid' && inPlane + z * z >= 1) continue;
        const at = (k * nj + j) * ni + i;
        density[at] = organ.hu;
        label[at] = value;
      }
    }
  }
}

/** The indices whose centres lie within `radius` of `centre`, both in fractions that run against the index. */
function indexRange(size: number, centre: number, radius: number): { from: number; to: number } {
  const from = Math.ceil((1 - centre - radius) * size - 0.5);
  const to = Math.floor((1 - centre + radius) * size - 0.5) + 1;
  return { from: Math.max(0, from), to: Math.min(size, to) };
}

interface Scan {
  readonly seed: number;
  readonly noise: number;
  readonly shift: number;
}

function scan(
  density: Float32Array,
  [ni, nj, nk]: Shape3,
  { shading }: Anatomy,
  { seed, noise, shift }: Scan,
): Int16Array {
  const random = seededRandom(deriveSeed('phantom noise', seed));
  const alongLeft = fractions(ni).map((left) => Math.sin(shading.alongLeft * left + shading.phase));
  const alongBack = fractions(nj).map((back) => shading.amplitude * Math.cos(shading.alongBack * back));
  const voxels = new Int16Array(density.length);
  let at = 0;
  for (let k = 0; k < nk; k += 1) {
    for (let j = 0; j < nj; j += 1) {
      for (let i = 0; i < ni; i += 1, at += 1) {
        const inside = density[at] > TISSUE_HU.air;
        const hu = density[at] + (inside ? alongLeft[i] * alongBack[j] : 0) + shift + noise * random.normal();
        voxels[at] = Math.round(Math.min(CT_RANGE.high, Math.max(CT_RANGE.low, hu)));
      }
    }
  }
  return voxels;
}
