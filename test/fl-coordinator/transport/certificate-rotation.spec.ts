import assert from 'node:assert/strict';
import { keepRotating } from '../../../fl-coordinator/transport/certificate-rotation';

/** A certificate that lives for so many milliseconds from the moment that it is issued. */
const living = (millis: number) => ({ born: Date.now(), ends: new Date(Date.now() + millis) });
type Living = ReturnType<typeof living>;

describe('certificate rotation', () => {
  it('puts a new certificate to use when two thirds of the life of the last have passed, again and again', async () => {
    const first = living(90);
    const used: Living[] = [first];
    await new Promise<void>((resolve) => {
      const stop = keepRotating({
        first,
        issue: async () => living(90),
        apply: (certificate) => {
          used.push(certificate);
          if (used.length < 4) return;
          stop();
          resolve();
        },
      });
    });
    // A timer may fire late on a busy machine, but not before its time.
    for (let i = 1; i < used.length; i++)
      assert.ok(used[i].born - used[i - 1].born >= 59, `rotation ${i} came too early`);
  });

  it('tries again after a failure, and reports it', async () => {
    const failures: unknown[] = [];
    let attempts = 0;
    await new Promise<void>((resolve) => {
      const stop = keepRotating({
        first: living(30),
        retryMillis: 5,
        issue: async () => {
          if (++attempts < 3) throw new Error(`attempt ${attempts}`);
          return living(60_000);
        },
        onFailure: (thrown) => failures.push(String(thrown)),
        apply: () => {
          stop();
          resolve();
        },
      });
    });
    assert.deepEqual(failures, ['Error: attempt 1', 'Error: attempt 2']);
  });

  it('does not turn a long life into an immediate rotation', async () => {
    let issued = 0;
    const stop = keepRotating({
      first: living(400 * 86_400_000),
      issue: async () => {
        issued++;
        return living(1);
      },
      apply: () => {},
    });
    await new Promise((resolve) => setTimeout(resolve, 20)); // a timer that overflowed would fire after one millisecond
    stop();
    assert.equal(issued, 0);
  });
});
