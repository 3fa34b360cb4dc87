import { type Hours, Schedule } from '../hours';
import { ok, type Verdict } from './verdict';

/** When trainers may work here: a person reads whether it is what was meant. @param now milliseconds since 1970 */
export function hoursCheck(hours: Hours | undefined, now: number): Verdict {
  if (!hours) return ok('trainers may work at any time: policy.hours is not set');
  const schedule = new Schedule(hours);
  const windows = hours.open.map(({ days, from, to }) => `${days.join(' ')} ${from}-${to}`).join(', ');
  const all = `${windows} ${hours.timeZone}`;
  if (schedule.isAlways) return ok(`${all}: at any time`);
  if (!schedule.isOpen(now)) return ok(`${all}; now closed, until ${schedule.show(schedule.nextOpening(now))}`);
  return ok(`${all}; now open, until ${schedule.show(schedule.nextClosing(now))}`);
}
