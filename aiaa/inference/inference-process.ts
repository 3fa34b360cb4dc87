import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { ClaraError } from '../../base/errors';
import { ownProgram } from '../../base/own-program';
import { AiaaError } from '../errors';
import {
  fromWorkerSchema,
  type InferenceJob,
  type InferenceResult,
  isHarmless,
  type Stage,
  type ToWorker,
} from './worker-protocol';

export interface ProcessOptions {
  /** Absolute path, without extension, of the module that exports the engines. */
  readonly engineModule: string;
  /** How long a cancelled job may take to stop, and an ended one to be let go of, before the process is killed. */
  readonly cancelGraceMs: number;
  /** The process must take jobs within this. */
  readonly workerStartMs: number;
  /** Told what the process writes to its standard error. */
  readonly onStderr?: (text: string) => void;
}

/** Why a process is no good any more: it ended by itself, was killed because it did not answer, or a job left it in doubt. */
export type EndedBy = 'died' | 'hung' | 'failed';

interface Pending {
  readonly id: number;
  readonly resolve: (result: InferenceResult) => void;
  readonly reject: (error: ClaraError) => void;
}

/**
 * One child process that loads models and segments, one job at a time. A failure other than a bad input leaves it unusable
 * and dead: whatever memory it held is back with the system, and its owner starts another one.
 */
export class InferenceProcess {
  private readonly child: ChildProcess;
  private readonly gone: Promise<unknown>;
  /** Settled once the process takes jobs; rejected when it never will. Starting does not count against a job's time. */
  readonly ready: Promise<void>;
  private started!: { readonly resolve: () => void; readonly reject: (error: ClaraError) => void };
  private readonly starting: NodeJS.Timeout;
  private pending: Pending | undefined;
  private lastId = 0;
  private alive = true;
  private ended: EndedBy = 'died';
  private resident = 0;
  /** Settled when the process has let go of its last job; undefined while a job runs or none ever did. */
  private letGo: { readonly done: Promise<void>; readonly resolve: () => void } | undefined;

  constructor(private readonly options: ProcessOptions) {
    this.ready = new Promise((resolve, reject) => {
      this.started = { resolve, reject };
    });
    this.ready.catch(() => {}); // nobody may be waiting for it
    const { command, args } = ownProgram(path.join(__dirname, 'worker-main'), options.engineModule);
    // The worker collects garbage after each job, so that its memory goes back before it is judged by it.
    this.child = spawn(command, ['--expose-gc', ...args], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    this.starting = setTimeout(() => this.kill('hung'), options.workerStartMs);
    this.starting.unref();
    this.gone = once(this.child, 'close').catch(() => {});
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => options.onStderr?.(text));
    this.child.on('message', (raw) => this.receive(raw));
    this.child.on('error', (error) => this.die(`could not be started (${error.message})`));
    this.child.on('exit', (code, signal) => this.die(describeExit(code, signal)));
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  /** Resident bytes after the last job; 0 before. */
  get residentBytes(): number {
    return this.resident;
  }

  /** Meaningful once the process is not usable. */
  get endedBy(): EndedBy {
    return this.ended;
  }

  /** False once the process is dead or must not be used again. */
  get usable(): boolean {
    return this.alive;
  }

  /**
   * Runs one job. When `signal` aborts, the job is told to stop; a process that does not stop in time is killed.
   *
   * @throws ClaraError `cancelled` or `deadline-exceeded` after `signal` (by its reason), the job's own error, or `internal`
   *   when the process died
   */
  async run(job: InferenceJob, signal: AbortSignal, onProgress?: (fraction: number) => void): Promise<InferenceResult> {
    if (signal.aborted) throw ClaraError.from(signal.reason);
    this.lastId += 1;
    const id = this.lastId;
    this.onProgress = onProgress;
    let spare = () => {};
    const stop = () => {
      this.send({ kind: 'cancel', id });
      spare = this.killUnlessSpared();
    };
    signal.addEventListener('abort', stop, { once: true });
    try {
      return await new Promise<InferenceResult>((resolve, reject) => {
        this.pending = { id, resolve, reject };
        this.expectIdle();
        this.send({ kind: 'run', id, job });
        if (!this.alive) this.die('is gone');
      });
    } catch (error) {
      throw signal.aborted ? ClaraError.from(signal.reason) : error;
    } finally {
      spare();
      signal.removeEventListener('abort', stop);
      this.pending = undefined;
      this.onProgress = undefined;
    }
  }

  /** Waits until the process has let go of its last job, or is dead; one that does not in time is killed. */
  async idle(): Promise<void> {
    if (this.letGo === undefined || !this.alive) return;
    const spare = this.killUnlessSpared();
    await this.letGo.done;
    spare();
  }

  /** Ends the process at once and waits until the system has taken its memory back. */
  async stop(): Promise<void> {
    if (this.alive) this.kill('died');
    else this.child.kill('SIGKILL');
    await this.gone;
  }

  private onProgress: ((fraction: number) => void) | undefined;

  private kill(why: EndedBy): void {
    if (this.alive) this.ended = why;
    this.alive = false;
    this.child.kill('SIGKILL');
  }

  /**
   * Kills the process when the grace is over. What it said while this one got no time is heard before: that is no silence.
   * @returns what spares it
   */
  private killUnlessSpared(): () => void {
    let spared = false;
    const killer = setTimeout(() => setImmediate(() => spared || this.kill('hung')), this.options.cancelGraceMs);
    return () => {
      spared = true;
      clearTimeout(killer);
    };
  }

  private expectIdle(): void {
    let resolve = () => {};
    const done = new Promise<void>((settle) => {
      resolve = settle;
    });
    this.letGo = { done, resolve };
  }

  private send(message: ToWorker): void {
    if (this.child.connected) this.child.send(message, () => {}); // a channel that breaks is seen as 'exit'
  }

  private receive(raw: unknown): void {
    const parsed = fromWorkerSchema.safeParse(raw);
    if (!parsed.success) {
      // Whatever ran there has written to the channel: its next answer may be wrong too.
      this.kill('failed');
      this.die('sent what is no message');
      return;
    }
    const message = parsed.data;
    if (message.kind === 'ready') {
      clearTimeout(this.starting);
      this.started.resolve();
      return;
    }
    if (message.kind === 'idle') {
      this.resident = message.residentBytes;
      this.letGo?.resolve();
      return;
    }
    const pending = this.pending;
    if (pending === undefined || message.id !== pending.id) return;
    if (message.kind === 'progress') this.onProgress?.(message.fraction);
    else if (message.kind === 'done') pending.resolve(message.result);
    else {
      const error = jobError(message.stage, new ClaraError(message.code, message.message));
      if (!isHarmless(message.stage, error)) this.kill('failed');
      pending.reject(error);
    }
  }

  private die(how: string): void {
    this.alive = false;
    clearTimeout(this.starting);
    this.letGo?.resolve();
    const error = new ClaraError(
      'internal',
      `The segmentation was lost: the inference process ${how}; a new one is started, try again.`,
    );
    this.started.reject(error);
    this.pending?.reject(error);
  }
}

const FAILED: Readonly<Record<Stage, string>> = {
  model: 'The model cannot be loaded',
  input: 'The volume cannot be read',
  inference: 'The segmentation failed',
  output: 'The mask cannot be written',
};

/** A damaged model is not the fault of the volume that was sent; the code must not say so. */
function jobError(stage: Stage, error: ClaraError): ClaraError {
  if (stage === 'input' && error.code === 'resource-exhausted') return new AiaaError(error.code, 413, error.message);
  if (isHarmless(stage, error) || error.code === 'out-of-space') return error;
  return new ClaraError('internal', `${FAILED[stage]}: ${error.message}`, { cause: error });
}

function describeExit(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal === 'SIGKILL') return 'was killed (SIGKILL; most often it ran out of memory)';
  return signal === null ? `exited with code ${code}` : `crashed (${signal})`;
}
