import { ClaraError } from '../base/errors';
import { invertAffine, spacingOf, toWorld } from '../imaging/geometry';
import type { Geometry, Mask, Shape3, Vector3, Volume } from '../imaging/volume';
import { type ClickGrid, clickGrid } from './click-grid';
import { smoothed } from './gaussian';
import { reachableFrom, withoutHoles } from './mask-shape';
import { voxelsIn } from './points';
import { edgeWeights, SEED, solveRandomWalk } from './random-walker';
import { breathe, type Interruptible } from './turns';
import { type IndexBox, maskOnVolume, shapeOf } from './work-grid';

/**
 * A structure of a CT from clicks on it and beside it, without any training. The conversation is that of Deepgrow (Sakinis et
 * al., "Interactive segmentation of medical images through fully convolutional neural networks", arXiv:1903.08205); what answers
 * is a random walker with priors (Grady 2005), one for every request.
 *
 * Answers are monotone: with one more foreground click the mask contains the one before, with one more background click it is
 * contained in it. And each clicked voxel is answered as it was clicked, whatever else is; as background where it was clicked as both.
 * For the first, edges and voxel sizes depend on the volume alone; each foreground click only adds belief and
 * room, each background click only takes belief; the walker's u grows with belief (see `random-walker.ts`), and so does
 * what hangs together with the clicks, holes filled.
 */
export interface Clicks {
  /** Voxels of the structure, at least one. */
  readonly foreground: readonly Shape3[];
  /** Voxels that do not belong to it. */
  readonly background: readonly Shape3[];
}

export interface DeepgrowResult {
  readonly mask: Mask;
  /** What was looked at: first and last index along i, j, k. Outside it the mask is 0. */
  readonly box: IndexBox;
}

/** How far the structure of a click is looked for. */
const REACH_MM = 90;
/** Around the box everything is background, and smoothing within it does not reach beyond. */
const HALO_MM = 9;
const SIGMA_MM = { edges: 1, tissue: 2 } as const;
const EDGES = { sharpness: 1.5, leak: 3e-3 } as const;
const PRIOR = 0.03;
const PRIOR_EDGE_MM = 3;
/** Belief in the background where nobody has clicked, against 1 for tissue that is exactly that of a foreground click. */
const DOUBT = 0.3;
/** How far a click speaks for its tissue, mm (standard deviation). */
const FOREGROUND_MM = 45;
const BACKGROUND_MM = 15;
/** Spread of a tissue in smoothed HU. */
const TISSUE_HU = 14;
/** A click is meant for what is this near. */
const CLICK_MM = 4;

/**
 * @param slice index k of the only slice that is looked at and filled; without it the structure is found in 3D
 * @throws ClaraError invalid-input without a foreground click, or for a click outside the volume; cancelled
 */
export async function segmentByClicks(
  volume: Volume,
  clicks: Clicks,
  options: Interruptible & { readonly slice?: number } = {},
): Promise<DeepgrowResult> {
  const { geometry } = volume;
  const { slice } = options;
  const inSlice = (voxels: Shape3[]): Shape3[] => voxels.filter(([, , k]) => slice === undefined || k === slice);
  const foreground = inSlice(voxelsIn(clicks.foreground, geometry, 'foreground click'));
  const background = inSlice(voxelsIn(clicks.background, geometry, 'background click'));
  if (foreground.length === 0) {
    const where = slice === undefined ? '' : ` in slice ${slice}`;
    throw new ClaraError(
      'invalid-input',
      `There is no foreground click${where}; click at least once on the structure.`,
    );
  }
  const grid = clickGrid(volume, foreground, { reachMm: REACH_MM, haloMm: HALO_MM, slice });
  await breathe(options);
  const toGrid = invertAffine(grid.geometry.affine);
  const place = (voxel: Shape3): Shape3 => {
    const at = toWorld(toGrid, toWorld(geometry.affine, voxel));
    return shapeOf((axis) => Math.round(at[axis]));
  };
  const { shape } = grid.geometry;
  const placedF = foreground.map(place);
  const placedB = background.map(place);
  const probability = walk(grid, placedF, placedB);
  await breathe(options);

  const offsets = (placed: readonly Shape3[]): number[] =>
    offsetsIn(
      placed.filter((at) => isIn(at, shape)),
      shape,
    );
  const inside = Uint8Array.from(probability, (value) => (value >= 0.5 ? 1 : 0));
  const whole = withoutHoles(reachableFrom(inside, shape, offsets(placedF)), shape, offsets(placedB));
  const cleaned = Float32Array.from(probability, (value, at) =>
    whole[at] === 1 ? Math.max(value, 0.5) : Math.min(value, 0.49),
  );
  const { data } = maskOnVolume({ geometry: grid.geometry, data: cleaned }, grid.box, geometry);
  // Whatever the walk came to, between clicks that are near to each other above all.
  for (const at of offsetsIn(foreground, geometry.shape)) data[at] = 1;
  for (const at of offsetsIn(background, geometry.shape)) data[at] = 0;
  return { mask: { geometry, data }, box: grid.box };
}

function offsetsIn(voxels: readonly Shape3[], [ni, nj]: Shape3): number[] {
  return voxels.map(([i, j, k]) => (k * nj + j) * ni + i);
}

function isIn(at: Shape3, shape: Shape3): boolean {
  return at.every((index, axis) => index >= 0 && index < shape[axis]);
}

function walk(grid: ClickGrid, foreground: readonly Shape3[], background: readonly Shape3[]): Float64Array {
  const { shape } = grid.geometry;
  const spacing = spacingOf(grid.geometry);
  const tissueHu = smoothed(grid, SIGMA_MM.tissue);
  const inPlane: Vector3 = shape[2] === 1 ? [spacing[0], spacing[1], Math.max(spacing[0], spacing[1])] : spacing;
  const area = (Math.min(...inPlane) / PRIOR_EDGE_MM) ** 2;
  const object = evidence(foreground, tissueHu, grid.geometry, FOREGROUND_MM);
  const other = evidence(background, tissueHu, grid.geometry, BACKGROUND_MM);
  const confidence = new Float64Array(tissueHu.length);
  const belief = new Float64Array(tissueHu.length);
  for (let at = 0; at < belief.length; at += 1) {
    belief[at] = PRIOR * area * object[at];
    confidence[at] = belief[at] + PRIOR * area * (DOUBT + other[at]);
    if (grid.closed[at] === 0) continue;
    belief[at] = 0;
    confidence[at] = SEED;
  }
  for (const at of nearTo(foreground, grid.geometry)) {
    belief[at] += SEED;
    confidence[at] += SEED;
  }
  for (const at of nearTo(background, grid.geometry)) confidence[at] += SEED;
  const weights = edgeWeights(smoothed(grid, SIGMA_MM.edges), shape, inPlane, { ...EDGES, noise: grid.noise });
  return solveRandomWalk({ shape, weights, confidence, belief });
}

/** For each voxel the strongest claim that any click has on it: 1 for its own tissue at its own place. */
function evidence(clicks: readonly Shape3[], hu: Float32Array, geometry: Geometry, reachMm: number): Float64Array {
  const { shape } = geometry;
  const [hi, hj, hk] = spacingOf(geometry);
  const strongest = new Float64Array(hu.length);
  for (const [ci, cj, ck] of clicks) {
    const own = [ci, cj, ck].map((index, axis) => Math.min(shape[axis] - 1, Math.max(0, index)));
    const value = hu[(own[2] * shape[1] + own[1]) * shape[0] + own[0]];
    let at = 0;
    for (let k = 0; k < shape[2]; k += 1) {
      for (let j = 0; j < shape[1]; j += 1) {
        const row = ((k - ck) * hk) ** 2 + ((j - cj) * hj) ** 2;
        for (let i = 0; i < shape[0]; i += 1, at += 1) {
          const away = (row + ((i - ci) * hi) ** 2) / reachMm ** 2;
          const claim = Math.exp(-0.5 * (away + ((hu[at] - value) / TISSUE_HU) ** 2));
          if (claim > strongest[at]) strongest[at] = claim;
        }
      }
    }
  }
  return strongest;
}

/** Offsets of the voxels within a click's own ball, once for each click. */
function nearTo(clicks: readonly Shape3[], geometry: Geometry): number[] {
  const { shape } = geometry;
  const spacing = spacingOf(geometry);
  const offsets: number[] = [];
  const [ri, rj, rk] = spacing.map((step) => Math.floor(CLICK_MM / step));
  for (const [ci, cj, ck] of clicks) {
    for (let k = ck - rk; k <= ck + rk; k += 1) {
      for (let j = cj - rj; j <= cj + rj; j += 1) {
        for (let i = ci - ri; i <= ci + ri; i += 1) {
          const away = Math.hypot((i - ci) * spacing[0], (j - cj) * spacing[1], (k - ck) * spacing[2]);
          if (away <= CLICK_MM && isIn([i, j, k], shape)) offsets.push((k * shape[1] + j) * shape[0] + i);
        }
      }
    }
  }
  return offsets;
}
