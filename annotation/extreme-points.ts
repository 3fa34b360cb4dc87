import { ClaraError } from '../base/errors';
import { squaredDistances } from '../imaging/distance-transform';
import { invertAffine, spacingOf, toWorld } from '../imaging/geometry';
import type { Mask, Shape3, Volume } from '../imaging/volume';
import { withNoiseAtMost } from './denoise';
import { distanceOutside, pairsOf } from './extremes';
import { gradientOf, smoothed } from './gaussian';
import { reachableFrom, withoutHoles } from './mask-shape';
import { minimalPath } from './minimal-path';
import { voxelsIn } from './points';
import { edgeWeights, type RandomWalk, SEED, solveRandomWalk } from './random-walker';
import { type Tissue, TissueRatio, tissueOf, withinTissue } from './tissue-model';
import { breathe, type Interruptible } from './turns';
import { boxAround, cropTo, maskOnVolume, shapeOf, toWorkGrid, type WorkGrid, workEdge } from './work-grid';

/**
 * A structure of a CT from its extreme points, without any training.
 *
 * As in Roth et al., "Going to extremes: weakly supervised medical image segmentation" (Machine Learning and Knowledge
 * Extraction 3, 2021), minimal-cost paths between opposite extreme points give foreground seeds, what lies outside the box of
 * the points gives background seeds, and a random walker (Grady 2006) fills the rest. Here a second walk has priors (Grady
 * 2005) by Bayes' rule: the tissue near the paths against the tissue round the box, and less where the first walk went to the
 * background. Where its answer ends short of a point, that of the first walk stands. The box has a soft rim, because points are
 * clicked by hand. Every constant is in mm or HU and the same for all organs.
 */
export interface ExtremePointsOptions extends Interruptible {
  /** Whether tissue counts. Without it this is the plain random walker. @default true */
  readonly tissue?: boolean;
}

/** Round the box of the points; its voxels say what surrounds the object. */
const PAD_MM = 15;
const MOST_VOXELS = 165_000;
/** Noise of a voxel that all other constants are made for; more is removed first. */
const MOST_NOISE_HU = 20;
/** Smoothing for edges, tissue, and the landscape of the paths, in which a layer of fat of a few mm must stay a wall. */
const SIGMA_MM = { edges: 1, tissue: 2, path: 2 } as const;
const EDGES = { sharpness: 1.5, leak: 3e-3, leastNoise: 3 } as const;
/** Confidence in the prior, on voxels of 3 mm; it stands against squared gradients and so grows with the voxel's area. */
const PRIOR = 0.02;
/** The rim of the box: confidence that 3 mm outside are background (it grows with the square), and where that is certain. */
const RIM = { confidence: 0.03, certainMm: 7, leastMm: 3 } as const;
const PRIOR_EDGE_MM = 3;
/** A point so near to the end of the volume is meant for the end: the structure goes on beyond it. */
const END_OF_VOLUME_MM = 10;
/** Paths choose the most even voxels; how much their tissue varies is seen in what is so near. */
const NEAR_MM = 4;
/** Where paths are nearer to their ends they may run in the object's border. */
const END_MM = 4;
/** Log-odds: of all evidence together, and of the first walk against the object. */
const MOST_EVIDENCE = 6;
const MOST_OF_FIRST_WALK = 4;
/** The first walk comes to a point that it lies so near to; an answer that lies so much farther has lost a part of the object. */
const LOST_MM = 3;
/** Of the solver; the first walk is only one voice among others. */
const TOLERANCE = { first: 1e-3, last: 1e-5 } as const;

/**
 * @param points six or more voxels of the structure's surface, in any order, among them the first and last along each axis
 * @returns 1 in the structure, on the grid of `volume`
 * @throws ClaraError invalid-input for fewer points, points outside, or all in one place; cancelled
 */
export async function segmentByExtremePoints(
  volume: Volume,
  points: readonly Shape3[],
  options: ExtremePointsOptions = {},
): Promise<Mask> {
  if (points.length < 6) {
    throw new ClaraError(
      'invalid-input',
      `There are ${points.length} extreme points; give six or more, at least the first and the last along each axis.`,
    );
  }
  const { geometry } = volume;
  const voxels = voxelsIn(points, geometry, 'extreme point');
  if (voxels.every((voxel) => voxel.every((index, axis) => index === voxels[0][axis]))) {
    throw new ClaraError(
      'invalid-input',
      'All extreme points are the same voxel; give points on all sides of the structure.',
    );
  }
  const box = boxAround(voxels, geometry, PAD_MM);
  const crop = cropTo(volume, box);
  const cells = toWorkGrid(withinTissue(crop), workEdge(crop.geometry, MOST_VOXELS));
  const grid = withNoiseAtMost(cells, MOST_NOISE_HU);
  const toGrid = invertAffine(grid.geometry.affine);
  const placed = voxels.map((voxel) => {
    const at = toWorld(toGrid, toWorld(geometry.affine, voxel));
    return shapeOf((axis) => Math.min(grid.geometry.shape[axis] - 1, Math.max(0, Math.round(at[axis]))));
  });
  await breathe(options);
  const scene = new Scene(grid, placed);
  const seeds = await scene.findSeeds(options);
  const probability = scene.walk(seeds, options.tissue ?? true);
  await breathe(options);
  const { shape } = grid.geometry;
  const whole = withoutHoles(reachableFrom(Uint8Array.from(probability, isInside), shape, seeds.voxels), shape);
  // Where something was cut off or filled, the probability must not bring it back.
  const cleaned = Float32Array.from(probability, (value, at) =>
    whole[at] === 1 ? Math.max(value, 0.5) : Math.min(value, 0.49),
  );
  return maskOnVolume({ geometry: grid.geometry, data: cleaned }, box, geometry);
}

const isInside = (probability: number): number => (probability >= 0.5 ? 1 : 0);

interface Seeds {
  /** Voxel offsets, each once. */
  readonly voxels: readonly number[];
  readonly tissue: Tissue;
}

/** The work grid with the points in it, and what follows from both. */
class Scene {
  private readonly shape: Shape3;
  private readonly spacing: readonly [number, number, number];
  private readonly tissueHu: Float32Array;
  private readonly gradient: Float32Array;
  /** mm outside the box of the points; negative inside. */
  private readonly outside: Float32Array;
  private readonly pairs: readonly (readonly [number, number])[];
  private readonly points: readonly number[];
  private readonly rimMm: number;

  constructor(
    private readonly grid: WorkGrid,
    points: readonly Shape3[],
  ) {
    this.shape = grid.geometry.shape;
    this.spacing = spacingOf(grid.geometry);
    this.tissueHu = smoothed(grid, SIGMA_MM.tissue);
    this.gradient = gradientOf({ ...grid, data: smoothed(grid, SIGMA_MM.path) });
    // Around the points there are PAD_MM, unless the volume ends before.
    const isNearEnd = (cells: number, axis: number): boolean => cells * this.spacing[axis] < END_OF_VOLUME_MM;
    const first = shapeOf((axis) => {
      const least = Math.min(...points.map((point) => point[axis]));
      return isNearEnd(least, axis) ? 0 : least;
    });
    const last = shapeOf((axis) => {
      const most = Math.max(...points.map((point) => point[axis]));
      const end = this.shape[axis] - 1;
      return isNearEnd(end - most, axis) ? end : most;
    });
    this.outside = distanceOutside(this.shape, this.spacing, first, last);
    this.pairs = pairsOf(points, (point) => this.offsetOf(point));
    this.points = points.map((point) => this.offsetOf(point));
    const longest = Math.max(...[0, 1, 2].map((axis) => (last[axis] - first[axis] + 1) * this.spacing[axis]));
    this.rimMm = Math.min(RIM.certainMm, Math.max(RIM.leastMm, longest / 8));
  }

  private offsetOf([i, j, k]: Shape3): number {
    return (k * this.shape[1] + j) * this.shape[0] + i;
  }

  private distance(a: number, b: number): number {
    const [ni, nj] = this.shape;
    const [hi, hj, hk] = this.spacing;
    const along = (at: number): Shape3 => [at % ni, Math.floor(at / ni) % nj, Math.floor(at / (ni * nj))];
    const [p, q] = [along(a), along(b)];
    return Math.hypot((p[0] - q[0]) * hi, (p[1] - q[1]) * hj, (p[2] - q[2]) * hk);
  }

  /** Paths of low gradient first; with the tissue found on them, paths through that tissue. */
  async findSeeds(options: Interruptible): Promise<Seeds> {
    const { tissueHu } = this;
    const first = await this.pathsBy((at) => this.roughness(at), options);
    const tissue = tissueOf(first.map((at) => tissueHu[at]));
    const strangeness = (at: number): number =>
      Math.min(4, ((tissueHu[at] - tissue.median) / (2 * tissue.spread)) ** 2);
    const second = await this.pathsBy((at) => this.roughness(at) + strangeness(at), options);
    const alike = second.filter((at) => Math.abs(tissueHu[at] - tissue.median) < 3 * tissue.spread);
    return { voxels: [...new Set(alike.length === 0 ? second : alike)].sort((a, b) => a - b), tissue };
  }

  /** Cost of a millimetre: its length, the gradient, and a good deal more outside the box. */
  private roughness(at: number): number {
    return 0.3 + this.gradient[at] / 5 + (this.outside[at] > 0 ? 5 : 0);
  }

  private async pathsBy(costOf: (at: number) => number, options: Interruptible): Promise<number[]> {
    const cost = new Float32Array(this.tissueHu.length);
    for (let at = 0; at < cost.length; at += 1) cost[at] = costOf(at);
    const inner: number[] = [];
    for (const [from, to] of this.pairs) {
      const path = minimalPath(cost, this.shape, this.spacing, from, to);
      const end = Math.min(END_MM, this.distance(from, to) / 4);
      const far = path.filter((at) => this.distance(at, from) > end && this.distance(at, to) > end);
      inner.push(...(far.length === 0 ? [path[path.length >> 1]] : far));
      await breathe(options);
    }
    return inner;
  }

  /** The probability of each voxel to belong to the object. */
  walk(seeds: Seeds, useTissue: boolean): Float64Array {
    const { shape, spacing, tissueHu, outside } = this;
    const { voxels, tissue } = seeds;
    const edgeHu = smoothed(this.grid, SIGMA_MM.edges);
    const noise = noiseAt(voxels, edgeHu, tissueHu, shape, tissue);
    const weights = edgeWeights(edgeHu, shape, spacing, { ...EDGES, noise });
    if (!useTissue) return this.solve(voxels, weights, TOLERANCE.last);
    const first = this.solve(voxels, weights, TOLERANCE.first);
    const ratio = this.ratioOf(seeds);
    const second = this.solve(voxels, weights, TOLERANCE.last, (at) => {
      // The first walk may speak against the object, not for it: beyond an edge there may be more of the same tissue.
      const u = Math.min(0.5, Math.max(1e-6, first[at]));
      const walked = Math.max(-MOST_OF_FIRST_WALK, Math.log(u / (1 - u)));
      return Math.min(MOST_EVIDENCE, ratio.of(tissueHu[at])) + walked - Math.max(0, outside[at]);
    });
    return this.hasLost(second, first, voxels) ? first : second;
  }

  /**
   * Whether the second answer ends short of a point that the first comes to: an object touches all sides of its box (Lempitsky et
   * al., "Image segmentation with a bounding box prior", ICCV 2009), so it has a tissue that the priors do not know.
   */
  private hasLost(second: Float64Array, first: Float64Array, seeds: readonly number[]): boolean {
    const [before, after] = [this.missesOf(first, seeds), this.missesOf(second, seeds)];
    return after.some((miss, point) => before[point] <= LOST_MM && miss - before[point] > LOST_MM);
  }

  /** mm from each point to the answer; the next voxel is no miss. */
  private missesOf(probability: Float64Array, seeds: readonly number[]): number[] {
    const part = reachableFrom(Uint8Array.from(probability, isInside), this.shape, seeds);
    const distances = squaredDistances(part, this.shape, this.spacing);
    const next = Math.max(...this.spacing);
    return this.points.map((at) => Math.max(0, Math.sqrt(distances[at]) - next));
  }

  private ratioOf({ voxels, tissue }: Seeds): TissueRatio {
    const { tissueHu, outside } = this;
    const near: number[] = [];
    const isSeed = new Uint8Array(outside.length);
    for (const at of voxels) isSeed[at] = 1;
    const around: number[] = [];
    const distances = squaredDistances(isSeed, this.shape, this.spacing);
    for (let at = 0; at < outside.length; at += 1) {
      if (outside[at] <= 0 && distances[at] <= NEAR_MM * NEAR_MM) near.push(tissueHu[at]);
      if (outside[at] > 3) around.push(tissueHu[at]);
    }
    return new TissueRatio({ median: tissue.median, spread: tissueOf(near).spread }, around);
  }

  /** @param evidence log-odds of a voxel to belong to the object; without it the plain random walker */
  private solve(
    voxels: readonly number[],
    weights: RandomWalk['weights'],
    tolerance: number,
    evidence?: (at: number) => number,
  ): Float64Array {
    const { shape, spacing, outside, rimMm } = this;
    const area = (Math.min(...spacing) / PRIOR_EDGE_MM) ** 2;
    const prior = evidence === undefined ? 0 : PRIOR * area;
    const confidence = new Float64Array(outside.length);
    const belief = new Float64Array(outside.length);
    for (let at = 0; at < outside.length; at += 1) {
      const rim = Math.max(0, outside[at]);
      const logOdds = Math.max(-MOST_EVIDENCE, Math.min(MOST_EVIDENCE, evidence?.(at) ?? 0));
      belief[at] = prior / (1 + Math.exp(-logOdds));
      confidence[at] = prior + RIM.confidence * area * (rim / PRIOR_EDGE_MM) ** 2;
      if (outside[at] <= rimMm) continue;
      belief[at] = 0;
      confidence[at] = SEED;
    }
    for (const at of voxels) {
      belief[at] = SEED;
      confidence[at] = SEED;
    }
    return solveRandomWalk({ shape, weights, confidence, belief }, tolerance);
  }
}

/** Standard deviation of the difference of neighbours within the object, HU. */
function noiseAt(
  seeds: readonly number[],
  edgeHu: Float32Array,
  tissueHu: Float32Array,
  [ni, nj, nk]: Shape3,
  tissue: Tissue,
): number {
  const steps: number[] = [];
  for (const at of seeds) {
    const room = [at % ni < ni - 1, Math.floor(at / ni) % nj < nj - 1, Math.floor(at / (ni * nj)) < nk - 1];
    [1, ni, ni * nj].forEach((stride, axis) => {
      const next = at + stride;
      if (room[axis] && Math.abs(tissueHu[next] - tissue.median) < 3 * tissue.spread) {
        steps.push(edgeHu[next] - edgeHu[at]);
      }
    });
  }
  return Math.max(EDGES.leastNoise, tissueOf(steps).spread);
}
