import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { Logger } from 'pino';
import { ClaraError } from '../../base/errors';
import type { ProgramStart } from '../../base/own-program';
import { AiaaError, notOffered } from '../errors';
import type { InspectModel } from '../inference/probe';
import { openPublished, type StoredModel } from '../registry/model-registry';
import { publishModel } from '../registry/publish-model';
import type { Scratch } from '../storage/scratch';
import { openSamples, readTrained, trainerParameters, writeTask } from './fine-tuning-task';
import { runTrainer } from './trainer-run';

export interface FineTuningOptions {
  readonly workspace: string;
  /** A trainer after protocol 1 of the trainer contract; without one nothing is fine-tuned. */
  readonly trainer?: ProgramStart;
  readonly scratch: Scratch;
  readonly log: Logger;
  /** Tries a model before it is published. */
  readonly inspect: (name: string) => InspectModel;
  /** Longest time for one fine-tuning. */
  readonly fineTuneMs: number;
  readonly graceMs: number;
}

/** What `GET /admin/finetune/{model}` tells. */
export interface FineTuningStatus {
  readonly state: 'running' | 'done' | 'failed';
  readonly model: string;
  /** The version that it began with. */
  readonly from: string;
  /** 0..1. */
  readonly progress: number;
  /** The version that came of it. */
  readonly version?: string;
  /** Why it failed. */
  readonly message?: string;
}

/** Progress is told in the log as often as this share grows. */
const PROGRESS_STEP = 0.05;

/** Lets models learn from a site's own samples, one at a time: it takes the whole machine. */
export class FineTuning {
  private readonly control = new AbortController();
  private last: FineTuningStatus | undefined;
  private running: Promise<void> | undefined;
  private stopping = new AbortController();

  constructor(private readonly options: FineTuningOptions) {}

  /** What runs, or ran last. */
  get latest(): FineTuningStatus | undefined {
    return this.last;
  }

  /** Whether there is a trainer. */
  get isOffered(): boolean {
    return this.options.trainer !== undefined;
  }

  /** The fine-tuning of this model that runs, or ran last. @throws ClaraError `not-found` */
  statusOf(model: string): FineTuningStatus {
    if (this.last?.model === model) return this.last;
    throw new ClaraError(
      'not-found',
      `Model ${model} was not fine-tuned last by this server; its versions are at /admin/model/${model}.`,
    );
  }

  /**
   * Begins, and goes on by itself: the log tells the progress, and a new version is served at the end.
   *
   * @throws AiaaError 429 while another one runs, 501 without a trainer; ClaraError `not-found`, `invalid-input`, `unsupported`
   */
  async begin(model: string, optionText: string | undefined): Promise<FineTuningStatus> {
    const { trainer, workspace } = this.options;
    if (trainer === undefined)
      throw notOffered('/admin/finetune', 'start the server with a trainer (clara-fed aiaa start does)');
    this.mustBeFree();
    const stored = await openPublished(workspace, model);
    if (stored.entry.engine !== 'reference') {
      throw new ClaraError(
        'unsupported',
        `Model ${model} is an ONNX file, which does not learn; fine-tune where it was made, and put in the result.`,
      );
    }
    const samples = await openSamples(workspace, model);
    const parameters = trainerParameters(optionText, samples.training.length);
    this.mustBeFree(); // somebody may have begun meanwhile
    this.last = { state: 'running', model, from: stored.entry.version, progress: 0 };
    this.stopping = new AbortController();
    this.running = this.run(trainer, stored, samples.folder, parameters).finally(() => {
      this.running = undefined;
    });
    return this.last;
  }

  /** Stops what runs, if anything does, and waits until it has ended; the next one may begin. */
  async stop(): Promise<void> {
    this.stopping.abort(new ClaraError('cancelled', 'it was stopped'));
    await this.running;
  }

  /** Stops what runs for good, and waits until it has ended. */
  async close(): Promise<void> {
    this.control.abort(new ClaraError('cancelled', 'the server is shutting down'));
    await this.running;
  }

  private mustBeFree(): void {
    if (this.control.signal.aborted)
      throw new ClaraError('unavailable', 'The server is shutting down; try again in a minute.');
    if (this.running === undefined || this.last === undefined) return;
    const { model, progress } = this.last;
    throw new AiaaError(
      'resource-exhausted',
      429,
      `Model ${model} is being fine-tuned (${Math.round(100 * progress)} % done), and one at a time is; try again when /admin/finetune/${model} says done.`,
    );
  }

  private async run(
    program: ProgramStart,
    { entry, file }: StoredModel,
    dataset: string,
    parameters: Record<string, string | number>,
  ): Promise<void> {
    const { workspace, scratch, log, inspect, fineTuneMs, graceMs } = this.options;
    const began = { state: 'running', model: entry.name, from: entry.version, progress: 0 } as const;
    const signal = AbortSignal.any([this.control.signal, this.stopping.signal, AbortSignal.timeout(fineTuneMs)]);
    const folder = await scratch.folder();
    let told = 0;
    try {
      const id = randomUUID();
      await writeTask(folder, { id, model: entry.name, file, dataset, parameters, deadline: Date.now() + fineTuneMs });
      log.info({ model: entry.name, from: entry.version, parameters }, 'fine-tuning begins');
      await runTrainer({
        program,
        folder,
        signal,
        graceMs,
        onProgress: ({ progress, step, metrics }) => {
          this.last = { ...began, progress };
          if (progress - told < PROGRESS_STEP && progress < 1) return;
          told = progress;
          log.info({ model: entry.name, progress, step, metrics }, 'fine-tuning');
        },
      });
      const trained = await readTrained(folder);
      const { name, engine, config, labels, description, type, version } = entry;
      const published = await publishModel(
        workspace,
        { file: trained.file, name, engine, config, labels, description, type, version },
        { whenTaken: 'rename', signal, inspect: inspect(name) },
      );
      this.last = { ...began, state: 'done', progress: 1, version: published.entry.version };
      log.info(
        { model: name, version: published.entry.version, metrics: trained.report.metrics },
        'fine-tuned model served',
      );
    } catch (thrown) {
      const error = ClaraError.from(thrown);
      this.last = {
        ...began,
        state: 'failed',
        progress: told,
        message: error.message.replaceAll(dataset, 'the samples'),
      };
      log.error({ model: entry.name, err: error }, 'fine-tuning failed');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}
