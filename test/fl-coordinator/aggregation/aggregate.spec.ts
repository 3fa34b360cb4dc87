import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { ClaraError, type ErrorCode } from '../../../base/errors';
import type { ServerOptimiser } from '../../../federation/strategy';
import type { Dtype } from '../../../federation/tensors/dtype';
import { aggregate } from '../../../fl-coordinator/aggregation/aggregate';
import { type DirectoryStore, openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import type { ObjectStore } from '../../../fl-coordinator/storage/object-store';
import {
  aggregateFiles,
  fileOf,
  type ModelTensor,
  randomValues,
  readObject,
  roundedTo,
  strategyOf,
  valuesOf,
  vectorFile,
} from './models';
import { fedNovaByHand, type Moments, meanOf, medianOf, roundByHand } from './rules-by-hand';

const MOMENTUM: ServerOptimiser = { kind: 'momentum', lr: 0.7, beta: 0.9 };
const ADAM: ServerOptimiser = { kind: 'adam', lr: 0.1, beta1: 0.9, beta2: 0.99, tau: 1e-3 };
const ADAGRAD: ServerOptimiser = { kind: 'adagrad', lr: 0.1, beta1: 0.3, tau: 1e-2 };
/** So large a start of v that some coordinates shrink it and others let it grow. */
const YOGI: ServerOptimiser = { kind: 'yogi', lr: 0.1, beta1: 0.9, beta2: 0.99, tau: 0.8 };
/** A little more than one block of float32, and no multiple of anything. */
const LONG = (1 << 18) + 13;

describe('aggregation', () => {
  let folder: string;
  let store: DirectoryStore;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'clara-aggregation-'));
    store = await openDirectoryStore(folder);
  });

  afterEach(async () => {
    await store.close();
    await rm(folder, { recursive: true });
  });

  const sitesOf = (updates: readonly (readonly number[])[], dtype: Dtype, weights: readonly number[] = []) =>
    updates.map((values, i) => ({ site: `site-${i}`, file: vectorFile(values, dtype), weight: weights[i] ?? 1 }));

  describe('weighted mean', () => {
    it('of float32 is the float64 mean of the definition, rounded once, over several blocks', async () => {
      const updates = [1, 2, 3].map((seed) => randomValues(seed, LONG));
      const weights = [7, 11, 2.5];
      const file = await aggregateFiles(store, vectorFile(updates[0]!), sitesOf(updates, 'F32', weights), {
        strategy: strategyOf('weighted-mean'),
      });
      const expected = updates[0]!.map((_, i) =>
        meanOf(
          updates.map((update) => update[i]!),
          weights,
        ),
      );
      assert.deepEqual(valuesOf(file).w, expected.map(Math.fround));
    });

    it('of float64 is the definition to the last bit', async () => {
      const updates = [1, 2, 3].map((seed) => randomValues(seed, 1001, 'F64'));
      const weights = [7, 11, 2.5];
      const file = await aggregateFiles(store, vectorFile(updates[0]!, 'F64'), sitesOf(updates, 'F64', weights), {
        strategy: strategyOf('weighted-mean'),
      });
      assert.deepEqual(
        valuesOf(file).w,
        updates[0]!.map((_, i) =>
          meanOf(
            updates.map((update) => update[i]!),
            weights,
          ),
        ),
      );
    });

    for (const dtype of ['F16', 'BF16'] as const) {
      it(`of ${dtype} is the mean rounded to nearest even by way of float32`, async () => {
        const scales = [1, 1e-6, 1e3];
        const updates = [1, 2, 3].map((seed) =>
          randomValues(seed, 4099, 'F64').map((value, i) => roundedTo(dtype, value * scales[i % 3]!)),
        );
        const file = await aggregateFiles(store, vectorFile(updates[0]!, dtype), sitesOf(updates, dtype, [3, 1, 2]), {
          strategy: strategyOf('weighted-mean'),
        });
        const expected = updates[0]!.map((_, i) =>
          roundedTo(
            dtype,
            Math.fround(
              meanOf(
                updates.map((update) => update[i]!),
                [3, 1, 2],
              ),
            ),
          ),
        );
        assert.deepEqual(valuesOf(file).w, expected);
      });
    }

    it('divides by the sum of the full weights', async () => {
      const sites = [
        { site: 'a', file: vectorFile([1, 0]), weight: 10 * 2 },
        { site: 'b', file: vectorFile([0, 1]), weight: 30 * 2 },
      ];
      const file = await aggregateFiles(store, vectorFile([9, 9]), sites, { strategy: strategyOf('weighted-mean') });
      assert.deepEqual(valuesOf(file).w, [0.25, 0.75]);
    });

    it('of 300 sites, in blocks that are smaller then, is the definition too', async () => {
      const updates = Array.from({ length: 300 }, (_, seed) => randomValues(seed, 14_001));
      const file = await aggregateFiles(store, vectorFile(updates[0]!), sitesOf(updates, 'F32'), {
        strategy: strategyOf('weighted-mean'),
      });
      const ones = updates.map(() => 1);
      const expected = updates[0]!.map((_, i) =>
        Math.fround(
          meanOf(
            updates.map((update) => update[i]!),
            ones,
          ),
        ),
      );
      assert.deepEqual(valuesOf(file).w, expected);
    });
  });

  describe('normalised mean', () => {
    const nova = async (dtype: Dtype, model: number[], updates: number[][], weights: number[], steps: number[]) => {
      const sites = sitesOf(updates, dtype, weights).map((site, i) => ({ ...site, steps: steps[i]! }));
      const strategy = strategyOf({ kind: 'normalised-mean' });
      return valuesOf(await aggregateFiles(store, vectorFile(model, dtype), sites, { strategy })).w!;
    };

    it('divides each update by its steps and goes as far as all take on average', async () => {
      for (const dtype of ['F32', 'F64', 'F16', 'BF16'] as const) {
        const model = randomValues(9, 1003, dtype);
        const updates = [1, 2, 3].map((seed) => randomValues(seed, 1003, dtype));
        const [weights, steps] = [
          [7, 11, 2.5],
          [1, 40, 300],
        ] as const;
        const expected = fedNovaByHand(model, updates, weights, steps).map((value) => roundedTo(dtype, value));
        const found = await nova(dtype, model, updates, [...weights], [...steps]);
        assertClose(found, expected, { F32: 2 ** -22, F64: 1e-14, F16: 2 ** -10, BF16: 2 ** -7 }[dtype]);
      }
    });

    it('of equal steps is the weighted mean, to the byte', async () => {
      const updates = [1, 2, 3].map((seed) => randomValues(seed, 1003));
      const weights = [7, 11, 3];
      const found = await nova('F32', randomValues(9, 1003), updates, weights, [5, 5, 5]);
      const expected = updates[0]!.map((_, i) =>
        Math.fround(
          meanOf(
            updates.map((update) => update[i]!),
            weights,
          ),
        ),
      );
      assert.deepEqual(found, expected);
    });

    it('refuses updates whose steps nobody counted, naming each site', async () => {
      await assert.rejects(nova('F32', [1], [[1], [2], [3]], [1, 1, 1], [0, 4, Number.NaN]), (error: ClaraError) => {
        assert.deepEqual(
          error.faults.map(({ path: site }) => site),
          ['site-0', 'site-2'],
        );
        return true;
      });
    });
  });

  describe('median', () => {
    for (const sites of [1, 2, 3, 4, 7, 16, 33, 64]) {
      it(`of ${sites} sites is the middle of the sorted values, exactly`, async () => {
        for (const dtype of ['F32', 'F64', 'F16', 'BF16'] as const) {
          const updates = Array.from({ length: sites }, (_, seed) => randomValues(seed, 517, dtype));
          const file = await aggregateFiles(store, vectorFile(updates[0]!, dtype), sitesOf(updates, dtype), {
            strategy: strategyOf('median'),
          });
          const expected = updates[0]!.map((_, i) => roundedTo(dtype, medianOf(updates.map((update) => update[i]!))));
          assert.deepEqual(valuesOf(file).w, expected, dtype);
        }
      });
    }

    it('stays inside the hull of honest updates under attack, where the mean does not', async () => {
      const honest = [1, 2, 3, 4, 5].map((seed) => randomValues(seed, 1000));
      const attacks = { 'sign flip': honest[0]!.map((x) => -1000 * x), 'large constant': honest[0]!.map(() => 1e6) };
      for (const [name, attack] of Object.entries(attacks)) {
        const updates = [...honest, attack, attack];
        const inHull = (values: readonly number[]): boolean =>
          values.every((value, i) => {
            const column = honest.map((update) => update[i]!);
            return value >= Math.min(...column) && value <= Math.max(...column);
          });
        const base = vectorFile(honest[0]!);
        const median = await aggregateFiles(store, base, sitesOf(updates, 'F32'), { strategy: strategyOf('median') });
        const mean = await aggregateFiles(store, base, sitesOf(updates, 'F32'), {
          strategy: strategyOf('weighted-mean'),
        });
        assert.ok(inHull(valuesOf(median).w!), name);
        assert.ok(!inHull(valuesOf(mean).w!), name);
      }
    });
  });

  describe('server optimisers', () => {
    const cases: readonly [string, ServerOptimiser, readonly string[]][] = [
      ['momentum', MOMENTUM, ['velocity']],
      ['adagrad', ADAGRAD, ['first', 'second']],
      ['adam', ADAM, ['first', 'second']],
      ['yogi', YOGI, ['first', 'second']],
    ];
    for (const combiner of ['weighted-mean', 'median'] as const) {
      for (const [name, optimiser, momentNames] of cases) {
        it(`${name} on ${combiner} follows its definition over two rounds`, async () => {
          const count = LONG;
          let base = vectorFile(randomValues(100, count));
          let byHand: { model: readonly number[]; moments: Moments } = {
            model: valuesOf(base).w!,
            moments: {
              first: Array(count).fill(0),
              second: Array(count).fill('tau' in optimiser ? optimiser.tau ** 2 : 0),
            },
          };
          for (let round = 1; round <= 2; round++) {
            const updates = [1, 2, 3].map((seed) => randomValues(10 * round + seed, count));
            const weights = [5, 1, 3];
            base = await aggregateFiles(store, base, sitesOf(updates, 'F32', weights), {
              strategy: strategyOf(combiner, optimiser),
              target: `rounds/${round}/model`,
              momentsBefore: round === 1 ? undefined : `rounds/${round - 1}/moments`,
              momentsAfter: `rounds/${round}/moments`,
            });
            byHand = roundByHand({ ...byHand, updates, weights, combiner, optimiser });
            // The reference never rounds; the product rounds model and moments to float32 once a round.
            assertClose(valuesOf(base).w!, byHand.model, 1e-6);
            for (const [i, moment] of momentNames.entries()) {
              const stored = valuesOf(await readObject(store, `rounds/${round}/moments/${moment}.safetensors`));
              assertClose(stored[moment]!, [byHand.moments.first, byHand.moments.second][i]!, 1e-6);
            }
          }
        });
      }
    }

    it('work on float64 in float64 and on the 16-bit types by way of float32', async () => {
      for (const dtype of ['F64', 'F16', 'BF16'] as const) {
        const model = randomValues(1, 1003, dtype);
        const updates = [2, 3].map((seed) => randomValues(seed, 1003, dtype));
        const file = await aggregateFiles(store, vectorFile(model, dtype), sitesOf(updates, dtype), {
          strategy: strategyOf('weighted-mean', MOMENTUM),
          momentsAfter: `moments-${dtype}`,
        });
        const zeros = model.map(() => 0);
        const byHand = roundByHand({
          model,
          updates,
          weights: [1, 1],
          combiner: 'weighted-mean',
          optimiser: MOMENTUM,
          moments: { first: zeros, second: zeros },
        });
        assert.deepEqual(
          valuesOf(file).w,
          byHand.model.map((value) => (dtype === 'F64' ? value : roundedTo(dtype, value))),
        );
      }
    });

    it('momentum without memory and with rate 1 is replacement, within one rounding', async () => {
      const updates = [1, 2].map((seed) => randomValues(seed, 1000));
      const base = vectorFile(randomValues(3, 1000));
      const plain = await aggregateFiles(store, base, sitesOf(updates, 'F32'), {
        strategy: strategyOf('weighted-mean'),
      });
      const momentum = await aggregateFiles(store, base, sitesOf(updates, 'F32'), {
        strategy: strategyOf('weighted-mean', { kind: 'momentum', lr: 1, beta: 0 }),
      });
      assertClose(valuesOf(momentum).w!, valuesOf(plain).w!, 1e-7);
    });

    it('refuse moments that belong to another model', async () => {
      const sites = sitesOf([[1, 2]], 'F32');
      await store.put(
        'before/velocity.safetensors',
        fileOf([{ name: 'velocity', dtype: 'F32', shape: [3], values: [1, 2, 3] }]),
      );
      await rejectsWith(
        'corrupt',
        aggregateFiles(store, vectorFile([1, 2]), sites, {
          strategy: strategyOf('weighted-mean', MOMENTUM),
          momentsBefore: 'before',
          momentsAfter: 'after',
        }),
        'before/velocity.safetensors',
      );
      await assertNothingLeft(store, folder, ['before/velocity.safetensors', 'base', 'updates/site-0']);
    });
  });

  describe('properties', () => {
    const number = fc.float({ noNaN: true, min: Math.fround(-1e9), max: Math.fround(1e9) });
    const strategies = fc.constantFrom(
      strategyOf('weighted-mean'),
      strategyOf('median'),
      strategyOf('weighted-mean', MOMENTUM),
      strategyOf('median', ADAM),
    );
    const columns = fc
      .integer({ min: 1, max: 9 })
      .chain((length) =>
        fc.array(fc.array(number, { minLength: length, maxLength: length }), { minLength: 1, maxLength: 6 }),
      );

    it('the order in which updates are named never changes a byte', async () => {
      await fc.assert(
        fc.asyncProperty(columns, strategies, fc.infiniteStream(fc.nat(1000)), async (updates, strategy, numbers) => {
          const sites = sitesOf(
            updates,
            'F32',
            [...numbers.take(updates.length)].map((n) => n + 1),
          );
          const shuffled = sites
            .map((site) => ({ site, at: numbers.next().value! }))
            .sort((a, b) => a.at - b.at)
            .map(({ site }) => site);
          const one = await aggregateFiles(store, vectorFile(updates[0]!), sites, { strategy });
          const other = await aggregateFiles(store, vectorFile(updates[0]!), shuffled, { strategy });
          assert.ok(one.equals(other));
        }),
        { numRuns: 12 },
      );
    });

    it('which site sent which update never changes a byte of a median', async () => {
      await fc.assert(
        fc.asyncProperty(columns, async (updates) => {
          const base = vectorFile(updates[0]!);
          const strategy = strategyOf('median');
          const one = await aggregateFiles(store, base, sitesOf(updates, 'F32'), { strategy });
          const other = await aggregateFiles(store, base, sitesOf([...updates].reverse(), 'F32'), { strategy });
          assert.ok(one.equals(other));
        }),
        { numRuns: 12 },
      );
    });

    it('equal updates are a fixed point, to the byte', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(number, { minLength: 1, maxLength: 9 }),
          fc.array(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 1, maxLength: 8 }),
          fc.constantFrom('weighted-mean', 'median'),
          async (values, weights, combiner) => {
            // A zero median is +0 (kernels.as.ts).
            const update = combiner === 'median' ? values.map((value) => value + 0) : values;
            const sites = sitesOf(
              weights.map(() => update),
              'F32',
              weights,
            );
            const file = await aggregateFiles(store, vectorFile(values), sites, {
              strategy: strategyOf(combiner as 'median'),
            });
            assert.ok(file.equals(vectorFile(update)));
          },
        ),
        { numRuns: 20 },
      );
    });
  });

  describe('mixed models', () => {
    /** Small tensors of all kinds, one that is longer than a block, and an empty one. */
    const tensorsOf = (seed: number): ModelTensor[] => [
      { name: 'first.weight', dtype: 'F32', shape: [3, 5], values: randomValues(seed, 15) },
      { name: 'first.bias', dtype: 'F32', shape: [3], values: randomValues(seed + 1, 3) },
      { name: 'norm.count', dtype: 'I64', shape: [], values: [1000 + seed] },
      { name: 'norm.mean', dtype: 'F64', shape: [7], values: randomValues(seed + 2, 7, 'F64') },
      { name: 'long', dtype: 'F32', shape: [LONG], values: randomValues(seed + 3, LONG) },
      { name: 'empty', dtype: 'F32', shape: [0], values: [] },
      { name: 'after', dtype: 'F32', shape: [2], values: randomValues(seed + 4, 2) },
      { name: 'half', dtype: 'F16', shape: [9], values: randomValues(seed + 5, 9, 'F16') },
      { name: 'brain', dtype: 'BF16', shape: [3], values: randomValues(seed + 6, 3, 'BF16') },
      { name: 'mask', dtype: 'U8', shape: [3], values: [seed % 2, 1, 0] },
    ];

    const expectedOf = (all: readonly ModelTensor[][], kept: readonly string[]): Record<string, number[]> => {
      const [base, ...updates] = all as [ModelTensor[], ...ModelTensor[][]];
      const weights = updates.map((_, i) => i + 1);
      return Object.fromEntries(
        base.map(({ name, dtype, values }, t) => {
          if (kept.includes(name)) return [name, [...values]];
          if (dtype === 'I64' || dtype === 'U8') return [name, [...updates[0]![t]!.values]];
          const mean = values.map((_, i) =>
            meanOf(
              updates.map((update) => update[t]!.values[i]!),
              weights,
            ),
          );
          return [name, dtype === 'F64' ? mean : mean.map((value) => roundedTo(dtype, value))];
        }),
      );
    };

    const all = [1, 20, 30, 40].map(tensorsOf);
    const sites = all.slice(1).map((tensors, i) => ({ site: `site-${i}`, file: fileOf(tensors), weight: i + 1 }));

    it('average floating point, take integers from the first site and keep the header of the base', async () => {
      const base = fileOf(all[0]!, { format: 'pt' });
      const file = await aggregateFiles(store, base, sites, { strategy: strategyOf('weighted-mean') });
      assert.deepEqual(valuesOf(file), expectedOf(all, []));
      const headerBytes = 8 + Number(base.readBigUInt64LE());
      assert.ok(file.subarray(0, headerBytes).equals(base.subarray(0, headerBytes)));
    });

    it('keep excluded tensors at the value of the base, whether updates have them or not', async () => {
      const kept = ['norm.count', 'norm.mean', 'first.bias'];
      const without = all.slice(1).map((tensors, i) => ({
        site: `site-${i}`,
        file: fileOf(tensors.filter(({ name }) => i === 0 || !kept.includes(name))),
        weight: i + 1,
      }));
      const file = await aggregateFiles(store, fileOf(all[0]!), without, {
        strategy: strategyOf('weighted-mean'),
        excluded: [/^norm\./u, /bias$/u],
      });
      assert.deepEqual(valuesOf(file), expectedOf(all, kept));
    });

    it('may lie in another order in an update', async () => {
      const reordered = sites.map((site, i) =>
        i === 1 ? { ...site, file: fileOf([...all[2]!].reverse(), { note: 'another header' }) } : site,
      );
      const file = await aggregateFiles(store, fileOf(all[0]!), reordered, { strategy: strategyOf('weighted-mean') });
      assert.deepEqual(valuesOf(file), expectedOf(all, []));
    });

    it('give moments to combined tensors only, in model order', async () => {
      await aggregateFiles(store, fileOf(all[0]!), sites, {
        strategy: strategyOf('weighted-mean', { kind: 'momentum', lr: 1, beta: 0.5 }),
        excluded: [/^first\.bias$/u],
        momentsAfter: 'moments',
      });
      const { velocity } = valuesOf(await readObject(store, 'moments/velocity.safetensors'));
      const combined = expectedOf(all, []);
      const expected = all[0]!
        .filter(({ name, dtype }) => name !== 'first.bias' && dtype !== 'I64' && dtype !== 'U8')
        .flatMap(({ name, values }) => values.map((value, i) => combined[name]![i]! - value));
      // `combined` has been rounded to the tensor's type, at worst to the 8 bits of bfloat16.
      assertClose(velocity!, expected, 2 ** -8);
    });

    it('are refused when an update in the store is not what was accepted', async () => {
      const other = all[2]!.map((tensor) => (tensor.name === 'after' ? { ...tensor, name: 'afterwards' } : tensor));
      const damaged = sites.map((site, i) => (i === 1 ? { ...site, file: fileOf(other) } : site));
      await rejectsWith(
        'corrupt',
        aggregateFiles(store, fileOf(all[0]!), damaged, { strategy: strategyOf('weighted-mean') }),
        'updates/site-1 does not fit the model any more: after',
      );
    });
  });

  describe('refuses', () => {
    const base = vectorFile([1, 2]);

    it('weights that cannot be used, naming every site', async () => {
      const withWeights = (...weights: number[]) =>
        aggregateFiles(
          store,
          base,
          sitesOf(
            weights.map(() => [1, 2]),
            'F32',
            weights,
          ),
          {
            strategy: strategyOf('weighted-mean'),
          },
        );
      await rejectsWith('invalid-input', withWeights(0, 0), 'at least one must count');
      await rejectsWith('invalid-input', withWeights(), 'at least one must count');
      await assert.rejects(withWeights(1, -1, Number.NaN, Number.POSITIVE_INFINITY), (error: ClaraError) => {
        assert.deepEqual(
          error.faults.map(({ path: site }) => site),
          ['site-1', 'site-2', 'site-3'],
        );
        return true;
      });
    });

    it('a site that is named twice', async () => {
      const twice = [1, 2].map(() => ({ site: 'a', file: base }));
      await rejectsWith(
        'invalid-input',
        aggregateFiles(store, base, twice, { strategy: strategyOf('median') }),
        'twice',
      );
    });

    it('a result that is not finite in its type, naming the tensor, and leaves nothing', async () => {
      const optimiser: ServerOptimiser = { kind: 'momentum', lr: 1000, beta: 0 };
      for (const [dtype, value] of [
        ['F32', 3e38],
        ['F16', 65504],
        ['BF16', 3e38],
        ['F64', 1.7e308],
      ] as const) {
        await rejectsWith(
          'invalid-input',
          aggregateFiles(store, vectorFile([0, 0, 0], dtype), sitesOf([[1, value, 1]], dtype), {
            strategy: strategyOf('weighted-mean', optimiser),
            momentsAfter: 'moments',
          }),
          `w (${dtype})`,
        );
      }
      await assertNothingLeft(store, folder, ['base', 'updates/site-0']);
    });

    it('to go on when it is told to stop, and leaves nothing', async () => {
      const abort = new AbortController();
      const updates = [1, 2].map((seed) => randomValues(seed, LONG));
      // Told in the middle: after the header and the first block of an update.
      let reads = 0;
      const stopping: ObjectStore = Object.create(store, {
        openForRanges: {
          value: async (key: string) => {
            const reader = await store.openForRanges(key);
            return {
              ...reader,
              read: (offset: number, target: Uint8Array) => {
                if (key === 'updates/site-1' && ++reads === 3) abort.abort();
                return reader.read(offset, target);
              },
            };
          },
        },
        create: { value: (key: string) => store.create(key) },
        put: { value: (key: string, bytes: Buffer) => store.put(key, bytes) },
      });
      await rejectsWith(
        'cancelled',
        aggregateFiles(stopping, vectorFile(updates[0]!), sitesOf(updates, 'F32'), {
          strategy: strategyOf('weighted-mean'),
          signal: abort.signal,
        }),
        'model',
      );
      assert.equal(reads, 3);
      await assertNothingLeft(store, folder, ['base', 'updates/site-0', 'updates/site-1']);
    });

    it('to start without its files', async () => {
      await store.put('base', base);
      const request = {
        store,
        base: 'base',
        contributions: [{ site: 'a', key: 'updates/a', weight: 1 }],
        strategy: strategyOf('weighted-mean'),
        excluded: [],
        target: 'model',
        signal: new AbortController().signal,
      };
      await rejectsWith('not-found', aggregate(request), 'updates/a');
      await rejectsWith('not-found', aggregate({ ...request, base: 'nothing' }), 'nothing');
    });

    it('to go on without the model, which fails while updates are still being opened, and closes those', async () => {
      await store.put('base', base);
      for (const site of ['a', 'b']) await store.put(`updates/${site}`, base);
      let baseOpened = 0;
      let open = 0;
      const failing = Object.create(store) as DirectoryStore;
      failing.openForRanges = async (key) => {
        if (key === 'base' && ++baseOpened > 1) throw new ClaraError('unavailable', 'base is not to be had');
        // Later than the failure, by some turns of the event loop.
        for (let turns = 0; key !== 'base' && turns < 5; turns++) await setImmediate();
        const reader = await store.openForRanges(key);
        open++;
        return {
          size: reader.size,
          read: (offset, target) => reader.read(offset, target),
          close: async () => {
            open--;
            await reader.close();
          },
        };
      };
      const contributions = ['a', 'b'].map((site) => ({ site, key: `updates/${site}`, weight: 1 }));
      const strategy = strategyOf('weighted-mean');
      const { signal } = new AbortController();
      const request = { store: failing, base: 'base', contributions, strategy, excluded: [], target: 'model', signal };
      // One that nobody waits for ends the process of a coordinator.
      const unhandled: unknown[] = [];
      const onUnhandled = (error: unknown) => unhandled.push(error);
      process.on('unhandledRejection', onUnhandled);
      try {
        await rejectsWith('unavailable', aggregate(request), 'base is not to be had');
      } finally {
        process.off('unhandledRejection', onUnhandled);
      }
      assert.deepEqual(unhandled, []);
      assert.equal(baseOpened, 2);
      assert.equal(open, 0);
    });
  });
});

async function assertNothingLeft(store: ObjectStore, folder: string, expected: readonly string[]): Promise<void> {
  const keys: string[] = [];
  for await (const { key } of store.list('')) keys.push(key);
  assert.deepEqual(keys, [...expected].sort());
  assert.deepEqual(await readdir(path.join(folder, '.store', 'partial')), []);
}

/** Relative to the greater of the value and 1. */
function assertClose(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  assert.equal(actual.length, expected.length);
  for (const [i, value] of actual.entries()) {
    const error = Math.abs(value - expected[i]!) / Math.max(1, Math.abs(expected[i]!));
    assert.ok(error <= tolerance, `element ${i}: ${value} instead of ${expected[i]}`);
  }
}

async function rejectsWith(code: ErrorCode, promise: Promise<unknown>, mentions: string): Promise<void> {
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof ClaraError, `${error} is no ClaraError`);
    assert.equal(error.code, code, error.message);
    assert.ok(error.message.includes(mentions), `"${error.message}" does not mention "${mentions}"`);
    return true;
  });
}
