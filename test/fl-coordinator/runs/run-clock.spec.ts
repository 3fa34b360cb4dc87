import assert from 'node:assert/strict';
import fc from 'fast-check';
import { runClock } from '../../../fl-coordinator/runs/run-clock';

const START = Date.parse('2026-01-01T00:00:00Z');
const HOUR = 3600e3;

describe('the time of a run', () => {
  it('begins with the last event, or later, and goes on as fast as the clock it is given', () => {
    fc.assert(
      fc.property(fc.integer({ min: -HOUR, max: HOUR }), fc.array(fc.nat(HOUR)), (ahead, steps) => {
        let now = START + ahead;
        const clock = runClock(new Date(START).toISOString(), () => new Date(now));
        let before = clock().getTime();
        assert.equal(before, Math.max(START, START + ahead));
        for (const step of steps) {
          now += step;
          assert.equal(clock().getTime() - before, step);
          before += step;
        }
      }),
    );
  });

  it('without a clock of its own does not follow the one of the machine', () => {
    const clock = runClock(new Date(0).toISOString());
    const real = Date.now;
    try {
      Date.now = () => real() + HOUR;
      assert.ok(Math.abs(clock().getTime() - real()) < HOUR / 2);
    } finally {
      Date.now = real;
    }
  });
});
