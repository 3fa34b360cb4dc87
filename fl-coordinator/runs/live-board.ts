import type { TaskProgress } from '../../federation/gen/federation/v1/federation_pb';
import { parseTaskId, type Stage, sameStage } from './stage';

/** What sites said of their open tasks, for people who watch. Never in the journal, never decided by. */
export interface LiveProgress {
  readonly stage: Stage;
  readonly activity: string;
  readonly fraction: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** What the site waits for, in its words; empty when it does not say. */
  readonly note: string;
}

const ACTIVITIES = new Set([
  'waiting',
  'downloading',
  'initialising',
  'training',
  'evaluating',
  'measuring',
  'uploading',
]);

export class LiveBoard {
  readonly #progress = new Map<string, LiveProgress>();
  readonly #asked = new Set<string>();

  /** @returns the run that the progress belongs to, or none when it names no task of this site. */
  report(site: string, progress: TaskProgress): string | undefined {
    const task = parseTaskId(progress.task);
    if (task.site !== site) return undefined;
    this.#progress.set(`${task.run}/${site}`, {
      stage: task.stage,
      activity: ACTIVITIES.has(progress.activity) ? progress.activity : 'training',
      fraction: Number.isFinite(progress.fraction) ? Math.min(Math.max(progress.fraction, 0), 1) : 0,
      metrics: finiteMetrics(progress.metrics),
      note: oneLine(progress.note),
    });
    return task.run;
  }

  /** The newest progress of a site in the given stage. */
  of(run: string, site: string, stage: Stage): LiveProgress | undefined {
    const progress = this.#progress.get(`${run}/${site}`);
    return progress && sameStage(progress.stage, stage) ? progress : undefined;
  }

  /** A person at the site has been asked to approve the run. */
  personAsked(run: string, site: string): void {
    this.#asked.add(`${run}/${site}`);
  }

  waitsForPerson(run: string, site: string): boolean {
    return this.#asked.has(`${run}/${site}`);
  }

  forget(run: string): void {
    for (const key of this.#asked) if (key.startsWith(`${run}/`)) this.#asked.delete(key);
    for (const key of this.#progress.keys()) if (key.startsWith(`${run}/`)) this.#progress.delete(key);
  }
}

const MAX_METRICS = 100;
/** Of the name of a metric, as in a trainer's report. */
const MAX_NAME = 100;

/** Of a note, which people read in one line of a terminal. */
const MAX_NOTE = 200;

function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').slice(0, MAX_NOTE);
}

function finiteMetrics(metrics: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(metrics)
      .filter(([name, value]) => name.length <= MAX_NAME && Number.isFinite(value))
      .slice(0, MAX_METRICS),
  );
}
