import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { ClaraError } from '../../../base/errors';
import { lstat, mkdir, opendir } from '../../../base/files';
import { REPORT_FILE, TASK_FOLDER_VARIABLE } from '../../../federation/trainer-contract';
import { backoffMillis, type Pacing } from '../../backoff';
import type { TrainerConfiguration } from '../../trainer-configuration';
import { type AttemptEnd, runAttempts, type Stop, stopError } from '../attempts';
import { TEMPORARY_FOLDER } from '../process-trainer';
import { folderBytes } from '../resource-use';
import { AgentEnds, OutsideHours, type Trainer, type TrainerWork } from '../trainer';
import { TrainerOutput } from '../trainer-output';
import { type EcsCluster, NoCapacity } from './ecs-cluster';
import { CAPACITY_MEND, type EcsTask, endOfTask, QUOTA_MEND } from './task-end';
import { readNote, type TaskNote, writeNote } from './task-note';

export interface EcsTrainerOptions {
  readonly site: string;
  readonly trainer: Omit<TrainerConfiguration & { readonly adapter: 'ecs-task' }, 'adapter' | 'name' | 'supports'>;
  /** Absolute path of the site's workspace here; all task folders lie below it. */
  readonly workspace: string;
  readonly cluster: EcsCluster;
  readonly pacing: Pacing;
  /** How often a task is looked at. @default 5000 */
  readonly pollMillis?: number;
  /** How often a trainer may ask to be started again (exit 75). @default 20 */
  readonly maxTryAgain?: number;
  /** How long what a trainer wrote may take to be seen here, as by the caches of NFS. @default 90 000 */
  readonly seenMillis?: number;
}

/** A task that ECS has just answered for may be unknown to its other servers for a moment. */
const UNKNOWN_MILLIS = 60_000;
/** From StopTask to STOPPED: the task definition's stopTimeout (120 s at most), then SIGKILL. */
const STOP_MILLIS = 180_000;
/** What was printed last is in CloudWatch some seconds later. */
const LATE_LINES_POLLS = 4;
const MAX_LOG_PAGES = 20;
const ROOM_PAUSES = { firstMillis: 5000, maxMillis: 60_000 };

type StartedNote = TaskNote & { readonly task: string };
type Halt = Stop | { readonly kind: 'no-machine' | 'unwatchable'; readonly error: ClaraError };

/**
 * Runs the trainer as a task of the site's ECS cluster, on the same folder, which both see on a shared file system. The task
 * needs no agent: one that ends leaves it at work, and the next one finds it again by what it had written down.
 */
export class EcsTrainer implements Trainer {
  readonly #pollMillis: number;

  constructor(private readonly options: EcsTrainerOptions) {
    this.#pollMillis = options.pollMillis ?? 5000;
  }

  run(work: TrainerWork): Promise<void> {
    return runAttempts(work, this.options, () => this.#attempt(work));
  }

  async abandon(folder: string): Promise<void> {
    const note = await readNote(folder);
    if (!note || note.ended) return;
    const { cluster } = this.options;
    const signal = AbortSignal.timeout(STOP_MILLIS);
    const tasks = note.task ? [note.task] : await cluster.find(note.token, signal);
    for (const task of tasks) {
      checkOwn(await cluster.describe(task, signal), note, folder);
      await this.#end(task, 'the task is not wanted any more', signal);
    }
    await writeNote(folder, { ...note, ended: true });
  }

  async #attempt(work: TrainerWork): Promise<AttemptEnd> {
    await mkdir(path.join(work.folder, TEMPORARY_FOLDER), { recursive: true });
    const known = await readNote(work.folder);
    const started = await this.#start(work, known && !known.ended ? known : newNote());
    if (!('token' in started)) return started;
    const output = new TrainerOutput(work);
    const end = await this.#follow(work, started, output);
    await writeNote(work.folder, { ...started, ended: true });
    if (end.kind === 'done') await this.#seeReport(work);
    return end;
  }

  /** Has ECS start the task of the note, unless it did already; waits while there is no room at all. */
  async #start(work: TrainerWork, first: TaskNote): Promise<StartedNote | AttemptEnd> {
    if (first.task) return { ...first, task: first.task };
    const { trainer, pacing, cluster } = this.options;
    const latest = Date.parse(first.askedAt) + trainer.ecs.capacityTimeout;
    let note = first;
    for (let refusals = 0; ; refusals++) {
      await writeNote(work.folder, note);
      await work.onStarted?.(undefined);
      try {
        const task = await cluster.start(this.#order(work, note), work.signal);
        const asked = { ...note, task };
        await writeNote(work.folder, asked);
        return asked;
      } catch (thrown) {
        if (work.signal.aborted) return this.#aborted(work, note);
        if (!(thrown instanceof NoCapacity)) {
          const error = ClaraError.from(thrown);
          // ECS may have heard of it: the next attempt asks with the same token.
          if (error.code === 'unavailable') return { kind: 'try-again', error };
          await writeNote(work.folder, { ...note, ended: true });
          return { kind: 'over', error };
        }
        const millis = backoffMillis(refusals, pacing.random, ROOM_PAUSES);
        if (Date.now() + millis >= Math.min(latest, work.deadline())) {
          await writeNote(work.folder, { ...note, ended: true });
          return { kind: 'over', error: this.#noMachine(`ECS said: ${thrown.message}`) };
        }
        work.onWaiting?.(`waits for a machine of ${trainer.ecs.capacityProvider}: ${thrown.message}`);
        await pacing.wait(millis, work.signal).catch(() => undefined);
        if (work.signal.aborted) return this.#aborted(work, { ...note, ended: true });
        // A refusal has started nothing, and the same token would be refused again.
        note = { ...note, token: randomUUID() };
      }
    }
  }

  #order({ folder }: TrainerWork, { token }: TaskNote) {
    const { trainer, site } = this.options;
    const there = this.#inContainer(folder);
    const { threads } = trainer;
    return {
      token,
      command: [...trainer.command, there],
      environment: {
        TMPDIR: path.posix.join(there, TEMPORARY_FOLDER),
        ...(threads === undefined ? {} : { OMP_NUM_THREADS: String(threads) }),
        ...trainer.environment,
        [TASK_FOLDER_VARIABLE]: there,
      },
      tags: { ...trainer.ecs.tags, 'clara-fed:site': site, 'clara-fed:run': path.basename(path.dirname(folder)) },
    };
  }

  #inContainer(folder: string): string {
    const { workspace, trainer } = this.options;
    return path.posix.join(trainer.ecs.workspace ?? workspace, path.relative(workspace, folder));
  }

  /** Watches a task until it has stopped, and stops it when it must not go on. */
  async #follow(work: TrainerWork, note: StartedNote, output: TrainerOutput): Promise<AttemptEnd> {
    const { cluster, pacing, trainer } = this.options;
    const { task: arn } = note;
    const log = new LogFollower(cluster, arn, output);
    const asked = Date.parse(note.askedAt);
    const latest = asked + trainer.ecs.capacityTimeout;
    let told = '';
    for (;;) {
      let task: EcsTask | undefined;
      try {
        task = await cluster.describe(arn, work.signal);
      } catch (thrown) {
        if (work.signal.aborted) return this.#aborted(work, note);
        // Throttled beyond all patience, or cut off: the task works on, so this is asked until its deadline.
        const error = ClaraError.from(thrown);
        if (error.code !== 'unavailable') return this.#halt(work, note, { kind: 'unwatchable', error });
        work.onLog?.(error.message);
        task = { lastStatus: told };
      }
      if (!task && Date.now() > asked + UNKNOWN_MILLIS) {
        const message = 'ECS does not know the task of the trainer any more; it ended while no agent watched it';
        return { kind: 'try-again', error: new ClaraError('unavailable', message) };
      }
      checkOwn(task, note, work.folder);
      const status = task?.lastStatus ?? 'PROVISIONING';
      if (status === 'STOPPED') {
        await log.drain(work.signal, pacing, this.#pollMillis);
        return endOfTask(task!, trainer.ecs.container, output.lastWords);
      }
      const waits = ['PROVISIONING', 'PENDING', 'ACTIVATING'].includes(status);
      if (waits && status !== told) work.onWaiting?.(waiting(status, trainer.ecs.capacityProvider));
      told = status;
      const halt = await this.#haltOf(work, waits && Date.now() > latest ? status : undefined);
      if (halt) return this.#halt(work, note, halt);
      if (!waits) await log.read(work.signal).catch((error: Error) => work.onLog?.(error.message));
      const millis = this.#pollMillis * (0.75 + pacing.random() / 2);
      await pacing
        .wait(Math.min(millis, Math.max(work.deadline() - Date.now(), 0)), work.signal)
        .catch(() => undefined);
      if (work.signal.aborted) return this.#aborted(work, note);
    }
  }

  /** @param late status of a task that has waited for a machine too long */
  async #haltOf(work: TrainerWork, late: string | undefined): Promise<Halt | undefined> {
    if (Date.now() >= work.deadline()) return { kind: 'deadline' };
    if (late !== undefined) return { kind: 'no-machine', error: this.#noMachine(`its task is still ${late}`) };
    const bytes = await folderBytes(work.folder, work.uncounted);
    return bytes > work.diskBytes ? { kind: 'over-quota', bytes } : undefined;
  }

  #noMachine(why: string): ClaraError {
    const { capacityProvider, capacityTimeout } = this.options.trainer.ecs;
    const mend = `look at the activity of its Auto Scaling group: InsufficientInstanceCapacity means that ${CAPACITY_MEND}; VcpuLimitExceeded means that ${QUOTA_MEND}`;
    return new ClaraError(
      'resource-exhausted',
      `${capacityProvider} gave the trainer no machine within ${Math.round(capacityTimeout / 1000)} s of ecs.capacityTimeout (${why}); ${mend}`,
    );
  }

  /** The work was given up from outside: by an agent that ends, or because nobody wants the task or its time is over. */
  #aborted(work: TrainerWork, note: TaskNote): Promise<AttemptEnd> {
    const { reason } = work.signal;
    if (reason instanceof AgentEnds) throw new ClaraError('cancelled', 'the agent ends; the trainer works on');
    if (reason instanceof OutsideHours) return this.#halt(work, note, { kind: 'outside-hours' });
    const late = reason instanceof ClaraError && reason.code === 'deadline-exceeded';
    return this.#halt(work, note, { kind: late ? 'deadline' : 'cancelled' });
  }

  async #halt(work: TrainerWork, note: TaskNote, halt: Halt): Promise<AttemptEnd> {
    const error = 'error' in halt ? halt.error : stopError(halt, work.diskBytes);
    if (!note.ended) {
      const signal = AbortSignal.timeout(STOP_MILLIS);
      const tasks = note.task ? [note.task] : await this.options.cluster.find(note.token, signal);
      for (const task of tasks) await this.#end(task, error.message.slice(0, 200), signal);
    }
    await writeNote(work.folder, { ...note, ended: true });
    return { kind: 'over', error };
  }

  /** Ends a task and waits until it is gone: nothing may write into a folder that another task gets. */
  async #end(task: string, reason: string, signal: AbortSignal): Promise<void> {
    const { cluster, pacing } = this.options;
    await cluster.stop(task, reason, signal);
    for (;;) {
      const seen = await cluster.describe(task, signal);
      if (!seen || seen.lastStatus === 'STOPPED') return;
      await pacing.wait(Math.min(this.#pollMillis, 2000), signal);
    }
  }

  /** The trainer says that it is done: its report was written on another machine, and may not be seen here yet. */
  async #seeReport({ folder, signal }: TrainerWork): Promise<void> {
    const { pacing, seenMillis = 90_000 } = this.options;
    const end = Date.now() + seenMillis;
    while (!(await isThere(folder)) && Date.now() < end) await pacing.wait(Math.min(1000, this.#pollMillis), signal);
  }
}

/** The note lies where the trainer can write: what it names is believed only when ECS says the same. */
function checkOwn(task: EcsTask | undefined, { token }: TaskNote, folder: string): void {
  if (task === undefined || task.startedBy === undefined || task.startedBy === token) return;
  const message = `the ECS task on record for ${folder} was not started by this agent; it is left alone`;
  throw new ClaraError('corrupt', message);
}

async function isThere(folder: string): Promise<boolean> {
  // Reading the folder has an NFS client ask for its contents anew (close-to-open consistency, nfs(5)).
  for await (const { name } of await opendir(folder)) if (name === REPORT_FILE) break;
  return (await lstat(path.join(folder, REPORT_FILE)).catch(() => undefined)) !== undefined;
}

function newNote(): TaskNote {
  return { version: 1, token: randomUUID(), askedAt: new Date().toISOString(), ended: false };
}

function waiting(status: string, capacityProvider: string): string {
  if (status === 'PROVISIONING') return `waits for a machine of ${capacityProvider}`;
  return `has a machine of ${capacityProvider}; its image is being fetched`;
}

class LogFollower {
  #next: string | undefined;

  constructor(
    private readonly cluster: EcsCluster,
    private readonly task: string,
    private readonly output: TrainerOutput,
  ) {}

  /** @returns how many lines there were */
  async read(signal: AbortSignal): Promise<number> {
    let count = 0;
    for (let page = 0; page < MAX_LOG_PAGES; page++) {
      const { lines, next } = await this.cluster.read(this.task, this.#next, signal);
      for (const line of lines) this.output.eitherLine(line);
      count += lines.length;
      const over = lines.length === 0 || next === this.#next;
      this.#next = next;
      if (over) break;
    }
    return count;
  }

  /** Lines that come late are waited for as long as none came. What is lost is told by nobody, but ends nothing. */
  async drain(signal: AbortSignal, pacing: Pacing, millis: number): Promise<void> {
    try {
      for (let poll = 0; poll < LATE_LINES_POLLS; poll++) {
        if (poll > 0) await pacing.wait(Math.min(millis, 2000), signal);
        if ((await this.read(signal)) > 0) poll = Math.max(poll, LATE_LINES_POLLS - 2);
      }
    } catch {
      return;
    }
  }
}
