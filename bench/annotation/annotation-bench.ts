import { segmentByClicks } from '../../annotation/deepgrow';
import { segmentByExtremePoints } from '../../annotation/extreme-points';
import { nextClick } from '../../annotation/simulated-clicks';
import { dice } from '../../imaging/metrics';
import { chooseSlices } from '../../imaging/slice-image';
import type { Mask, Shape3 } from '../../imaging/volume';
import { cpuSecondsSince } from '../process-usage';
import { extremesOf, type Organ, organsIn } from './organs';
import { Perturbations } from './perturbations';
import { writeMontage } from './pictures';

/** One method on one organ. */
export interface AnnotationRow {
  readonly case: 'annotation';
  readonly organ: string;
  readonly method: string;
  readonly dice: number;
  /** Processor seconds of an answer, the slowest. */
  readonly seconds: number;
  /** Dice when points, grid, noise or window are others: see `perturbations.ts`. */
  readonly perturbed?: readonly { readonly kind: string; readonly dice: number }[];
  /** Dice after each click. */
  readonly clicks?: readonly number[];
}

export interface AnnotationCase {
  readonly data: string;
  /** Names; all without it. */
  readonly organs?: readonly string[];
  /** Times that the points are moved. */
  readonly trials: number;
  readonly pictures?: string;
}

const CLICKS = 10;

export async function* benchAnnotation({
  data,
  organs,
  trials,
  pictures,
}: AnnotationCase): AsyncGenerator<AnnotationRow> {
  const perturbations = new Perturbations();
  const wanted = (await organsIn(data)).filter(({ name }) => organs?.includes(name) ?? true);
  for (const organ of wanted) {
    const answers: { readonly method: string; readonly mask: Mask }[] = [];
    for (const [method, tissue] of [
      ['random walker', false],
      ['with priors', true],
    ] as const) {
      const { row, mask } = await byPoints(organ, method, tissue, perturbations, trials);
      answers.push({ method, mask });
      yield row;
    }
    const clicked = await byClicks(organ);
    answers.push({ method: 'clicks', mask: clicked.mask });
    yield clicked.row;
    yield (await byClicks(organ, chooseSlices(organ.truth).axial)).row;
    if (pictures !== undefined) await writeMontage(pictures, organ, answers);
  }
}

async function byPoints(organ: Organ, method: string, tissue: boolean, perturbations: Perturbations, trials: number) {
  const clock = new Stopwatch();
  const segment = (image: Organ['image'], points: readonly Shape3[]) =>
    clock.time(() => segmentByExtremePoints(image, points, { tissue }));
  const mask = await segment(
    organ.image,
    extremesOf(organ.truth, () => 0),
  );
  const perturbed: { kind: string; dice: number }[] = [];
  for (const { kind, image, truth, points } of perturbations.of(organ, trials)) {
    perturbed.push({ kind, dice: round(dice(truth.data, (await segment(image, points)).data)) });
  }
  const row: AnnotationRow = {
    case: 'annotation',
    organ: organ.name,
    method,
    dice: round(dice(organ.truth.data, mask.data)),
    seconds: clock.slowest,
    perturbed,
  };
  return { row, mask };
}

/** In 3D, or in one slice, where only what lies in it counts. */
async function byClicks({ name, image, truth: whole }: Organ, slice?: number) {
  const truth = slice === undefined ? whole : onlySlice(whole, slice);
  const clock = new Stopwatch();
  const clicks: { foreground: Shape3[]; background: Shape3[] } = { foreground: [], background: [] };
  const reached: number[] = [];
  let mask: Mask = { geometry: truth.geometry, data: new Uint8Array(truth.data.length) };
  for (let count = 0; count < CLICKS; count += 1) {
    const next = nextClick(truth, mask, slice);
    if (next === undefined) break;
    clicks[next.foreground ? 'foreground' : 'background'].push(next.at);
    mask = (await clock.time(() => segmentByClicks(image, clicks, { slice }))).mask;
    reached.push(round(dice(truth.data, mask.data)));
  }
  const row: AnnotationRow = {
    case: 'annotation',
    organ: name,
    method: `${CLICKS} clicks${slice === undefined ? '' : ' in a slice'}`,
    dice: reached[reached.length - 1],
    seconds: clock.slowest,
    clicks: reached,
  };
  return { row, mask };
}

function onlySlice({ geometry, data }: Mask, slice: number): Mask {
  const plane = geometry.shape[0] * geometry.shape[1];
  return { geometry, data: data.map((value, at) => (Math.floor(at / plane) === slice ? value : 0)) };
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
    this.most = Math.max(this.most, cpuSecondsSince(before));
    return result;
  }
}

function round(value: number): number {
  return Number(value.toFixed(3));
}
