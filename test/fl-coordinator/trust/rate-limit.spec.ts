import assert from 'node:assert/strict';
import { RateLimit } from '../../../fl-coordinator/trust/rate-limit';

describe('rate limit of enrolment', () => {
  let now: number;
  const limit = (options = {}) => new RateLimit({ perAddress: 3, total: 5, clock: () => now, ...options });
  const taken = (rate: RateLimit, address: string, times: number): number => {
    let done = 0;
    for (let i = 0; i < times; i++) {
      try {
        rate.take(address);
        done++;
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'resource-exhausted');
      }
    }
    return done;
  };
  beforeEach(() => {
    now = 0;
  });

  it('gives each address its share, and all of them a common one', () => {
    const rate = limit();
    assert.deepEqual([taken(rate, 'a', 10), taken(rate, 'b', 10), taken(rate, 'c', 10)], [3, 2, 0]);
  });

  it('refills with time, never above the limit', () => {
    const rate = limit();
    assert.equal(taken(rate, 'a', 3), 3);
    now += 20_000;
    assert.equal(taken(rate, 'a', 3), 1);
    now += 3_600_000;
    assert.equal(taken(rate, 'a', 9), 3);
  });

  it('does not let an address that is refused use up what others share', () => {
    const rate = limit();
    assert.equal(taken(rate, 'a', 1000), 3);
    assert.equal(taken(rate, 'b', 2), 2);
  });

  it('names the limit and the way out', () => {
    const rate = limit();
    taken(rate, 'a', 3);
    assert.throws(() => rate.take('a'), /^ClaraError: this address may try to enrol 3 times a minute; wait a minute$/);
    taken(rate, 'b', 2);
    assert.throws(() => rate.take('c'), /all addresses together may try to enrol 5 times a minute/);
  });

  it('remembers a bounded number of addresses, forgetting the longest silent', () => {
    const rate = limit({ total: 1e6, addresses: 2 });
    taken(rate, 'a', 3);
    taken(rate, 'b', 3);
    assert.equal(taken(rate, 'a', 1), 0);
    taken(rate, 'c', 1); // pushes out b, whose last attempt is oldest
    assert.deepEqual([taken(rate, 'a', 1), taken(rate, 'b', 1)], [0, 1]);
  });
});
