import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  type RawVariable,
  type StatisticsTask,
  TRAINER_PROTOCOL,
  type TrainerReport,
} from '../../federation/trainer-contract';
import type { LabelledCase } from '../../imaging/decathlon';
import { spacingOf } from '../../imaging/geometry';
import { CaseHistogram } from '../../imaging/histogram';
import type { Volume } from '../../imaging/volume';
import type { Job } from './job';
import { type CaseTitle, caseTitle, readScanAndLabel } from './labelled-scan';
import { openDataset } from './task-folder';

/**
 * Counts every labelled case of the site, training and held-out: intensities of the whole scan and of what is labelled,
 * spacing, shape, and the volume of each label. Sums only; what of them may leave the site, its agent decides.
 */
export async function statistics(job: Job<StatisticsTask>): Promise<TrainerReport> {
  const { task, signal, onProgress } = job;
  const dataset = await openDataset(task);
  const listed: readonly (readonly [LabelledCase, CaseTitle])[] = [
    ...dataset.training.map((labelled, index) => [labelled, caseTitle('training', index)] as const),
    ...dataset.validation.map((labelled, index) => [labelled, caseTitle('held-out', index)] as const),
  ];
  const labels = Object.keys(dataset.labels)
    .map(Number)
    .filter((value) => value > 0);
  const counted = new Variables(task.statistics, labels);
  for (const [index, [labelled, title]] of listed.entries()) {
    await nextTurn();
    signal.throwIfAborted();
    const { scan, label } = await readScanAndLabel(dataset, labelled, title, signal);
    counted.add(scan, label);
    onProgress({ progress: (index + 1) / listed.length });
  }
  return {
    ...{ protocol: TRAINER_PROTOCOL, samples: listed.length, steps: 0, metrics: {}, evaluations: [], warnings: [] },
    statistics: { cases: listed.length, variables: counted.all() },
  };
}

const AXES = ['x', 'y', 'z'] as const;
const MICROLITRES = 1000;

class Variables {
  readonly #variables = new Map<string, { readonly unit: string; readonly histogram: CaseHistogram }>();

  constructor(
    { bins, ranges }: StatisticsTask['statistics'],
    private readonly labels: readonly number[],
  ) {
    const add = (name: string, unit: string, [low, high]: readonly [number, number]): void => {
      this.#variables.set(name, { unit, histogram: new CaseHistogram(low, high, bins) });
    };
    add('intensity', 'HU', ranges.intensity);
    add('intensity-labelled', 'HU', ranges.intensity);
    for (const axis of AXES) add(`spacing-${axis}`, 'mm', ranges.spacing);
    for (const axis of AXES) add(`size-${axis}`, 'voxels', ranges.size);
    for (const label of labels) add(`volume-${label}`, 'ml', ranges.volume);
  }

  /** Axes are those of the file, as its voxels lie. */
  add(scan: Volume, label: Volume): void {
    this.#of('intensity').addCase(scan.data);
    this.#of('intensity-labelled').addCase(scan.data, label.data);
    const spacing = spacingOf(scan.geometry);
    AXES.forEach((axis, index) => {
      this.#of(`spacing-${axis}`).addCase([spacing[index]!]);
      this.#of(`size-${axis}`).addCase([scan.geometry.shape[index]!]);
    });
    const voxels = new Map<number, number>();
    for (const value of label.data) if (value !== 0) voxels.set(value, (voxels.get(value) ?? 0) + 1);
    const millilitres = (spacing[0] * spacing[1] * spacing[2]) / MICROLITRES;
    for (const value of this.labels) this.#of(`volume-${value}`).addCase([(voxels.get(value) ?? 0) * millilitres]);
  }

  all(): RawVariable[] {
    return [...this.#variables].map(([name, { unit, histogram }]) => {
      const { counts, cases, means, m2s, shares, ...rest } = histogram.sums();
      return {
        name,
        unit,
        ...rest,
        counts: [...counts],
        cases: [...cases],
        means: [...means],
        m2s: [...m2s],
        shares: [...shares],
      };
    });
  }

  #of(name: string): CaseHistogram {
    return this.#variables.get(name)!.histogram;
  }
}
