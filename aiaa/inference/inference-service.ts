import { ClaraError } from '../../base/errors';
import { type OpenedModel, sourceOf } from '../registry/model-registry';
import { BoundedQueue } from './bounded-queue';
import type { FileJob, SizedFileJob } from './file-jobs';
import type { ModelDescription } from './inference-engine';
import { type InferenceObserver, InferenceSlot, outcomeOf, type SlotOptions } from './inference-slot';
import type { Interaction } from './interaction';
import type { ModelSource } from './model-source';
import type { InferenceJob, InferenceResult, MaskDtype } from './worker-protocol';

export interface ServiceOptions extends SlotOptions {
  readonly slots: number;
  readonly queueLength: number;
  readonly inferenceMs: number;
  readonly volumeBytes: number;
  readonly observer?: InferenceObserver;
}

export interface SegmentRequest {
  readonly model: OpenedModel;
  /** Volume to be read. */
  readonly input: string;
  /** File to be written; its extension says how. */
  readonly output: string;
  readonly dtype: MaskDtype;
  /** Whether a `.nrrd` file is compressed. @default true */
  readonly compress?: boolean;
  /** Whether the largest piece of each label alone stays. @default false */
  readonly largestOnly?: boolean;
  /** What a person has pointed at, for models that need it. */
  readonly interaction?: Interaction;
}

/** Everything that computes: one queue, and a process for each slot, replaced whenever it failed. */
export class InferenceService {
  private readonly queue: BoundedQueue;
  private readonly places: readonly InferenceSlot[];
  /** Jobs of people that compute; checks, and processes that recover from a job, are not among them. */
  private working = 0;
  /** Ends the assessment that runs now. */
  private assessing: AbortController | undefined;
  private askedAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: ServiceOptions) {
    this.queue = new BoundedQueue(options.queueLength, options.slots);
    const onReplaced = options.onReplaced ?? ((reason) => options.observer?.replaced(reason));
    this.places = Array.from({ length: options.slots }, () => new InferenceSlot({ ...options, onReplaced }));
  }

  get slots(): number {
    return this.places.length;
  }

  get waiting(): number {
    return this.queue.waiting;
  }

  get running(): number {
    return this.queue.active;
  }

  /** For how long nobody has asked for a segmentation. Milliseconds; infinite before the first. */
  get quietMs(): number {
    return performance.now() - this.askedAt;
  }

  get workerBytes(): number {
    return this.places.reduce((sum, { residentBytes }) => sum + residentBytes, 0);
  }

  /** Process numbers of the inference processes. */
  get workers(): readonly number[] {
    return this.places.flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  /** @throws AiaaError 503 when a request that came now would be refused */
  mustHaveRoom(): void {
    this.queue.mustHaveRoom();
  }

  /** @throws ClaraError; AiaaError 503 when the queue is full */
  segment(request: SegmentRequest, signal: AbortSignal): Promise<InferenceResult> {
    this.askedAt = performance.now();
    this.endAssessment();
    const { model, compress = true, largestOnly = false, ...files } = request;
    const { name, version, labels } = model.entry;
    const job: InferenceJob = {
      kind: 'segment',
      ...files,
      compress,
      largestOnly,
      about: { name, version, labels },
      model: sourceOf(model),
      maxVolumeBytes: this.options.volumeBytes,
    };
    return this.run(model.entry.name, job, signal, this.options.inferenceMs);
  }

  /** Work on files without a model, which would hold the server's own process up. Waits in line like a segmentation. */
  async work(job: SizedFileJob, signal: AbortSignal): Promise<void> {
    this.endAssessment();
    const sized: FileJob = { ...job, maxVolumeBytes: this.options.volumeBytes };
    await this.run(job.kind, sized, signal, this.options.inferenceMs);
  }

  /** A tiny inference with this model, unless jobs of people take all slots: a probe waits for a process that recovers, and for nobody. */
  async probe(model: OpenedModel, timeoutMs: number): Promise<'answered' | 'busy'> {
    if (this.working >= this.slots || this.queue.waiting > 0) return 'busy';
    const job: InferenceJob = { kind: 'probe', model: sourceOf(model) };
    await this.run(model.entry.name, job, new AbortController().signal, timeoutMs, 0);
    return 'answered';
  }

  /** Loads a model that is not published yet, and segments a tiny volume with it; waits in line as a segmentation does. */
  async inspect(name: string, model: ModelSource, signal: AbortSignal): Promise<ModelDescription> {
    const result = await this.run(name, { kind: 'probe', model }, signal, this.options.inferenceMs);
    return result.description ?? {};
  }

  /**
   * How unsure a model is of a volume, 0..1. Waits in line, and gives its place up to whoever comes.
   * @throws ClaraError `unsupported` for a model that does not tell; `cancelled` when somebody came
   */
  async assess(model: OpenedModel, input: string, signal: AbortSignal): Promise<number> {
    const job: InferenceJob = {
      kind: 'assess',
      model: sourceOf(model),
      input,
      maxVolumeBytes: this.options.volumeBytes,
    };
    const left = new AbortController();
    this.assessing = left;
    try {
      const either = AbortSignal.any([signal, left.signal]);
      const { uncertainty = 1 } = await this.run(model.entry.name, job, either, this.options.inferenceMs);
      return uncertainty;
    } finally {
      if (this.assessing === left) this.assessing = undefined;
    }
  }

  /** Nobody waits for an assessment, and it can be made again. */
  private endAssessment(): void {
    this.assessing?.abort(new ClaraError('cancelled', 'somebody asked for a segmentation'));
  }

  async close(): Promise<void> {
    await Promise.all(this.places.map((place) => place.close()));
  }

  /** The answer is there as soon as the job has ended; the slot is free when its process has recovered. */
  private run(
    name: string,
    job: InferenceJob,
    signal: AbortSignal,
    timeoutMs: number,
    /** How much it counts as work. */
    work: 0 | 1 = 1,
  ): Promise<InferenceResult> {
    const asked = performance.now();
    const { observer } = this.options;
    return new Promise((resolve, reject) => {
      const turn = async (slot: number): Promise<void> => {
        const place = this.places[slot];
        const began = performance.now();
        const seconds = () => (performance.now() - began) / 1000;
        observer?.waited((began - asked) / 1000);
        this.working += work;
        try {
          const result = await place.run(job, signal, timeoutMs);
          observer?.finished(name, 'done', seconds());
          resolve(result);
        } catch (error) {
          observer?.finished(name, outcomeOf(error), seconds());
          reject(error);
        } finally {
          this.working -= work;
          await place.recover();
        }
      };
      // Probes are short, so they must not make the estimate for segmentations look better.
      this.queue.run(signal, turn, `${job.kind} ${name}`).catch(reject);
    });
  }
}
