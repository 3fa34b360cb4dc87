import { ClaraError, hasCode } from '../../base/errors';
import { shuttingDown } from '../errors';
import { InferenceProcess, type ProcessOptions } from './inference-process';
import type { InferenceJob, InferenceResult } from './worker-protocol';

/** Why an inference process was replaced. */
export type ReplacementReason = 'died' | 'hung' | 'failed' | 'memory' | 'jobs';

export type JobOutcome = 'done' | 'refused' | 'failed' | 'cancelled' | 'too-slow';

/** Told what happens, for figures. */
export interface InferenceObserver {
  waited(seconds: number): void;
  finished(model: string, outcome: JobOutcome, seconds: number): void;
  replaced(reason: ReplacementReason): void;
}

export interface SlotOptions extends ProcessOptions {
  /** A process that holds more than this after a job is replaced, in bytes. */
  readonly workerBytes: number;
  /** A process is replaced after so many jobs. */
  readonly workerJobs: number;
  readonly onReplaced?: (reason: ReplacementReason) => void;
}

/** One place in which one job runs at a time: a process, and the next one when that is no good any more. */
export class InferenceSlot {
  private process: InferenceProcess;
  private jobs = 0;
  private closed = false;

  constructor(private readonly options: SlotOptions) {
    this.process = new InferenceProcess(options); // ahead of the first job, so that this one does not wait for it
  }

  /** Resident bytes of the process after its last job; 0 before. */
  get residentBytes(): number {
    return this.process.residentBytes;
  }

  get pid(): number | undefined {
    return this.process.pid;
  }

  /** @throws ClaraError by the reason of `signal`, of the job, `deadline-exceeded`, or `internal` when the process died */
  async run(job: InferenceJob, signal: AbortSignal, timeoutMs: number): Promise<InferenceResult> {
    this.replaceIfDead();
    const deadline = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    try {
      await this.process.ready;
      timer = setTimeout(() => deadline.abort(tooSlow(timeoutMs)), timeoutMs);
      return await this.process.run(job, AbortSignal.any([signal, deadline.signal]));
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * After a job: waits until the process has let go of what that needed, and replaces it when it is dead or holds too much. The next
   * job must not begin while a dead process still holds its memory.
   */
  async recover(): Promise<void> {
    const { workerBytes, workerJobs } = this.options;
    await this.process.idle();
    this.jobs += 1;
    if (!this.process.usable) await this.replace(this.process.endedBy);
    else if (this.process.residentBytes > workerBytes) await this.replace('memory');
    else if (this.jobs >= workerJobs) await this.replace('jobs');
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.process.stop();
  }

  /** It may have died while nobody used it. */
  private replaceIfDead(): void {
    if (this.closed) throw shuttingDown();
    if (!this.process.usable) this.begin(this.process.endedBy);
  }

  private async replace(reason: ReplacementReason): Promise<void> {
    await this.process.stop();
    if (!this.closed) this.begin(reason);
  }

  private begin(reason: ReplacementReason): void {
    this.options.onReplaced?.(reason);
    this.jobs = 0;
    this.process = new InferenceProcess(this.options);
  }
}

/** What became of a job that failed so. */
export function outcomeOf(error: unknown): JobOutcome {
  if (hasCode(error, 'cancelled')) return 'cancelled';
  if (hasCode(error, 'deadline-exceeded')) return 'too-slow';
  return hasCode(error, 'invalid-input', 'unsupported', 'corrupt', 'resource-exhausted') ? 'refused' : 'failed';
}

function tooSlow(timeoutMs: number): ClaraError {
  return new ClaraError(
    'deadline-exceeded',
    `The segmentation was stopped after ${timeoutMs / 1000} s, the longest that this server allows; crop the volume or ask the administrator for more time.`,
  );
}
