import { ClaraError } from '../../base/errors';
import type { Heartbeat, Hello, TaskDone } from '../../federation/gen/federation/v1/federation_pb';
import { PROTOCOL } from '../../federation/protocol';
import { MAX_METRICS, metricsSchema } from '../../federation/trainer-contract';
import { expectsUpdate } from '../runs/stage';
import type { SiteTask } from '../runs/tasks';

/** Rules for what a site says on its stream, before anything is done about it. */

const MAX_COUNT = 2 ** 48;

/** Figures from a site are bounded before they can enter the journal. */
export function resultFaults(done: TaskDone): string[] {
  const faults: string[] = [];
  const all = [done.metrics, ...done.evaluations.map(({ metrics }) => metrics)];
  if (all.some((metrics) => !metricsSchema.safeParse(metrics).success)) faults.push('a metric is not a finite number');
  if (all.some((metrics) => Object.keys(metrics).length > MAX_METRICS)) faults.push(`more than ${MAX_METRICS} metrics`);
  if ([done.samples, done.steps, done.peakRssBytes].some((count) => count > MAX_COUNT))
    faults.push('a count is beyond 2^48');
  if (done.warnings.length > 100 || done.warnings.some((text) => text.length > 1000))
    faults.push('warnings are too long');
  if (!Number.isFinite(done.seconds)) faults.push('seconds are not a finite number');
  return faults;
}

/** The task decides which models are judged: a site cannot fill the journal with others. */
export function evaluationFaults({ evaluations }: TaskDone, { stage, models }: SiteTask): string[] {
  if (expectsUpdate(stage)) return [];
  const told = evaluations.map(({ model }) => model).sort();
  const asked = models.map(({ name }) => name).sort();
  if (told.length === asked.length && told.every((name, index) => name === asked[index])) return [];
  return ['it must have one evaluation for each model of the task, and no others'];
}

export function checkProtocol({ protocol, software }: Hello): void {
  if (protocol === PROTOCOL) return;
  throw new ClaraError(
    'unsupported',
    `this coordinator speaks protocol ${PROTOCOL}, the site (${software.slice(0, MAX_SOFTWARE)}) speaks ${protocol}; update the older one`,
  );
}

/** Of the name and version of a site's software: it is for people, and in every list of sites. */
export const MAX_SOFTWARE = 100;

/** Messages that wait for a site to read them: each is small, and a healthy site never lets more than a few wait. */
export const MAX_WAITING = 1000;

export function unread(site: string): ClaraError {
  return new ClaraError(
    'resource-exhausted',
    `${site} does not read what it is told (${MAX_WAITING} messages wait); connect again`,
  );
}

/** A site has one task of a run at a time; each that it names costs an answer when it is not open. */
const MAX_TASKS_TOLD = 100;

export function checkHeartbeat(site: string, { progress }: Heartbeat): void {
  if (progress.length <= MAX_TASKS_TOLD) return;
  throw new ClaraError(
    'invalid-input',
    `a heartbeat of ${site} names ${progress.length} tasks; at most ${MAX_TASKS_TOLD} are looked at`,
  );
}
