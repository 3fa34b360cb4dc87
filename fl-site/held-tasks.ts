import { ClaraError } from '../base/errors';
import type { OpenTask } from './open-task';
import type { WorkingHours } from './working-hours';

export interface HeldTasksOptions {
  readonly site: string;
  readonly hours: WorkingHours;
  /** The hours have begun: these go on, in this order; there is one at least. */
  readonly onReleased: (tasks: readonly OpenTask[]) => void;
}

/** Tasks that wait for the site's hours, and keep no other task waiting. */
export class HeldTasks {
  readonly #tasks: OpenTask[] = [];
  readonly #ends = new AbortController();
  #opening: Promise<void> | undefined;

  constructor(private readonly options: HeldTasksOptions) {}

  /** @returns what is waited for, for people */
  add(open: OpenTask): string {
    const { hours, site } = this.options;
    open.held = true;
    this.#tasks.push(open);
    this.#opening ??= this.#release();
    return `until ${hours.show(hours.nextOpening)}, when the hours of ${site} begin`;
  }

  /** Why a task is declined: its time is over before the site may work. Undefined for any other. */
  lateness({ record }: OpenTask): ClaraError | undefined {
    const { hours, site } = this.options;
    const { nextOpening } = hours;
    const deadline = Date.parse(record.deadline);
    if (hours.isOpen || nextOpening < deadline) return undefined;
    return new ClaraError(
      'deadline-exceeded',
      `${site} may not work before ${hours.show(nextOpening)} (policy.hours), and the time of the task ends at ${hours.show(deadline)}; a longer deadline of the plan, and limits.taskTimeout of the site, would let it wait`,
    );
  }

  /** Waits no more; who was waiting stays as it is. */
  async close(): Promise<void> {
    this.#ends.abort();
    await this.#opening;
  }

  async #release(): Promise<void> {
    await this.options.hours.opened(this.#ends.signal).catch(() => undefined);
    this.#opening = undefined;
    if (this.#ends.signal.aborted) return;
    // Some were settled or dropped while they waited.
    const released = this.#tasks.splice(0).filter(({ held, abort }) => held && !abort.signal.aborted);
    for (const open of released) open.held = false;
    if (released.length > 0) this.options.onReleased(released);
  }
}
