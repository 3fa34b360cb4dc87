import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Dtype } from '../../../federation/tensors/dtype';
import { type AggregateRequest, aggregate } from '../../../fl-coordinator/aggregation/aggregate';
import { type DirectoryStore, openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import {
  fileOf,
  type ModelTensor,
  randomValues,
  readObject,
  roundedTo,
  strategyOf,
  valuesOf,
  vectorFile,
} from './models';
import { meanOf, medianOf } from './rules-by-hand';

/** Updates that did not start from the model that they are combined with: m + factor (u - b), in plain float64. */
describe('updates that started from an earlier model', () => {
  let folder: string;
  let store: DirectoryStore;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'clara-rebased-'));
    store = await openDirectoryStore(folder);
  });
  afterEach(async () => {
    await store.close();
    await rm(folder, { recursive: true });
  });

  const combine = async (request: Partial<AggregateRequest> & Pick<AggregateRequest, 'contributions' | 'base'>) => {
    await aggregate({
      store,
      strategy: strategyOf('weighted-mean'),
      excluded: [],
      target: 'model',
      signal: new AbortController().signal,
      ...request,
    });
    return readObject(store, 'model');
  };

  /** A little more than one block, and no multiple of anything. */
  for (const [dtype, length] of [
    ['F32', (1 << 18) + 13],
    ['F64', 1001],
    ['F16', 1003],
    ['BF16', 1003],
  ] as const) {
    it(`count from the newest one, discounted, in ${dtype}`, async () => {
      const [model, earlier, fresh, late] = [1, 2, 3, 4].map((seed) => randomValues(seed, length, dtype));
      const files = { model, earlier, fresh, late } as Record<string, number[]>;
      for (const [key, values] of Object.entries(files)) await store.put(key, vectorFile(values, dtype));
      const factor = 1 / Math.sqrt(3);
      const file = await combine({
        base: 'model',
        contributions: [
          { site: 'b', key: 'late', weight: 5, from: { key: 'earlier', factor } },
          { site: 'a', key: 'fresh', weight: 2 },
        ],
      });
      const expected = model!.map((m, i) => {
        const moved = roundedTo(dtype, m + factor * (late![i]! - earlier![i]!));
        return roundedTo(dtype, meanOf([fresh![i]!, moved], [2, 5]));
      });
      assert.deepEqual(valuesOf(file).w, expected);
    });
  }

  it('may come beside the newest of the same site, but none twice', async () => {
    for (const [index, key] of ['model', 'earlier', 'one', 'two'].entries()) {
      await store.put(key, vectorFile(randomValues(index, 10)));
    }
    const contributions = [
      { site: 'a', key: 'one', weight: 1 },
      { site: 'a', key: 'two', weight: 1, from: { key: 'earlier', factor: 1 } },
    ];
    await combine({ base: 'model', contributions });
    await assert.rejects(combine({ base: 'model', contributions: [...contributions, contributions[1]!] }), {
      code: 'invalid-input',
      message: /the same update twice/,
    });
  });

  it('go through whatever combines, which needs to know nothing of it', async () => {
    const values = ['model', 'earlier', 'one', 'two', 'three'].map((_, seed) => randomValues(seed, 101));
    for (const [index, key] of ['model', 'earlier', 'one', 'two', 'three'].entries()) {
      await store.put(key, vectorFile(values[index]!));
    }
    const [model, earlier, one, two, three] = values as [number[], number[], number[], number[], number[]];
    const file = await combine({
      base: 'model',
      strategy: strategyOf('median'),
      contributions: [
        { site: 'a', key: 'one', weight: 1 },
        { site: 'b', key: 'two', weight: 1 },
        { site: 'c', key: 'three', weight: 1, from: { key: 'earlier', factor: 0.5 } },
      ],
    });
    const expected = model.map((m, i) => {
      const moved = Math.fround(m + 0.5 * (three[i]! - earlier[i]!));
      return Math.fround(medianOf([one[i]!, two[i]!, moved]));
    });
    assert.deepEqual(valuesOf(file).w, expected);
  });

  it('keep shape and type of integers, which are the own ones of the first contributor, and excluded tensors', async () => {
    const tensors = (seed: number): ModelTensor[] => [
      { name: 'head', dtype: 'F32' as Dtype, shape: [3], values: randomValues(seed, 3) },
      { name: 'norm.running_mean', dtype: 'F32', shape: [2], values: randomValues(seed + 10, 2) },
      { name: 'norm.num_batches_tracked', dtype: 'I64', shape: [], values: [1000 + seed] },
    ];
    for (const [seed, key] of ['model', 'earlier', 'late'].entries()) await store.put(key, fileOf(tensors(seed)));
    const file = await combine({
      base: 'model',
      excluded: [/^head$/],
      contributions: [{ site: 'a', key: 'late', weight: 1, from: { key: 'earlier', factor: 1 } }],
    });
    const after = valuesOf(file);
    assert.deepEqual(after.head, randomValues(0, 3));
    assert.deepEqual(after['norm.num_batches_tracked'], [1002]);
    const mean = (seed: number) => randomValues(seed + 10, 2);
    assert.deepEqual(
      after['norm.running_mean'],
      mean(0).map((m, i) => Math.fround(m + (mean(2)[i]! - mean(1)[i]!))),
    );
  });
});
