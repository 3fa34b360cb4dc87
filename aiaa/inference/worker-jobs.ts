import { ClaraError } from '../../base/errors';
import { digestOfFile } from '../../federation/tensors/file';
import type { Volume } from '../../imaging/volume';
import type { Told } from '../config/pipeline';
import { centroidsOf } from './centroids';
import { extremePointsOf, type VoxelIndex } from './extreme-points';
import { isFileJob, runFileJob } from './file-job-runner';
import { type Engines, type LoadedModel, loadModel, type Segmented, type SegmentOptions } from './inference-engine';
import type { ModelSource } from './model-source';
import { keepLargest } from './pipeline/largest-component';
import { probeModel } from './probe';
import { maskWriter, readUpload } from './volume-files';
import type { InferenceJob, InferenceResult, Stage } from './worker-protocol';

/** A failure together with the stage in which it happened. */
export class StageError extends Error {
  constructor(
    readonly stage: Stage,
    readonly error: ClaraError,
  ) {
    super(error.message, { cause: error });
  }
}

/** Of every label by itself, pieces that touch at a corner being one. */
const LARGEST = { kind: 'largest-component', labels: null, independent: true, connectivity: 3 } as const;

/** The result of a job that makes no mask. */
const NOTHING: InferenceResult = { extremePoints: [], centroids: [], told: {} };

/** Models kept in memory at once: the one in use and the one before, as when a radiologist alternates between two. */
const KEPT_MODELS = 2;

/** What the inference process does, apart from its messages. Runs one job at a time. */
export class JobRunner {
  /** By source, least recently used first. */
  private readonly loaded = new Map<string, LoadedModel>();

  constructor(private readonly engines: Engines) {}

  /** @throws StageError */
  async run(job: InferenceJob, options: Omit<SegmentOptions, 'interaction'>): Promise<InferenceResult> {
    if (isFileJob(job)) {
      await at('input', () => runFileJob(job, options.signal));
      return NOTHING;
    }
    const model = await at('model', () => this.load(job.model));
    if (job.kind === 'probe') {
      await at('inference', () => probeModel(model, options.signal));
      return { ...NOTHING, ...(model.description && { description: model.description }) };
    }
    const volume = await at('input', () => readUpload(job.input, job.maxVolumeBytes, options.signal));
    if (job.kind === 'assess') {
      return { ...NOTHING, uncertainty: await at('inference', () => assess(model, volume, options)) };
    }
    const write = await at('input', () => maskWriter(job));
    const { interaction, largestOnly } = job;
    const mask = await at('inference', () => segment(model, volume, { ...options, interaction }, largestOnly));
    await at('output', () => write(mask, volume));
    const extremePoints = extremePointsOf(mask);
    return {
      extremePoints,
      centroids: centroidsOf(mask),
      told: { ...toldOf(model.told ?? {}, extremePoints), ...mask.told },
    };
  }

  private async load(source: ModelSource): Promise<LoadedModel> {
    const key = JSON.stringify(source);
    const known = this.loaded.get(key);
    if (known !== undefined) {
      this.loaded.delete(key);
      this.loaded.set(key, known);
      return known;
    }
    if ('file' in source) await mustHaveDigest(source.file, source.sha256);
    for (const [oldest, model] of this.loaded) {
      if (this.loaded.size < KEPT_MODELS) break;
      this.loaded.delete(oldest);
      await model.close();
    }
    const model = await loadModel(this.engines, source);
    this.loaded.set(key, model);
    return model;
  }
}

async function mustHaveDigest(file: string, sha256: string): Promise<void> {
  const found = await digestOfFile(file);
  if (found === sha256) return;
  throw new ClaraError('corrupt', `the model's file has digest ${found}, not ${sha256} as when it was published`);
}

/** The box as MONAI's `generate_spatial_bounding_box` gives it: the end is not in it. */
function toldOf({ points, boundingBox }: Told, extremePoints: readonly VoxelIndex[]): InferenceResult['told'] {
  const corners = [0, 1].map((end) => [0, 1, 2].map((axis) => (extremePoints[2 * axis + end]?.[axis] ?? -end) + end));
  return {
    ...(points !== undefined && { [points]: extremePoints }),
    ...(boundingBox !== undefined && { [boundingBox]: corners }),
  };
}

async function assess(model: LoadedModel, volume: Volume, options: SegmentOptions): Promise<number> {
  if (model.uncertainty !== undefined) return model.uncertainty(volume, options);
  throw new ClaraError(
    'unsupported',
    'The model does not say how sure it is; choose another one, or another strategy.',
  );
}

async function segment(
  model: LoadedModel,
  volume: Volume,
  options: SegmentOptions,
  largestOnly: boolean,
): Promise<Segmented> {
  const mask = await model.segment(volume, options);
  if (mask.data.length !== volume.data.length) {
    throw new ClaraError('internal', `the model made ${mask.data.length} voxels out of ${volume.data.length}`);
  }
  return largestOnly ? { ...mask, ...keepLargest(mask, LARGEST) } : mask;
}

async function at<Result>(stage: Stage, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (thrown) {
    throw new StageError(stage, ClaraError.from(thrown));
  }
}
