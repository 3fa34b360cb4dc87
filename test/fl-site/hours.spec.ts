import assert from 'node:assert/strict';
import fc from 'fast-check';
import { checkSiteConfiguration } from '../../fl-site/configuration';
import { DAYS, type Hours, hoursSchema, Schedule } from '../../fl-site/hours';

const NIGHTS: Hours = {
  timeZone: 'Europe/London',
  open: [
    { days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '19:00', to: '07:00' },
    { days: ['sat', 'sun'], from: '00:00', to: '24:00' },
  ],
};
const MINUTE = 60_000;

const at = (text: string) => Date.parse(text);
const iso = (time: number) => new Date(time).toISOString().slice(0, 16);
const daily = (from: string, to: string, timeZone = 'Europe/London') =>
  new Schedule({ timeZone, open: [{ days: [...DAYS], from, to }] });

const ZONES = [
  'Europe/London',
  'America/New_York',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
  'Africa/Casablanca',
  'UTC',
];
const CLOCKS = new Map(
  ZONES.map((timeZone) => {
    const time = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const;
    return [timeZone, new Intl.DateTimeFormat('en-US', { timeZone, weekday: 'short', ...time })];
  }),
);

/** By its own reading of the clock on the wall. */
function isInside({ timeZone, open }: Hours, time: number): boolean {
  const [weekday, clock] = CLOCKS.get(timeZone)!.format(time).toLowerCase().split(/[ ,]+/) as [
    Hours['open'][number]['days'][number],
    string,
  ];
  const yesterday = DAYS[(DAYS.indexOf(weekday) + 6) % 7]!;
  return open.some(({ days, from, to }) => {
    const overnight = to < from;
    if (days.includes(weekday) && clock >= from && (overnight || clock < to)) return true;
    return overnight && days.includes(yesterday) && clock < to;
  });
}

function firstMinute(hours: Hours, from: number, inside: boolean, limit: number): number | undefined {
  for (let time = from; time < from + limit; time += MINUTE) {
    if (isInside(hours, time) === inside) return time;
    time = Math.floor(time / MINUTE) * MINUTE;
  }
  return undefined;
}

describe("a site's hours", () => {
  it('reach over midnight, and from Sunday into the week', () => {
    const nights = new Schedule(NIGHTS);
    const noon = at('2026-11-25T12:00Z');
    assert.equal(nights.isOpen(noon), false);
    assert.equal(iso(nights.nextOpening(noon)), '2026-11-25T19:00');
    assert.equal(nights.show(nights.nextOpening(noon)), 'Wed 19:00 Europe/London');
    assert.equal(iso(nights.nextClosing(at('2026-11-25T23:59Z'))), '2026-11-26T07:00');
    // Friday's night, Saturday and Sunday are one piece, which Monday does not go on with.
    assert.equal(iso(nights.nextClosing(at('2026-11-27T19:00Z'))), '2026-11-30T00:00');
    assert.equal(nights.nextClosing(noon), noon);
    assert.equal(nights.longestClosedMillis, 19 * 60 * MINUTE);
    const sunday = new Schedule({ timeZone: 'UTC', open: [{ days: ['sun'], from: '22:00', to: '06:00' }] });
    assert.equal(iso(sunday.nextClosing(at('2026-11-29T22:30Z'))), '2026-11-30T06:00');
    assert.equal(sunday.isOpen(at('2026-11-30T05:59:59.999Z')), true);
    assert.equal(sunday.isOpen(at('2026-11-30T06:00Z')), false);
  });

  it('follow the clock on the wall when summer time begins and ends', () => {
    // Europe/London: 29 March 2026 01:00 -> 02:00, 25 October 2026 02:00 -> 01:00.
    const night = daily('19:00', '07:00');
    assert.equal(iso(night.nextClosing(at('2026-03-28T19:00Z'))), '2026-03-29T06:00', '11 hours');
    assert.equal(iso(night.nextClosing(at('2026-10-24T18:00Z'))), '2026-10-25T07:00', '13 hours');
    assert.equal(iso(daily('01:30', '05:00').nextOpening(at('2026-03-29T00:00Z'))), '2026-03-29T01:00', 'at 02:00');
    const early = daily('00:00', '01:30');
    assert.equal(iso(early.nextClosing(at('2026-10-24T23:00Z'))), '2026-10-25T00:30');
    assert.equal(iso(early.nextOpening(at('2026-10-25T00:30Z'))), '2026-10-25T01:00', 'the hour comes a second time');
    // A window of the hour that is left out does not open on that day.
    assert.equal(iso(daily('01:15', '01:45').nextOpening(at('2026-03-28T12:00Z'))), '2026-03-30T00:15');
  });

  it('agree with a look at every minute, in every kind of time zone', () => {
    const clock = fc
      .integer({ min: 0, max: 24 * 12 - 1 })
      .map((n) => `${String(Math.floor(n / 12)).padStart(2, '0')}:${String((n % 12) * 5).padStart(2, '0')}`);
    const window = fc
      .record({
        days: fc.subarray([...DAYS], { minLength: 1 }),
        from: clock,
        to: fc.oneof(clock, fc.constant('24:00')),
      })
      .filter(({ from, to }) => from !== to);
    const hours = fc.record({
      timeZone: fc.constantFrom(...ZONES),
      open: fc.array(window, { minLength: 1, maxLength: 3 }),
    });
    // Around the changes of 2026 in these zones, and anywhere.
    const changes = ['2026-02-15', '2026-03-08', '2026-03-29', '2026-04-04', '2026-10-03', '2026-10-25', '2026-11-01'];
    const time = fc.oneof(
      fc.tuple(fc.constantFrom(...changes), fc.integer({ min: -36 * 3600, max: 24 * 3600 })),
      fc.tuple(fc.constant('2026-06-01'), fc.integer({ min: 0, max: 7 * 86400 })),
    );
    fc.assert(
      fc.property(hours, time, (drawn, [day, seconds]) => {
        const start = at(day) + seconds * 1000;
        const schedule = new Schedule(drawn);
        const limit = 36 * 3600e3;
        assert.equal(schedule.isOpen(start), isInside(drawn, start));
        for (const [found, inside] of [
          [schedule.nextOpening(start), true],
          [schedule.nextClosing(start), false],
        ] as const) {
          const expected = firstMinute(drawn, start, inside, limit);
          if (expected === undefined) assert.ok(found >= start + limit - MINUTE);
          else assert.equal(iso(found), iso(expected));
          if (Number.isFinite(found)) assert.equal(schedule.isOpen(found), inside);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('may be always', () => {
    const always = daily('00:00', '24:00');
    assert.equal(always.isAlways, true);
    assert.equal(always.nextClosing(0), Number.POSITIVE_INFINITY);
    assert.equal(always.nextOpening(5), 5);
    assert.equal(always.longestClosedMillis, 0);
    assert.equal(daily('12:00', '11:59').isAlways, false);
  });

  it('are refused with all their faults', () => {
    const site = (hours: unknown) => () =>
      checkSiteConfiguration(
        {
          ...{ id: 'a', coordinator: 'localhost:1', credentials: 'c', workspace: 'w', dataset: { kind: 'none' } },
          trainer: { name: 't', adapter: 'reference' },
          policy: { hours },
        },
        '/',
      );
    const open = [
      { days: ['mon'], from: '07:00', to: '07:00' },
      { days: ['mun'], from: '7:00', to: '24:01' },
      { days: ['tue', 'tue'], from: '01:00', to: '02:00' },
    ];
    assert.throws(site({ timeZone: 'Europe/Lundon', open }), (error: Error) => {
      for (const rule of [
        /timeZone \("Europe\/Lundon"\): must be a time zone of the IANA data base/,
        /open\.0\.to \("07:00"\): must differ from "from"/,
        /open\.1\.days\.0 \("mun"\): must be one of mon/,
        /open\.1\.from \("7:00"\): must be a time from "00:00" to "23:59"/,
        /open\.1\.to \("24:01"\): must be a time from "00:00" to "24:00"/,
        /open\.2\.days .*: must name each day once/,
      ])
        assert.match(error.message, rule);
      return true;
    });
    const night = { days: ['mon'], from: '19:00', to: '07:00' };
    assert.throws(site({ timeZone: 'UTC', open: [] }), /must have a window/);
    assert.throws(site({ timeZone: '+01:00', open: [night] }), /must be a time zone/);
    assert.throws(site({ timeZone: 'UTC', open: [night, night] }), /open\.1 .*: repeats mon 19:00-07:00 of window 0/);
    assert.throws(site({ timeZone: 'UTC', open: [{ ...night, days: [] }] }), /must name a day/);
    assert.throws(site({ timeZone: 'UTC', open: [{ ...night, from: 1140 }] }), /must be a time .*in quotes/);
    assert.equal(hoursSchema.safeParse(NIGHTS).success, true);
  });
});
