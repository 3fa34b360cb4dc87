import { z } from 'zod';

/**
 * The hours in which a hospital lets its machines work for the federation, and what follows from them: pure functions of a
 * time. A moment is inside when the clock on the wall of the time zone reads a time of a window, so that a change to or from
 * summer time moves no window: an hour that the clock leaves out is in none, one that it shows twice counts twice.
 */

/** From Monday, as the week of a window is counted. */
export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

const MINUTE = 60_000;
const DAY_MINUTES = 24 * 60;
const WEEK_MINUTES = 7 * DAY_MINUTES;

const timeSchema = (latest: '23:59' | '24:00') =>
  z
    .string(`must be a time from "00:00" to "${latest}", in quotes`)
    .regex(
      latest === '24:00' ? /^(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)$/ : /^(?:[01]\d|2[0-3]):[0-5]\d$/,
      `must be a time from "00:00" to "${latest}"`,
    );

const windowSchema = z
  .strictObject({
    /** On which days the window opens. */
    days: z
      .array(z.enum(DAYS, { error: `must be one of ${DAYS.join(', ')}` }))
      .min(1, 'must name a day')
      .max(7)
      .refine((days) => new Set(days).size === days.length, 'must name each day once'),
    from: timeSchema('23:59'),
    /** Before or at `from`: on the next day. */
    to: timeSchema('24:00'),
  })
  .refine(({ from, to }) => from !== to, {
    path: ['to'],
    message: 'must differ from "from"; a whole day is from "00:00" to "24:00"',
  });

export const hoursSchema = z.strictObject({
  /** Of the IANA data base. */
  timeZone: z.string().max(100).refine(isTimeZone, 'must be a time zone of the IANA data base, such as Europe/London'),
  open: z
    .array(windowSchema)
    .min(1, 'must have a window; a site that takes part in nothing says approve: never')
    .max(50)
    .superRefine((windows, context) => {
      const seen = new Map<string, number>();
      windows.forEach(({ days, from, to }, index) => {
        for (const day of days) {
          const key = `${day} ${from}-${to}`;
          const first = seen.get(key);
          if (first !== undefined && first !== index) {
            context.addIssue({ code: 'custom', path: [index], message: `repeats ${key} of window ${first}` });
          }
          seen.set(key, first ?? index);
        }
      });
    }),
});

/** Windows by the clock of one time zone. */
export type Hours = z.output<typeof hoursSchema>;

function isTimeZone(name: string): boolean {
  // An offset such as +01:00 knows no summer time, and not every engine takes it.
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** Half-open spans of minutes since Monday 00:00, in order and apart from each other. */
type Week = readonly { readonly from: number; readonly to: number }[];

export class Schedule {
  readonly #week: Week;
  readonly #clock: Intl.DateTimeFormat;
  /** Open at every moment of the week. */
  readonly isAlways: boolean;

  constructor(readonly hours: Hours) {
    this.#week = weekOf(hours);
    this.isAlways = this.#week.length === 1 && this.#week[0]!.to - this.#week[0]!.from === WEEK_MINUTES;
    this.#clock = new Intl.DateTimeFormat('en-GB', {
      timeZone: hours.timeZone,
      hourCycle: 'h23',
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
    });
  }

  /** @param time milliseconds since 1970 */
  isOpen(time: number): boolean {
    const minute = this.#read(time).ofWeek;
    return this.#week.some(({ from, to }) => from <= minute && minute < to);
  }

  /** The first moment from `time` on that is inside. Milliseconds since 1970. */
  nextOpening(time: number): number {
    return this.isOpen(time) ? time : this.#nextChange(time);
  }

  /** The first moment from `time` on that is outside; infinite when there is none. */
  nextClosing(time: number): number {
    if (this.isAlways) return Number.POSITIVE_INFINITY;
    return this.isOpen(time) ? this.#nextChange(time) : time;
  }

  /** The longest time outside in one piece, as the clock on the wall counts it. Milliseconds. */
  get longestClosedMillis(): number {
    const gaps = this.#week.map(({ to }, index) => {
      const next = this.#week[index + 1]?.from ?? this.#week[0]!.from + WEEK_MINUTES;
      return next - to;
    });
    return Math.max(...gaps) * MINUTE;
  }

  /** A moment as people at the site read it: `Mon 19:00 Europe/London`. */
  show(time: number): string {
    const { weekday, hour, minute } = this.#parts(time);
    return `${weekday} ${hour}:${minute} ${this.hours.timeZone}`;
  }

  #nextChange(time: number): number {
    const open = this.isOpen(time);
    let at = Math.floor(time / MINUTE) * MINUTE;
    for (;;) {
      const { ofWeek, offset } = this.#read(at);
      // A day at a time: within one, a clock is not set twice.
      const next = at + Math.min(this.#minutesToEdge(ofWeek), DAY_MINUTES) * MINUTE;
      at = this.#read(next).offset === offset ? next : this.#firstWithout(offset, at, next);
      if (this.isOpen(at) !== open) return at;
    }
  }

  /** When the clock was set, of two times with different offsets. */
  #firstWithout(offset: number, before: number, after: number): number {
    let [low, high] = [before / MINUTE, after / MINUTE];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.#read(middle * MINUTE).offset === offset) low = middle;
      else high = middle;
    }
    return high * MINUTE;
  }

  #minutesToEdge(minute: number): number {
    const edges = this.#week.flatMap(({ from, to }) => [from, to]);
    return Math.min(...edges.map((edge) => positive(edge - minute)));
  }

  #parts(time: number): Record<string, string> {
    return Object.fromEntries(this.#clock.formatToParts(time).map(({ type, value }) => [type, value]));
  }

  /** The clock on the wall: its minute of the week, and by how many minutes it is ahead of UTC. */
  #read(time: number): { readonly ofWeek: number; readonly offset: number } {
    const { year, month, day, hour, minute } = this.#parts(time);
    const wall = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute)) / MINUTE;
    // 1970 began on a Thursday.
    const ofWeek = (wall + 3 * DAY_MINUTES) % WEEK_MINUTES;
    return { ofWeek, offset: wall - Math.floor(time / MINUTE) };
  }
}

/** From 1 to a week. */
function positive(minutes: number): number {
  return ((minutes + WEEK_MINUTES - 1) % WEEK_MINUTES) + 1;
}

function weekOf({ open }: Hours): Week {
  const spans = open.flatMap(({ days, from, to }) =>
    days.flatMap((day) => {
      const midnight = DAYS.indexOf(day) * DAY_MINUTES;
      const begin = midnight + minutesOf(from);
      const end = midnight + minutesOf(to) + (to > from ? 0 : DAY_MINUTES);
      // Sunday's night ends on the Monday with which the week begins.
      if (end <= WEEK_MINUTES) return [{ from: begin, to: end }];
      return [
        { from: begin, to: WEEK_MINUTES },
        { from: 0, to: end - WEEK_MINUTES },
      ];
    }),
  );
  const week: { from: number; to: number }[] = [];
  for (const { from, to } of spans.sort((a, b) => a.from - b.from)) {
    const last = week.at(-1);
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else week.push({ from, to });
  }
  return week;
}

function minutesOf(time: string): number {
  const [hours, minutes] = time.split(':').map(Number);
  return hours! * 60 + minutes!;
}
