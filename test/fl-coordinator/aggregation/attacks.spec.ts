import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { seededRandom } from '../../../base/random';
import type { Combiner } from '../../../federation/strategy';
import { type DirectoryStore, openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { aggregateFiles, strategyOf, valuesOf, vectorFile } from './models';

const ELEMENTS = 400;
const HOSTILE = 2;
const SITES = 11;

const ROBUST: readonly Combiner[] = [
  { kind: 'median' },
  { kind: 'trimmed-mean', beta: HOSTILE },
  { kind: 'geometric-median', smoothing: 1e-6 },
  { kind: 'krum', f: HOSTILE },
  { kind: 'multikrum', f: HOSTILE, m: SITES - HOSTILE },
  { kind: 'bulyan', f: HOSTILE },
];

type Vector = readonly number[];
/** What the hostile sites send; they know the updates of all others. */
type Attack = (honest: readonly Vector[], seed: number) => Vector[];

const meanOf = (vectors: readonly Vector[]): number[] =>
  vectors[0]!.map((_, i) => vectors.reduce((sum, vector) => sum + vector[i]!, 0) / vectors.length);
const distance = (a: Vector, b: Vector): number => Math.hypot(...a.map((value, i) => value - b[i]!));
const times = (vector: Vector): Vector[] => Array.from({ length: HOSTILE }, () => vector);

const ATTACKS: Readonly<Record<string, { readonly attack: Attack; readonly breaksTheMean: boolean }>> = {
  'sign flip': { attack: (honest) => times(meanOf(honest).map((value) => -20 * value)), breaksTheMean: true },
  'large Gaussian': {
    attack: (honest, seed) => {
      const random = seededRandom(seed);
      return times([]).map(() => honest[0]!.map(() => 100 * random.normal()));
    },
    breaksTheMean: true,
  },
  'the same far point': { attack: (honest) => times(honest[0]!.map(() => 50)), breaksTheMean: true },
  // Baruch 2019: a shift that hides in the spread of honest updates, all in one direction. Small, so the mean bears it too.
  'a little is enough': {
    attack: (honest) => {
      const mean = meanOf(honest);
      const deviation = mean.map((center, i) =>
        Math.sqrt(honest.reduce((sum, update) => sum + (update[i]! - center) ** 2, 0) / honest.length),
      );
      return times(mean.map((value, i) => value - deviation[i]!));
    },
    breaksTheMean: false,
  },
};

describe('updates of hostile sites', () => {
  let folder: string;
  let store: DirectoryStore;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'clara-attacks-'));
    store = await openDirectoryStore(folder);
  });

  after(async () => {
    await store.close();
    await rm(folder, { recursive: true });
  });

  const combined = async (combiner: Combiner, updates: readonly Vector[]): Promise<Vector> => {
    const sites = updates.map((values, i) => ({
      site: `site-${String(i).padStart(2, '0')}`,
      file: vectorFile(values),
    }));
    const model = vectorFile(updates[0]!.map(() => 0));
    return valuesOf(await aggregateFiles(store, model, sites, { strategy: strategyOf(combiner) })).w!;
  };

  /** Nine sites that agree on a direction, each with a deviation of its own, and two hostile ones somewhere among them. */
  const scene = (attack: Attack, seed: number) => {
    const random = seededRandom(seed);
    const direction = Array.from({ length: ELEMENTS }, () => random.normal());
    const honest = Array.from({ length: SITES - HOSTILE }, () =>
      direction.map((value) => Math.fround(value + 0.3 * random.normal())),
    );
    const hostile = attack(honest, seed + 1).map((values) => values.map(Math.fround));
    const updates = [...honest];
    for (const values of hostile) updates.splice(random.integer(updates.length + 1), 0, values);
    const center = meanOf(honest);
    const spread = Math.max(...honest.map((update) => distance(update, center)));
    return { honest, updates, center, spread };
  };

  for (const [name, { attack, breaksTheMean }] of Object.entries(ATTACKS)) {
    for (const combiner of ROBUST) {
      it(`${name}: ${combiner.kind} stays as near to the honest mean as honest updates are`, async () => {
        await fc.assert(
          fc.asyncProperty(fc.nat(1e6), async (seed) => {
            const { updates, center, spread } = scene(attack, seed);
            const found = await combined(combiner, updates);
            assert.ok(distance(found, center) <= spread, `${distance(found, center)} is beyond ${spread}`);
          }),
          { numRuns: 6 },
        );
      });
    }

    for (const combiner of ROBUST.slice(0, 2)) {
      it(`${name}: ${combiner.kind} stays inside the hull of the honest updates in every coordinate`, async () => {
        const { honest, updates } = scene(attack, 7);
        const found = await combined(combiner, updates);
        for (const [i, value] of found.entries()) {
          const column = honest.map((update) => update[i]!);
          assert.ok(value >= Math.min(...column) && value <= Math.max(...column), `element ${i}`);
        }
      });
    }

    if (breaksTheMean) {
      it(`${name}: the mean does not`, async () => {
        const { updates, center, spread } = scene(attack, 7);
        assert.ok(distance(await combined({ kind: 'weighted-mean' }, updates), center) > spread);
      });
    }
  }
});
