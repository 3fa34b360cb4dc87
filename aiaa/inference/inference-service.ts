import { ClaraError } from '../../base/errors';
import { type OpenedModel, sourceOf } from '../registry/model-registry';
import { BoundedQueue } from './bounded-queue';
import { InferenceProcess, type ProcessOptions } from './inference-process';
import type { Interaction } from './interaction';
import type { InferenceJob, InferenceResult, MaskDtype } from './worker-protocol';

export interface ServiceOptions extends ProcessOptions {
  readonly queueLength: number;
  readonly inferenceMs: number;
  readonly volumeBytes: number;
}

export interface SegmentRequest {
  readonly model: OpenedModel;
  /** NIfTI file. */
  readonly input: string;
  /** NIfTI file to be written. */
  readonly output: string;
  readonly dtype: MaskDtype;
  /** What a person has pointed at, for models that need it. */
  readonly interaction?: Interaction;
}

/** Everything that computes: one queue, one inference process, replaced whenever it failed. */
export class InferenceService {
  private readonly queue: BoundedQueue;
  private process: InferenceProcess | undefined;
  private closed = false;

  constructor(private readonly options: ServiceOptions) {
    this.queue = new BoundedQueue(options.queueLength);
    this.usableProcess(); // started ahead of the first request, so that this one does not wait for it
  }

  get waiting(): number {
    return this.queue.waiting;
  }

  /** @throws AiaaError 503 when a request that came now would be refused */
  mustHaveRoom(): void {
    this.queue.mustHaveRoom();
  }

  /** @throws ClaraError; AiaaError 503 when the queue is full */
  segment(request: SegmentRequest, signal: AbortSignal): Promise<InferenceResult> {
    const { model, ...files } = request;
    const job: InferenceJob = {
      kind: 'segment',
      ...files,
      model: sourceOf(model),
      maxVolumeBytes: this.options.volumeBytes,
    };
    return this.run(job, signal, this.options.inferenceMs);
  }

  /** A tiny inference with this model, unless a segmentation runs: a probe never waits in line. */
  async probe(model: OpenedModel, timeoutMs: number): Promise<'answered' | 'busy'> {
    if (this.queue.busy) return 'busy';
    await this.run({ kind: 'probe', model: sourceOf(model) }, new AbortController().signal, timeoutMs);
    return 'answered';
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.process?.stop();
  }

  private run(job: InferenceJob, signal: AbortSignal, timeoutMs: number): Promise<InferenceResult> {
    return this.queue.run(signal, async () => {
      const process = this.usableProcess();
      const deadline = new AbortController();
      let timer: NodeJS.Timeout | undefined;
      try {
        await process.ready;
        timer = setTimeout(() => deadline.abort(tooSlow(timeoutMs)), timeoutMs);
        return await process.run(job, AbortSignal.any([signal, deadline.signal]));
      } finally {
        clearTimeout(timer);
        // The next job must not begin while a dead process still holds its memory.
        if (!process.usable) await process.stop();
      }
    });
  }

  private usableProcess(): InferenceProcess {
    if (this.closed) throw new ClaraError('unavailable', 'The server is shutting down; try again in a minute.');
    if (this.process?.usable !== true) this.process = new InferenceProcess(this.options);
    return this.process;
  }
}

function tooSlow(timeoutMs: number): ClaraError {
  return new ClaraError(
    'deadline-exceeded',
    `The segmentation was stopped after ${timeoutMs / 1000} s, the longest that this server allows; crop the volume or ask the administrator for more time.`,
  );
}
