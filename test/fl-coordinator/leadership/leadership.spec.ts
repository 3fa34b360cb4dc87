import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ClaraError } from '../../../base/errors';
import { type Lead, takeLead } from '../../../fl-coordinator/leadership/leadership';
import { readLease } from '../../../fl-coordinator/leadership/lease';
import type { ObjectStore } from '../../../fl-coordinator/storage/object-store';
import { newOwnerCard } from '../../../fl-coordinator/storage/store-owner';
import { Machine, memoryObjects, World } from './support/world';

const LEASE = 10_000;

/** A process that stands by, leads, and stands by again. */
class Candidate {
  lead: Lead | undefined;
  readonly epochs: number[] = [];
  readonly waitedFor: string[] = [];
  readonly problems: ClaraError[] = [];
  readonly #stop = new AbortController();

  constructor(
    readonly name: string,
    readonly machine: Machine,
    store: ObjectStore,
    isEnded: (id: string) => boolean = () => false,
  ) {
    void this.#campaign(machine.reach(store), isEnded);
  }

  get mayWrite(): boolean {
    return this.lead?.isHeld === true;
  }

  async stop(everythingEnded: boolean): Promise<void> {
    this.#stop.abort(new ClaraError('cancelled', 'stopped'));
    await this.lead?.release({ everythingEnded });
  }

  async #campaign(store: ObjectStore, isEnded: (id: string) => boolean): Promise<void> {
    const self = { holder: { ...newOwnerCard(), id: idOf(this.name) }, address: this.name, durationMillis: LEASE };
    while (!this.#stop.signal.aborted) {
      const lead = await takeLead(
        {
          store,
          self,
          clock: this.machine,
          isEnded: ({ id }) => isEnded(id),
          onStandingBy: ({ address }) => this.waitedFor.push(address),
          onProblem: (error) => this.problems.push(error),
        },
        this.#stop.signal,
      ).catch(() => undefined);
      if (!lead) return;
      this.lead = lead;
      this.epochs.push(lead.epoch);
      await new Promise<void>((resolve) => lead.lost.addEventListener('abort', () => resolve()));
      await lead.release({ everythingEnded: false });
    }
  }
}

const idOf = (name: string): string => Buffer.from(name.padEnd(8)).toString('hex');
const steady = { rate: 1, offset: 0, delay: () => 5 };

describe('leadership', () => {
  let world: World;
  let store: ObjectStore;

  beforeEach(() => {
    world = new World();
    store = memoryObjects();
  });
  // Nothing goes on by itself: time has stopped for good.
  const candidate = (name: string, isEnded?: (id: string) => boolean) =>
    new Candidate(name, new Machine(world, steady), store, isEnded);

  it('is taken at once where nobody has led, and the others say whom they wait for', async () => {
    const a = candidate('a');
    await world.runUntil(100);
    const b = candidate('b');
    await world.runUntil(60_000);
    assert.ok(a.mayWrite);
    assert.deepEqual(a.epochs, [1]);
    assert.deepEqual(b.epochs, []);
    assert.deepEqual(b.waitedFor, ['a']);
  });

  it('passes to a standby within the lease and two looks after the leader has died', async () => {
    const a = candidate('a');
    await world.runUntil(100);
    const b = candidate('b');
    await world.runUntil(33_333);
    a.machine.kill();
    await world.runUntil(33_333 + LEASE + 1200);
    assert.deepEqual(b.epochs, [2]);
    assert.ok(b.mayWrite);
  });

  it('passes at once when the leader has stopped in order, and only then counts as an orderly end', async () => {
    const a = candidate('a');
    await world.runUntil(100);
    const [b, c] = [candidate('b'), candidate('c')];
    await world.runUntil(20_000);
    void a.stop(true);
    await world.runUntil(20_700);
    const next = [b, c].find(({ mayWrite }) => mayWrite)!;
    assert.equal(next.lead!.afterOrderlyEnd, true);
    next.machine.kill();
    await world.runUntil(40_000);
    const last = [b, c].find((each) => each !== next)!;
    assert.ok(last.mayWrite);
    assert.equal(last.lead!.afterOrderlyEnd, false);
  });

  it('is not given back by a leader that ends while writes of it may be on their way', async () => {
    const a = candidate('a');
    await world.runUntil(100);
    const b = candidate('b');
    await world.runUntil(20_000);
    void a.stop(false);
    await world.runUntil(21_000);
    assert.equal(b.mayWrite, false);
    await world.runUntil(32_000);
    assert.ok(b.mayWrite);
    assert.equal(b.lead!.afterOrderlyEnd, false);
  });

  it('is taken at once from a process that is proven to have ended', async () => {
    const a = candidate('a');
    await world.runUntil(100);
    a.machine.kill();
    const b = candidate('b', (id) => id === idOf('a'));
    await world.runUntil(200);
    assert.deepEqual(b.epochs, [2]);
  });

  it('is lost by a leader that slept past its lease, which learns who leads and waits for them', async () => {
    const a = candidate('a');
    await world.runUntil(100);
    const b = candidate('b');
    await world.runUntil(20_000);
    const lead = a.lead!;
    a.machine.pause(60_000);
    await world.runUntil(79_000);
    assert.equal(a.mayWrite, false);
    assert.ok(b.mayWrite);
    await world.runUntil(100_000);
    assert.ok(lead.lost.aborted);
    assert.throws(() => lead.mustBeHeld(), /does not lead any more/);
    assert.deepEqual(a.waitedFor, ['b']);
    assert.deepEqual([a.epochs, b.epochs], [[1], [2]]);
  });

  it('is taken again, as a new term, by a leader that slept alone', async () => {
    const a = candidate('a');
    await world.runUntil(20_000);
    a.machine.pause(60_000);
    await world.runUntil(90_000);
    assert.ok(a.mayWrite);
    assert.deepEqual(a.epochs, [1, 2]);
  });

  it('ends by the wall clock too, for a machine whose other clock stood still while it was suspended', async () => {
    const machine = new Machine(world, steady);
    let suspended = 0;
    const clock = {
      now: () => machine.now() - suspended,
      wall: () => machine.now(),
      sleep: machine.sleep.bind(machine),
    };
    const self = { holder: newOwnerCard(), address: 'a', durationMillis: LEASE };
    const taking = takeLead({ store, self, clock }, new AbortController().signal);
    await world.runUntil(100);
    const lead = await taking;
    assert.ok(lead.isHeld);
    suspended = 1e6;
    world.now += 1e6;
    assert.equal(lead.isHeld, false);
    const released = lead.release({ everythingEnded: true });
    await world.runUntil(world.now + LEASE);
    await released;
    assert.equal((await readLease(store))!.lease.released, false);
  });

  it('survives renewals whose answer is lost, and a store that is away for less than the lease', async () => {
    let away = false;
    const flaky: ObjectStore = {
      ...store,
      putIfMatch: async (...args) => {
        if (away) throw new ClaraError('unavailable', 'the store is away');
        const info = await store.putIfMatch(...args);
        if (Math.floor(world.now / 2000) % 2 === 0) throw new ClaraError('unavailable', 'the answer was lost');
        return info;
      },
    };
    const a = new Candidate('a', new Machine(world, steady), flaky);
    const b = candidate('b');
    world.onEvent = () => {
      away = world.now > 31_000 && world.now < 35_000;
    };
    await world.runUntil(100_000);
    assert.deepEqual(a.epochs, [1]);
    assert.deepEqual(b.epochs, []);
    assert.ok(a.mayWrite);
    assert.ok(a.problems.length > 0);
  });

  it('is kept on a store that is busy and takes two fifths of the lease over each renewal', async () => {
    const busy: ObjectStore = {
      ...store,
      putIfMatch: async (...args) => {
        await world.after(0.4 * LEASE);
        return store.putIfMatch(...args);
      },
    };
    const a = new Candidate('a', new Machine(world, steady), busy);
    await world.runUntil(100_000);
    assert.deepEqual(a.epochs, [1]);
    assert.ok(a.mayWrite);
  });

  it('is refused to whoever finds an object that is no lease', async () => {
    await store.putIfAbsent('federation/lease.json', Buffer.from('{"v":2}'));
    const self = { holder: newOwnerCard(), address: 'a', durationMillis: LEASE };
    await assert.rejects(takeLead({ store, self }, new AbortController().signal), /is not a lease; stop every/);
  });

  it('is never believed by two at an instant, whatever the delays, pauses, deaths and clocks', async () => {
    const machine = fc.record({
      /** Five in a hundred fast or slow: far more than any clock is. */
      rate: fc.double({ min: 0.95, max: 1.05, noNaN: true }),
      offset: fc.integer({ min: 0, max: 1e9 }),
      delays: fc.array(fc.oneof({ weight: 6, arbitrary: fc.nat(30) }, fc.nat(3000), fc.nat(25_000)), {
        minLength: 1,
        maxLength: 40,
      }),
    });
    const accident = fc.record({
      at: fc.nat(120_000),
      who: fc.nat(2),
      kind: fc.constantFrom('pause' as const, 'pause' as const, 'kill' as const, 'stop' as const),
      millis: fc.nat(40_000),
    });
    let changes = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(machine, { minLength: 3, maxLength: 3 }),
        fc.array(accident, { maxLength: 6 }),
        async (machines, accidents) => {
          world = new World();
          store = memoryObjects();
          const all = machines.map(({ rate, offset, delays }, i) => {
            let next = 0;
            const delay = () => delays[next++ % delays.length]!;
            return new Candidate(`c${i}`, new Machine(world, { rate, offset, delay }), store);
          });
          const epochs = new Map<number, string>();
          world.onEvent = () => {
            const writers = all.filter(({ mayWrite }) => mayWrite);
            assert.ok(writers.length <= 1, `${writers.map(({ name }) => name).join(' and ')} lead at ${world.now}`);
            for (const { name, lead } of all) {
              if (!lead) continue;
              assert.equal(epochs.get(lead.epoch) ?? name, name, `two have led in epoch ${lead.epoch}`);
              epochs.set(lead.epoch, name);
            }
          };
          for (const { at, who, kind, millis } of accidents) {
            world.at(at, () => {
              const { machine: hit } = all[who]!;
              if (kind === 'pause') hit.pause(millis);
              else if (kind === 'kill') hit.kill();
              else void all[who]!.stop(true);
            });
          }
          await world.runUntil(200_000);
          changes += epochs.size;
        },
      ),
      { numRuns: 150 },
    );
    assert.ok(changes > 300, `only ${changes} terms in all: the property says little`);
  });
});
