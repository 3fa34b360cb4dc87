import { create } from '@bufbuild/protobuf';
import { ClaraError } from '../base/errors';
import { endGroup } from '../base/process-identity';
import {
  type Task,
  type TaskProgress,
  type TaskResult,
  TaskResultSchema,
} from '../federation/gen/federation/v1/federation_pb';
import { RUN_FORGOTTEN_MILLIS } from '../federation/protocol';
import { DeadlineSignal } from './deadline-signal';
import { failedTask, stillThere } from './failed-task';
import { HeldTasks } from './held-tasks';
import { digestOf } from './model-cache';
import { type OpenTask, openTask } from './open-task';
import { tellAgain } from './result-again';
import { executeTask, type Surroundings } from './task-execution';
import { fingerprintOf, newRecord } from './task-journal';
import { ProgressBoard, type TaskActivity } from './task-progress';
import { AgentEnds, OutsideHours } from './trainers/trainer';

export interface RunnerOptions extends Omit<Surroundings, 'onProgress' | 'onLog'> {
  readonly now?: () => number;
  readonly onStarted: (task: Task) => void;
  readonly onProgress: (task: Task, activity: TaskActivity) => void;
  readonly onLog: (task: Task, line: string) => void;
  /** The task waits for the site's hours: until when, for people. */
  readonly onHeld: (task: Task, note: string) => void;
  /** The result is on disk, and the coordinator has the update that it speaks of. */
  readonly onResult: (task: Task, result: TaskResult, again: boolean) => void;
  readonly onProblem: (error: ClaraError) => void;
}

/** The task is not wanted any more: it leaves no result. */
class Dropped extends Error {}

/**
 * The tasks of a site: one is worked on at a time, in the order of arrival; results wait until the coordinator has settled
 * them. All changes go through one queue of commands, so that pushes, cancellations and ends never cross.
 */
export class TaskRunner {
  readonly #tasks = new Map<string, OpenTask>();
  readonly #queue: OpenTask[] = [];
  readonly #board = new ProgressBoard();
  #commands: Promise<unknown> = Promise.resolve();
  #worker: Promise<void> | undefined;
  #closed = false;
  readonly #held: HeldTasks;

  constructor(private readonly options: RunnerOptions) {
    const { site, hours } = options;
    this.#held = new HeldTasks({ site: site.id, hours, onReleased: (tasks) => this.#goOn(tasks) });
  }

  /** Takes up what an earlier agent left in the workspace. Call it once, before anything else. @throws the reason of `signal` */
  async recover(signal: AbortSignal): Promise<void> {
    const { journal, workspace, trainer, hours, onProblem } = this.options;
    await workspace.forgetRunsBefore(new Date((this.options.now ?? Date.now)() - RUN_FORGOTTEN_MILLIS));
    const records = await journal.load((file, error) =>
      onProblem(new ClaraError('corrupt', `the task record ${file} cannot be read and was removed: ${error.message}`)),
    );
    for (const record of records) {
      const { task } = record;
      // Its output would go nowhere, and a second trainer in the same folder would fight with it.
      if (record.trainer) await endGroup(record.trainer, { signal, onLate: () => onProblem(stillThere(record)) });
      // One elsewhere may have gone on beyond the hours, while no agent watched it.
      if (record.phase === 'training' && !hours.isOpen) {
        const folder = workspace.taskFolder(task.run, task.id);
        await trainer.abandon?.(folder).catch((error: unknown) => onProblem(ClaraError.from(error)));
      }
      if (record.phase === 'trained' || record.phase === 'finished') {
        await workspace.returnState(task.run, task.track, workspace.taskFolder(task.run, task.id));
      }
      this.#tasks.set(task.id, openTask(record));
    }
  }

  /** The coordinator asks for a task. One that is known already goes on, or its result is reported again. */
  accept(task: Task): Promise<void> {
    return this.#command(async () => {
      const known = this.#tasks.get(task.id);
      if (known && known.record.fingerprint === fingerprintOf(task)) {
        if (known.record.result) this.#tellAgain(known);
        else if (known.wanted) await this.#moveDeadline(known, task);
        else await this.#enqueue(known, this.#deadlineOf(task));
        return;
      }
      if (known) await this.#drop(known);
      const now = (this.options.now ?? Date.now)();
      const open = openTask(newRecord(task, new Date(now), new Date(this.#deadlineOf(task))));
      this.#tasks.set(task.id, open);
      await this.#enqueue(open, this.#deadlineOf(task));
    });
  }

  /** Stops a task and forgets it. `onStopped` is told when there was something to stop. */
  cancel(id: string, onStopped: (task: Task) => void): Promise<void> {
    return this.#command(async () => {
      const open = this.#tasks.get(id);
      if (!open) return;
      if (!open.record.result) onStopped(open.record.task);
      await this.#drop(open);
    });
  }

  /**
   * Cancels unfinished tasks of a run other than those named: after a reconnect the coordinator repeats every task that it
   * still waits for.
   */
  cancelOthers(run: string, wanted: ReadonlySet<string>): Promise<void> {
    return this.#command(async () => {
      for (const open of [...this.#tasks.values()]) {
        const { task, result } = open.record;
        if (task.run === run && !wanted.has(task.id) && !result) await this.#drop(open);
      }
    });
  }

  /** The coordinator has the result: its files are not needed any more, but its models may be those of the next task. */
  settle(id: string): Promise<void> {
    return this.#command(async () => {
      const open = this.#tasks.get(id);
      if (!open) return;
      const { task, outbound } = open.record;
      const { models, workspace } = this.options;
      const keep = new Set([...this.#tasks.values()].flatMap(({ record }) => record.task.models.map(digestOf)));
      if (outbound) {
        await models.adopt(task.run, outbound.sha256, `${workspace.taskFolder(task.run, id)}/${outbound.file}`);
        keep.add(outbound.sha256);
      }
      await this.#drop(open);
      await models.keepOnly(task.run, keep);
    });
  }

  /** Forgets everything of a run. */
  finishRun(run: string): Promise<void> {
    return this.#command(async () => {
      for (const open of [...this.#tasks.values()]) if (open.record.task.run === run) await this.#drop(open);
      await this.options.workspace.forgetRun(run);
    });
  }

  /** Tells every result again that the coordinator has not settled yet. */
  tellResults(): void {
    for (const open of this.#tasks.values()) if (open.record.result) this.#tellAgain(open);
  }

  progress(): TaskProgress[] {
    return this.#board.messages();
  }

  /** Stops work without forgetting any: a later agent goes on with it. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const open of this.#tasks.values()) open.abort.abort(new AgentEnds('the agent ends'));
    await this.#commands.catch(() => undefined);
    await this.#worker;
    await this.#held.close();
    await Promise.all([...this.#tasks.values()].map(({ telling }) => telling));
  }

  #command(action: () => Promise<void>): Promise<void> {
    const result = this.#commands.then(() => (this.#closed ? undefined : action()));
    this.#commands = result.catch((error: unknown) => this.options.onProblem(ClaraError.from(error)));
    return this.#commands as Promise<void>;
  }

  #deadlineOf(task: Task): number {
    const millis = Math.min(Number(task.remainingMillis), this.options.site.limits.taskTimeout);
    return (this.options.now ?? Date.now)() + millis;
  }

  /** The coordinator has paused the run, or it goes on: the same task has more time, or as much as it had. */
  async #moveDeadline(open: OpenTask, task: Task): Promise<void> {
    const deadline = Math.min(this.#deadlineOf(task), open.latest);
    open.record.deadline = new Date(deadline).toISOString();
    open.deadline?.moveTo(deadline);
    if (open.held) await this.#declineIfLate(open);
  }

  async #enqueue(open: OpenTask, deadline: number): Promise<void> {
    open.wanted = true;
    open.latest = (this.options.now ?? Date.now)() + this.options.site.limits.taskTimeout;
    open.record.deadline = new Date(deadline).toISOString();
    // What was begun may be complete already, and then needs no trainer.
    if (open.record.phase === 'accepted' && (await this.#declineIfLate(open))) return;
    this.#report(open, { activity: 'waiting', fraction: 0 });
    this.#queue.push(open);
    this.#worker ??= this.#work();
  }

  async #work(): Promise<void> {
    for (let next = this.#queue.shift(); next !== undefined && !this.#closed; next = this.#queue.shift()) {
      if (next.abort.signal.aborted) continue;
      next.working = this.#execute(next);
      await next.working;
      next.working = undefined;
    }
    // In the same turn as the look at the queue, so that a task that comes now finds no worker and starts one.
    this.#worker = undefined;
  }

  /** The site's hours are over, or have not begun. */
  async #hold(open: OpenTask): Promise<void> {
    if (await this.#declineIfLate(open)) return;
    const note = this.#held.add(open);
    this.#report(open, { activity: 'waiting', fraction: 0, note });
    this.options.onHeld(open.record.task, note);
  }

  #goOn(released: readonly OpenTask[]): void {
    this.#queue.unshift(...released);
    this.#worker ??= this.#work();
  }

  /** A task whose time is over before the site may work: everybody learns it now. @returns whether it is one */
  async #declineIfLate(open: OpenTask): Promise<boolean> {
    const late = open.abort.signal.aborted ? undefined : this.#held.lateness(open);
    if (!late) return false;
    open.held = false;
    await this.#finish(open, failedTask(open.record.task, late, this.options.site));
    return true;
  }

  async #execute(open: OpenTask): Promise<void> {
    const { record, abort } = open;
    const { task } = record;
    this.options.onStarted(task);
    let result: TaskResult;
    const deadline = new DeadlineSignal(Date.parse(record.deadline), abort.signal, this.options.now ?? Date.now);
    open.deadline = deadline;
    let isOutside = false;
    try {
      const around: Surroundings = {
        ...this.options,
        onProgress: (activity) => this.#report(open, activity),
        onLog: (line) => this.options.onLog(task, line),
      };
      const value = await executeTask(record, around, deadline.signal);
      result = create(TaskResultSchema, { task: task.id, outcome: { case: 'done', value } });
    } catch (thrown) {
      if (abort.signal.aborted) return;
      isOutside = thrown instanceof OutsideHours;
      result = failedTask(task, deadline.reasonOr(ClaraError.from(thrown)), this.options.site);
    } finally {
      deadline.clear();
      open.deadline = undefined;
    }
    await (isOutside ? this.#hold(open) : this.#finish(open, result));
  }

  async #finish(open: OpenTask, result: TaskResult): Promise<void> {
    const { record, abort } = open;
    const { task } = record;
    const { workspace, journal, onProblem } = this.options;
    record.phase = 'finished';
    record.result = result;
    try {
      // A task that is done has returned it.
      if (result.outcome.case !== 'done') {
        await workspace.returnState(task.run, task.track, workspace.taskFolder(task.run, task.id));
      }
      // An update that was sent is on record as trained: asking what the coordinator holds leads here again.
      if (result.outcome.case !== 'done' || !record.outbound) await journal.save(record);
    } catch (error) {
      // The result is told all the same; after a restart the task would be done again.
      onProblem(ClaraError.from(error, `the result of ${task.id} could not be written down`));
    }
    this.#board.delete(task.id);
    if (!abort.signal.aborted) this.options.onResult(task, result, false);
  }

  #tellAgain(open: OpenTask): void {
    tellAgain(open, { ...this.options, onUnwanted: ({ id }) => void this.cancel(id, () => undefined) });
  }

  async #drop(open: OpenTask): Promise<void> {
    const { task, result } = open.record;
    const { workspace, journal } = this.options;
    open.abort.abort(new Dropped('the task is not wanted any more'));
    open.held = false;
    await open.working;
    await open.telling;
    this.#tasks.delete(task.id);
    this.#board.delete(task.id);
    const folder = workspace.taskFolder(task.run, task.id);
    await this.options.trainer.abandon?.(folder);
    // A task that is done has returned it.
    if (result?.outcome.case !== 'done') await workspace.returnState(task.run, task.track, folder);
    await workspace.removeFolder(folder);
    await journal.remove(task);
  }

  #report(open: OpenTask, activity: TaskActivity): void {
    this.#board.set(open.record.task.id, activity);
    this.options.onProgress(open.record.task, activity);
  }
}
