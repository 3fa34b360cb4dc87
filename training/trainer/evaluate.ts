import { hasCode } from '../../base/errors';
import {
  type EvaluateTask,
  type Metrics,
  TRAINER_PROTOCOL,
  type TrainerReport,
} from '../../federation/trainer-contract';
import { dice, type SurfaceDistances, surfaceDistances } from '../../imaging/metrics';
import type { Mask } from '../../imaging/volume';
import { type Model, readModel } from '../engine/model-file';
import { Segmenter } from '../engine/segmenter';
import { UNet } from '../engine/unet';
import type { Job } from './job';
import { caseTitle, readLabelledScan } from './labelled-scan';
import { assertParametersFit, labelValueOf } from './parameters';
import { openDataset } from './task-folder';

/** What one model reached on one case. */
interface CaseScore {
  readonly dice: number;
  /** Undefined where one of the masks is empty, or the scan's grid has no right angles. */
  readonly assd: number | undefined;
  readonly hausdorff95: number | undefined;
}

/**
 * Measures each model of the task on the site's held-out cases, on the scans' own grids. Metrics are means over the cases:
 * `dice` (0..1, with `diceMin` the worst case), `assd` and `hausdorff95` in mm over those cases where distances exist.
 */
export async function evaluate(job: Job<EvaluateTask>): Promise<TrainerReport> {
  const { task, parameters, folder, signal, onProgress } = job;
  const dataset = await openDataset(task);
  const { validation } = dataset;
  const files = task.models.map(({ file }) => folder.file(file));
  // All models are looked at before the first is run: a bad one is refused at once.
  for (const file of files) assertParametersFit(parameters, (await readModel(file, signal)).card);

  const scores: CaseScore[][] = task.models.map(() => []);
  const nets = new NetworkOfCard();
  const total = validation.length * files.length;
  let done = 0;
  for (const [number, held] of validation.entries()) {
    const title = caseTitle('held-out', number);
    const { scan, truth } = await readLabelledScan(dataset, held, title, labelValueOf(parameters), signal);
    for (const [index, file] of files.entries()) {
      const model = await readModel(file, signal);
      const segmenter = new Segmenter(model, nets.for(model));
      const mask = await segmenter.segment(scan, {
        overlap: parameters.overlap,
        signal,
        onProgress: (fraction) => onProgress({ progress: (done + fraction) / total }),
      });
      scores[index].push(score(mask, truth));
      done++;
    }
  }
  const evaluations = task.models.map(({ name }, index) => ({ model: name, metrics: summary(scores[index]) }));
  return {
    protocol: TRAINER_PROTOCOL,
    samples: validation.length,
    steps: 0,
    metrics: {},
    evaluations,
    warnings: warningsOf(scores, task),
  };
}

/** Models of one run share their architecture, so one network's memory serves them all. */
class NetworkOfCard {
  #net: UNet | undefined;

  for({ card }: Model): UNet {
    const { channels, patch } = this.#net?.architecture ?? {};
    const fits = JSON.stringify([channels, patch]) === JSON.stringify([card.channels, card.patch]);
    if (this.#net === undefined || !fits) this.#net = new UNet(card, 'inference');
    return this.#net;
  }
}

function score(mask: Mask, truth: Mask): CaseScore {
  const distances = distancesBetween(mask, truth);
  return { dice: dice(mask.data, truth.data), assd: distances?.average, hausdorff95: distances?.hausdorff95 };
}

function distancesBetween(mask: Mask, truth: Mask): SurfaceDistances | undefined {
  try {
    return surfaceDistances(mask, truth);
  } catch (error) {
    // Both masks lie on one grid, so all that can be refused about it is that it is sheared.
    if (hasCode(error, 'invalid-input')) return undefined;
    throw error;
  }
}

function summary(scores: readonly CaseScore[]): Metrics {
  if (scores.length === 0) return {};
  const all = scores.map((one) => one.dice);
  const measured = scores.filter((one) => one.assd !== undefined);
  const metrics: Metrics = { dice: mean(all), diceMin: Math.min(...all) };
  if (measured.length === 0) return metrics;
  return {
    ...metrics,
    assd: mean(measured.map((one) => one.assd!)),
    hausdorff95: mean(measured.map((one) => one.hausdorff95!)),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function warningsOf(scores: readonly CaseScore[][], { models }: EvaluateTask): string[] {
  if (scores[0].length === 0) {
    return ['the dataset holds out no case in its "validation" list, so nothing was measured'];
  }
  return models.flatMap(({ name }, index) => {
    const without = scores[index].filter(({ assd }) => assd === undefined).length;
    if (without === 0) return [];
    return [
      `${name}: no distances on ${without} of ${scores[index].length} cases, where the mask or the truth is empty or the scan is sheared`,
    ];
  });
}
