import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { ClaraError } from '../../../base/errors';
import type { Combiner } from '../../../federation/strategy';
import type { Dtype } from '../../../federation/tensors/dtype';
import { type DirectoryStore, openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { aggregateFiles, fileOf, randomValues, roundedTo, strategyOf, valuesOf, vectorFile } from './models';
import {
  bulyanByHand,
  clippedByHand,
  geometricMedianByHand,
  meanOf,
  multiKrumByHand,
  sumOfDistances,
  trimmedMeanOf,
} from './rules-by-hand';

const FLOATS = ['F32', 'F64', 'F16', 'BF16'] as const;

describe('robust aggregation', () => {
  let folder: string;
  let store: DirectoryStore;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'clara-robust-'));
    store = await openDirectoryStore(folder);
  });

  afterEach(async () => {
    await store.close();
    await rm(folder, { recursive: true });
  });

  const sitesOf = (updates: readonly (readonly number[])[], dtype: Dtype = 'F32', weights: readonly number[] = []) =>
    updates.map((values, i) => ({
      site: `site-${String(i).padStart(2, '0')}`,
      file: vectorFile(values, dtype),
      weight: weights[i] ?? 1,
    }));

  /** The new model, from a model of one tensor and its updates. */
  const combined = async (
    combiner: Combiner,
    updates: readonly (readonly number[])[],
    { dtype = 'F32', weights, model = updates[0]!, clip }: Options = {},
  ): Promise<readonly number[]> => {
    const strategy = strategyOf(combiner, undefined, clip);
    const file = await aggregateFiles(store, vectorFile(model, dtype), sitesOf(updates, dtype, weights), { strategy });
    return valuesOf(file).w!;
  };

  interface Options {
    readonly dtype?: Dtype;
    readonly weights?: readonly number[];
    readonly model?: readonly number[];
    readonly clip?: number;
  }

  const random = (count: number, elements: number, dtype: Dtype = 'F32', from = 1): number[][] =>
    Array.from({ length: count }, (_, i) => randomValues(from + i, elements, dtype));

  const across = (updates: readonly (readonly number[])[], rule: (column: number[]) => number): number[] =>
    updates[0]!.map((_, i) => rule(updates.map((update) => update[i]!)));

  const refused = (combiner: Combiner, updates: number, mentions: RegExp) =>
    assert.rejects(combined(combiner, random(updates, 3)), (error: unknown) => {
      assert.ok(error instanceof ClaraError && error.code === 'precondition-failed', String(error));
      assert.match(error.message, mentions);
      return true;
    });

  describe('trimmed mean', () => {
    for (const [sites, beta] of [
      [3, 1],
      [5, 1],
      [5, 2],
      [16, 3],
      [33, 10],
    ] as const) {
      it(`of ${sites} sites leaves out ${beta} at each end of every coordinate`, async () => {
        for (const dtype of FLOATS) {
          const updates = random(sites, 517, dtype);
          const expected = across(updates, (column) => roundedTo(dtype, trimmedMeanOf(column, beta)));
          assert.deepEqual(await combined({ kind: 'trimmed-mean', beta }, updates, { dtype }), expected, dtype);
        }
      });
    }

    it('counts heads: what a site says of its samples changes nothing', async () => {
      const updates = random(5, 100);
      const rule = { kind: 'trimmed-mean', beta: 1 } as const;
      assert.deepEqual(await combined(rule, updates, { weights: [1, 1e6, 1, 1, 1] }), await combined(rule, updates));
    });

    it('of too few updates is refused', () =>
      refused({ kind: 'trimmed-mean', beta: 2 }, 4, /beta = 2 needs at least 5/));
  });

  describe('krum', () => {
    for (const [sites, f] of [
      [5, 1],
      [7, 2],
      [16, 3],
      [33, 10],
    ] as const) {
      it(`of ${sites} sites, ${f} hostile, takes the update that its definition takes, and averages as many as it is told`, async () => {
        for (const dtype of FLOATS) {
          const updates = random(sites, 517, dtype, sites);
          const model = randomValues(99, 517, dtype);
          const best = multiKrumByHand(updates, f, 1)[0]!;
          assert.deepEqual(await combined({ kind: 'krum', f }, updates, { dtype, model }), updates[best], dtype);
          const m = sites - f;
          const several = multiKrumByHand(updates, f, m).map((i) => updates[i]!);
          assert.equal(several.length, m);
          const ones = several.map(() => 1);
          const expected = across(several, (column) => roundedTo(dtype, meanOf(column, ones)));
          assert.deepEqual(await combined({ kind: 'multikrum', f, m }, updates, { dtype, model }), expected, dtype);
        }
      });
    }

    it('finds near neighbours far away from zero, over several blocks', async () => {
      // Distances of 1e-3 between weights of 1000: the difference of the squares themselves would hold no digit of them.
      const model = Array.from({ length: 300_000 }, (_, i) => 1000 + (i % 7));
      const shifted = (by: number) => model.map((x, i) => Math.fround(x + (i === 299_999 ? by : 0)));
      const updates = [0.01, 0.02, 0.021, 0.022, 0.05].map(shifted);
      assert.deepEqual(await combined({ kind: 'krum', f: 1 }, updates, { model }), updates[2]);
    });

    it('takes the first in site order of equals, whatever the order in which they came', async () => {
      const updates = [[1], [1], [1], [1], [9]];
      assert.deepEqual(await combined({ kind: 'krum', f: 1 }, updates), [1]);
      const sites = sitesOf([[4], [3], [2], [1], [0]]);
      const strategy = strategyOf({ kind: 'krum', f: 1 });
      const one = await aggregateFiles(store, vectorFile([2]), sites, { strategy });
      assert.ok(one.equals(await aggregateFiles(store, vectorFile([2]), [...sites].reverse(), { strategy })));
    });

    it('compares what it combines: clipped updates', async () => {
      const model = [0, 0];
      // Clipped to length 1 the last two are the same as the first; as they are, the last one is closest to its neighbours.
      const updates = [
        [1, 0],
        [0, 1],
        [0, -1],
        [50, 0],
        [51, 0],
      ];
      assert.deepEqual(await combined({ kind: 'krum', f: 1 }, updates, { model, clip: 1 }), [1, 0]);
    });

    it('leaves out an update that is infinitely far away', async () => {
      const updates = [...random(4, 5, 'F64'), [1.7e308, -1.7e308, 0, 0, 0]];
      const model = [0, 0, 0, 0, 0];
      const best = multiKrumByHand(updates, 1, 1)[0]!;
      assert.notEqual(best, 4);
      assert.deepEqual(await combined({ kind: 'krum', f: 1 }, updates, { dtype: 'F64', model }), updates[best]);
    });

    it('of too few updates is refused', async () => {
      await refused({ kind: 'krum', f: 2 }, 6, /krum of f = 2 needs at least 7/);
      await refused({ kind: 'multikrum', f: 1, m: 7 }, 7, /f = 1, m = 7 needs at least 8/);
    });
  });

  describe('bulyan', () => {
    for (const [sites, f] of [
      [7, 1],
      [9, 1],
      [11, 2],
      [23, 5],
    ] as const) {
      it(`of ${sites} sites, ${f} hostile, is its definition`, async () => {
        for (const dtype of FLOATS) {
          const updates = random(sites, 517, dtype, 3 * sites);
          const model = randomValues(99, 517, dtype);
          const found = await combined({ kind: 'bulyan', f }, updates, { dtype, model });
          const expected = bulyanByHand(updates, f).map((value) => roundedTo(dtype, value));
          // The reference adds the kept values in another order.
          assertClose(found, expected, { F32: 2 ** -23, F64: 1e-15, F16: 2 ** -10, BF16: 2 ** -7 }[dtype]);
        }
      });
    }

    it('of too few updates is refused', () =>
      refused({ kind: 'bulyan', f: 2 }, 10, /bulyan of f = 2 needs at least 11/));
  });

  describe('geometric median', () => {
    const rule = (smoothing = 1e-6): Combiner => ({ kind: 'geometric-median', smoothing });

    for (const sites of [3, 4, 16, 33]) {
      it(`of ${sites} sites is where Weiszfeld's algorithm on whole updates ends`, async () => {
        for (const dtype of FLOATS) {
          const updates = random(sites, 517, dtype, 5 * sites);
          const model = randomValues(99, 517, dtype);
          const expected = geometricMedianByHand(updates, 1e-6).map((value) => roundedTo(dtype, value));
          const found = await combined(rule(), updates, { dtype, model });
          assertClose(found, expected, { F32: 1e-6, F64: 1e-6, F16: 2 ** -10, BF16: 2 ** -7 }[dtype]);
        }
      });
    }

    it('is nearer to all updates together than any point beside it', async () => {
      const updates = random(9, 40, 'F64').map((update, i) => (i < 3 ? update.map((value) => 10 + value) : update));
      const found = await combined(rule(), updates, { dtype: 'F64' });
      const least = sumOfDistances(found, updates);
      for (let i = 0; i < found.length; i++) {
        for (const by of [-0.01, 0.01]) {
          assert.ok(sumOfDistances(found.with(i, found[i]! + by), updates) > least);
        }
      }
    });

    it('where updates lie on a line is their median, to within the smoothing', async () => {
      const found = await combined(rule(), [[1], [2], [4], [100], [1000]], { dtype: 'F64', model: [0] });
      assert.ok(Math.abs(found[0]! - 4) < 1e-4, String(found[0]));
    });

    it('with much smoothing is the mean', async () => {
      const updates = random(5, 100, 'F64');
      const ones = updates.map(() => 1);
      assertClose(
        await combined(rule(1e6), updates, { dtype: 'F64' }),
        across(updates, (column) => meanOf(column, ones)),
        1e-12,
      );
    });

    it('stays near with updates that are unimaginably far away, or infinitely', async () => {
      for (const [dtype, far] of [
        ['F32', 1e30],
        ['F64', 1e100],
        ['F64', 1.7e308],
      ] as const) {
        const honest = random(6, 50, dtype);
        const hostile = [1, -1, 1].map((sign) => honest[0]!.map(() => sign * far));
        const model = honest[0]!.map(() => 0);
        const found = await combined(rule(), [...honest, ...hostile], { dtype, model });
        const ones = honest.map(() => 1);
        const center = across(honest, (column) => meanOf(column, ones));
        const spread = Math.max(...honest.map((update) => distance(update, center)));
        assert.ok(distance(found, center) <= spread, `${dtype} ${far}: ${distance(found, center)}`);
      }
    });

    it('counts heads, and of equal updates is that update', async () => {
      const updates = random(5, 100);
      assert.deepEqual(
        await combined(rule(), updates, { weights: [1, 1e6, 1, 1, 1] }),
        await combined(rule(), updates),
      );
      const same = [updates[0]!, updates[0]!, updates[0]!];
      assert.deepEqual(await combined(rule(), same, { model: updates[1]! }), updates[0]);
    });
  });

  describe('whatever the combiner', () => {
    const combiners: readonly Combiner[] = [
      { kind: 'trimmed-mean', beta: 2 },
      { kind: 'geometric-median', smoothing: 1e-6 },
      { kind: 'krum', f: 2 },
      { kind: 'multikrum', f: 2, m: 5 },
      { kind: 'bulyan', f: 2 },
    ];

    it('the order in which updates came never changes a byte, clipped or not', async () => {
      const orders = fc.shuffledSubarray([...Array(11).keys()], { minLength: 11 });
      await fc.assert(
        fc.asyncProperty(
          orders,
          fc.constantFrom(...combiners),
          fc.constantFrom(undefined, 3),
          async (order, combiner, clip) => {
            const sites = sitesOf(random(11, 300));
            const strategy = strategyOf(combiner, undefined, clip);
            const model = vectorFile(randomValues(0, 300));
            const one = await aggregateFiles(store, model, sites, { strategy });
            const other = await aggregateFiles(
              store,
              model,
              order.map((i) => sites[i]!),
              { strategy },
            );
            assert.ok(one.equals(other));
          },
        ),
        { numRuns: 15 },
      );
    });

    it('excluded tensors and integers have no say in distances, and stay what they are', async () => {
      const file = (w: number, seed: number) =>
        fileOf([
          { name: 'w', dtype: 'F32', shape: [2], values: [w, w / 2] },
          { name: 'steps', dtype: 'I64', shape: [], values: [seed] },
          { name: 'kept', dtype: 'F32', shape: [1], values: [1e9 * seed] },
        ]);
      // Without `kept` the five lie as 0 1 2 3 90, and of the two in the middle krum takes the first.
      const sites = [0, 1, 2, 3, 90].map((w, i) => ({ site: `site-${i}`, file: file(w, (i * 7) % 5) }));
      const strategy = strategyOf({ kind: 'krum', f: 1 });
      const made = valuesOf(await aggregateFiles(store, file(0, 0), sites, { strategy, excluded: [/^kept$/u] }));
      assert.deepEqual(made, { w: [1, 0.5], steps: [0], kept: [0] });
    });
  });

  describe('norm clipping', () => {
    const model = randomValues(50, 70_000);

    it('draws far updates to the bound and leaves near ones alone, before the mean', async () => {
      const near = model.map((x, i) => Math.fround(x + (i === 3 ? 0.5 : 0)));
      const updates = [near, randomValues(51, 70_000), randomValues(52, 70_000)];
      const clip = 2.5;
      const clipped = updates.map((update) => clippedByHand(model, update, clip).map(Math.fround));
      const found = await combined({ kind: 'weighted-mean' }, updates, { model, clip, weights: [3, 1, 2] });
      assertClose(
        found,
        across(clipped, (column) => meanOf(column, [3, 1, 2])),
        1e-7,
      );
      assert.deepEqual(clipped[0], near);
    });

    it('bounds what one update can do, and changes nothing when all are within the bound', async () => {
      const honest = model.map((x) => Math.fround(x + 1e-3));
      const hostile = model.map(() => 1e30);
      const [free, bound] = [await combined({ kind: 'weighted-mean' }, [honest, honest, honest], { model }), 1];
      const attacked = await combined({ kind: 'weighted-mean' }, [honest, honest, hostile], { model, clip: bound });
      assert.ok(distance(attacked, free) <= bound / 3 + 0.3);
      assert.deepEqual(await combined({ kind: 'weighted-mean' }, [honest, honest, honest], { model, clip: 1 }), free);
    });

    it('comes before a median too, in every type', async () => {
      for (const dtype of FLOATS) {
        const start = randomValues(1, 517, dtype);
        const updates = random(5, 517, dtype, 2);
        const wide = dtype === 'F64' ? (x: number) => x : Math.fround;
        const clipped = updates.map((update) => clippedByHand(start, update, 5).map(wide));
        const expected = across(clipped, (column) => roundedTo(dtype, trimmedMeanOf(column, 2)));
        const found = await combined({ kind: 'median' }, updates, { dtype, model: start, clip: 5 });
        assertClose(found, expected, { F32: 1e-6, F64: 1e-12, F16: 2 ** -10, BF16: 2 ** -7 }[dtype]);
      }
    });

    it('measures over all tensors that are combined, and no others', async () => {
      const tensors = (a: number, b: number, count: number, kept: number) =>
        fileOf([
          { name: 'a', dtype: 'F32', shape: [2], values: [a, 0] },
          { name: 'count', dtype: 'I64', shape: [], values: [count] },
          { name: 'b', dtype: 'F64', shape: [1], values: [b] },
          { name: 'kept', dtype: 'F32', shape: [1], values: [kept] },
        ]);
      const file = await aggregateFiles(
        store,
        tensors(0, 0, 0, 0),
        [{ site: 'a', file: tensors(3, 4, 1_000_000, 1e6) }],
        { strategy: strategyOf('weighted-mean', undefined, 1), excluded: [/^kept$/u] },
      );
      const { a, b, count, kept } = valuesOf(file);
      assert.deepEqual([a, b, count, kept], [[Math.fround(0.6), 0], [0.8], [1_000_000], [0]]);
    });

    it('leaves the model where an update is infinitely far away', async () => {
      const start = [1, 2, 3];
      const far = [1.7e308, -1.7e308, 0];
      assert.deepEqual(
        await combined({ kind: 'weighted-mean' }, [far], { dtype: 'F64', model: start, clip: 1 }),
        start,
      );
    });
  });
});

function distance(a: readonly number[], b: readonly number[]): number {
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0));
}

/** Relative to the greater of the value and 1. */
function assertClose(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  assert.equal(actual.length, expected.length);
  for (const [i, value] of actual.entries()) {
    const error = Math.abs(value - expected[i]!) / Math.max(1, Math.abs(expected[i]!));
    assert.ok(error <= tolerance, `element ${i}: ${value} instead of ${expected[i]}`);
  }
}
