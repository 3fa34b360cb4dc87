import { ClaraError } from '../base/errors';
import { backoffMillis, type Pacing } from './backoff';
import { type Hours, Schedule } from './hours';
import { OutsideHours, type Trainer, type TrainerWork } from './trainers/trainer';

export interface WorkingHoursOptions {
  /** @default always */
  readonly hours?: Hours | undefined;
  readonly now: () => number;
  readonly pacing: Pacing;
}

/** The clock is looked at again at least so often: it may be set, and a machine may sleep. */
const LOOK_MILLIS = 60_000;
const STOP_PAUSES = { firstMillis: 2000, maxMillis: 60_000 };

/** Lets trainers work in the site's hours only, whatever they run on. */
export class WorkingHours {
  readonly #schedule: Schedule | undefined;

  constructor(private readonly options: WorkingHoursOptions) {
    this.#schedule = options.hours && new Schedule(options.hours);
  }

  get isOpen(): boolean {
    return this.#schedule?.isOpen(this.options.now()) ?? true;
  }

  /** When trainers may work next; now, in the hours. Milliseconds since 1970. */
  get nextOpening(): number {
    const now = this.options.now();
    return this.#schedule?.nextOpening(now) ?? now;
  }

  /** A moment as people at the site read it. */
  show(time: number): string {
    return this.#schedule?.show(time) ?? new Date(time).toISOString();
  }

  /** Resolves in the hours. @throws the reason of `signal` */
  async opened(signal: AbortSignal): Promise<void> {
    while (!this.isOpen) await this.#waitUntil(this.nextOpening, signal);
  }

  /**
   * Outside of the hours nothing may work on the folder, nor what an earlier agent left at work on it.
   * @throws OutsideHours
   */
  async admit(trainer: Trainer, { folder, signal, onLog }: Pick<TrainerWork, 'folder' | 'signal' | 'onLog'>) {
    if (this.isOpen) return;
    await this.#end(trainer, { folder, signal, onLog });
    throw new OutsideHours();
  }

  /**
   * Has the trainer work until it is done, or until the hours are over: then it is stopped as one whose agent stops.
   * @throws OutsideHours when it was stopped for that; all else as the trainer does
   */
  async run(trainer: Trainer, work: TrainerWork): Promise<void> {
    await this.admit(trainer, work);
    if (!this.#schedule || this.#schedule.isAlways) return trainer.run(work);
    const closing = new AbortController();
    const ended = new AbortController();
    const watching = this.#closed(ended.signal).then(
      () => closing.abort(new OutsideHours()),
      () => undefined,
    );
    try {
      await trainer.run({ ...work, signal: AbortSignal.any([work.signal, closing.signal]) });
    } catch (thrown) {
      if (work.signal.aborted || !closing.signal.aborted) throw thrown;
      await this.#end(trainer, work);
      throw closing.signal.reason;
    } finally {
      ended.abort();
      await watching;
    }
  }

  async #closed(signal: AbortSignal): Promise<void> {
    while (this.isOpen) await this.#waitUntil(this.#schedule!.nextClosing(this.options.now()), signal);
  }

  #waitUntil(time: number, signal: AbortSignal): Promise<void> {
    const { now, pacing } = this.options;
    return pacing.wait(Math.min(Math.max(time - now(), 1), LOOK_MILLIS), signal);
  }

  /** A trainer elsewhere may work on while it cannot be reached: it is told until it has heard. */
  async #end(trainer: Trainer, { folder, signal, onLog }: Pick<TrainerWork, 'folder' | 'signal' | 'onLog'>) {
    for (let failures = 0; !this.isOpen; failures++) {
      try {
        return await trainer.abandon?.(folder);
      } catch (thrown) {
        signal.throwIfAborted();
        onLog?.(`the trainer could not be stopped at the end of policy.hours: ${ClaraError.from(thrown).message}`);
        await this.options.pacing.wait(backoffMillis(failures, this.options.pacing.random, STOP_PAUSES), signal);
      }
    }
  }
}
