import { segmentByClicks } from '../../annotation/deepgrow';
import { segmentByExtremePoints } from '../../annotation/extreme-points';
import { nextClick } from '../../annotation/simulated-clicks';
import { deriveSeed, seededRandom } from '../../base/random';
import { dice } from '../../imaging/metrics';
import type { Mask, Shape3 } from '../../imaging/volume';
import { extremesOf, type Organ, organsIn } from './organs';
import { writeMontage } from './pictures';

/** One method on one organ. */
export interface AnnotationRow {
  readonly case: 'annotation';
  readonly organ: string;
  readonly method: string;
  readonly dice: number;
  /** Processor seconds of an answer, the slowest. */
  readonly seconds: number;
  /** Dice when other voxels of the faces are taken and every index is off by up to 1, 2 or 3: lowest and median. */
  readonly jitter?: { readonly lowest: number; readonly median: number };
  /** Dice after each click. */
  readonly clicks?: readonly number[];
}

export interface AnnotationCase {
  readonly data: string;
  readonly trials: number;
  readonly pictures?: string;
}

const CLICKS = 5;
const SEED = 1;

export async function* benchAnnotation({ data, trials, pictures }: AnnotationCase): AsyncGenerator<AnnotationRow> {
  for (const organ of await organsIn(data)) {
    const answers: { readonly method: string; readonly mask: Mask }[] = [];
    for (const [method, tissue] of [
      ['random walker', false],
      ['with priors', true],
    ] as const) {
      const { row, mask } = await byPoints(organ, method, tissue, trials);
      answers.push({ method, mask });
      yield row;
    }
    const clicked = await byClicks(organ);
    answers.push({ method: 'clicks', mask: clicked.mask });
    yield clicked.row;
    if (pictures !== undefined) await writeMontage(pictures, organ, answers);
  }
}

async function byPoints(organ: Organ, method: string, tissue: boolean, trials: number) {
  const clock = new Stopwatch();
  const segment = (points: readonly Shape3[]) =>
    clock.time(() => segmentByExtremePoints(organ.image, points, { tissue }));
  const mask = await segment(extremesOf(organ.truth, () => 0));
  const found: number[] = [];
  for (let trial = 0; trial < trials; trial += 1) {
    found.push(dice(organ.truth.data, (await segment(jittered(organ, trial))).data));
  }
  const sorted = found.sort((a, b) => a - b);
  const row: AnnotationRow = {
    case: 'annotation',
    organ: organ.name,
    method,
    dice: round(dice(organ.truth.data, mask.data)),
    seconds: clock.slowest,
    jitter: { lowest: round(sorted[0]), median: round(sorted[sorted.length >> 1]) },
  };
  return { row, mask };
}

function jittered({ truth }: Organ, trial: number): Shape3[] {
  const random = seededRandom(deriveSeed('annotation bench', SEED, trial));
  const reach = 1 + (trial % 3);
  const { shape } = truth.geometry;
  return extremesOf(truth, () => random.uniform()).map((point): Shape3 => {
    const [i, j, k] = point.map((index, axis) => {
      const moved = index + Math.round((2 * random.uniform() - 1) * reach);
      return Math.min(shape[axis] - 1, Math.max(0, moved));
    });
    return [i, j, k];
  });
}

async function byClicks({ name, image, truth }: Organ) {
  const clock = new Stopwatch();
  const clicks: { foreground: Shape3[]; background: Shape3[] } = { foreground: [], background: [] };
  const reached: number[] = [];
  let mask: Mask = { geometry: truth.geometry, data: new Uint8Array(truth.data.length) };
  for (let count = 0; count < CLICKS; count += 1) {
    const next = nextClick(truth, mask);
    if (next === undefined) break;
    clicks[next.foreground ? 'foreground' : 'background'].push(next.at);
    mask = (await clock.time(() => segmentByClicks(image, clicks))).mask;
    reached.push(round(dice(truth.data, mask.data)));
  }
  const row: AnnotationRow = {
    case: 'annotation',
    organ: name,
    method: `${CLICKS} clicks`,
    dice: reached[reached.length - 1],
    seconds: clock.slowest,
    clicks: reached,
  };
  return { row, mask };
}

class Stopwatch {
  private most = 0;

  /** Seconds, to two places. */
  get slowest(): number {
    return Number(this.most.toFixed(2));
  }

  async time<Result>(work: () => Promise<Result>): Promise<Result> {
    const before = process.cpuUsage();
    const result = await work();
    const { user, system } = process.cpuUsage(before);
    this.most = Math.max(this.most, (user + system) / 1e6);
    return result;
  }
}

function round(value: number): number {
  return Number(value.toFixed(3));
}
