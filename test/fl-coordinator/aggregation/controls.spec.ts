import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { aggregateWithControls } from '../../../fl-coordinator/aggregation/controls';
import { type DirectoryStore, openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import {
  digestOf,
  fileOf,
  type ModelTensor,
  randomValues,
  readObject,
  roundedTo,
  strategyOf,
  valuesOf,
} from './models';
import { meanOf } from './rules-by-hand';

const LONG = (1 << 18) + 13;

/** A model with a counter between its weights, and its control variate. */
const tensorsOf = (seed: number): ModelTensor[] => [
  { name: 'w', dtype: 'F32', shape: [LONG], values: randomValues(seed, LONG) },
  { name: 'count', dtype: 'I64', shape: [], values: [seed] },
  { name: 'half', dtype: 'F16', shape: [3], values: randomValues(seed, 3, 'F16') },
];
const controlTensors = (seed: number): ModelTensor[] => tensorsOf(seed + 1000).filter(({ dtype }) => dtype !== 'I64');
const updateOf = (seed: number): Buffer =>
  fileOf([
    ...tensorsOf(seed),
    ...controlTensors(seed).map((tensor) => ({ ...tensor, name: `scaffold-control/${tensor.name}` })),
  ]);

describe('the control variate of all sites', () => {
  let folder: string;
  let store: DirectoryStore;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'clara-controls-'));
    store = await openDirectoryStore(folder);
    await store.put('base', fileOf(tensorsOf(0), { format: 'pt' }));
    for (const seed of [1, 2, 3]) await store.put(`updates/${seed}`, updateOf(seed));
  });

  afterEach(async () => {
    await store.close();
    await rm(folder, { recursive: true });
  });

  const source = (seed: number, weight: number) => ({ site: `site-${seed}`, key: `updates/${seed}`, weight });
  const made = async (contributors: number[][], sources: number[][], sites: number) => {
    const answer = await aggregateWithControls(
      {
        store,
        base: 'base',
        contributions: contributors.map(([seed, weight]) => source(seed!, weight!)),
        strategy: strategyOf('weighted-mean'),
        excluded: [],
        target: 'model',
        signal: new AbortController().signal,
      },
      { sources: sources.map(([seed, weight]) => source(seed!, weight!)), sites, target: 'controls' },
    );
    const [model, controls] = [await readObject(store, 'model'), await readObject(store, 'controls')];
    assert.deepEqual([answer.digest, answer.controls.digest], [digestOf(model), digestOf(controls)]);
    assert.deepEqual([answer.bytes, answer.controls.bytes], [model.length, controls.length]);
    return { model: valuesOf(model), controls: valuesOf(controls) };
  };
  const meanOfSeeds = (
    seeds: readonly number[],
    weights: readonly number[],
    of: (seed: number) => ModelTensor[],
    share = 1,
  ) =>
    Object.fromEntries(
      of(seeds[0]!).map(({ name, dtype, values }, t) => [
        name,
        dtype === 'I64'
          ? values
          : values.map((_, i) =>
              roundedTo(
                dtype,
                share *
                  meanOf(
                    seeds.map((seed) => of(seed)[t]!.values[i]!),
                    weights,
                  ),
              ),
            ),
      ]),
    );

  it('is the mean of theirs, weighed like their updates, under the names of the model; the model is what it would be without', async () => {
    const weights = [2, 5, 1];
    const all = [1, 2, 3].map((seed, i) => [seed, weights[i]!]);
    const { model, controls } = await made(all, all, 3);
    const [models, variates] = [[1, 2, 3].map(tensorsOf), [1, 2, 3].map(controlTensors)];
    assert.deepEqual(
      controls,
      meanOfSeeds([1, 2, 3], weights, (seed) => variates[seed - 1]!),
    );
    assert.deepEqual(
      model,
      meanOfSeeds([1, 2, 3], weights, (seed) => models[seed - 1]!),
    );
  });

  it('counts sites that were never heard as zero, and those of earlier rounds with what they sent last', async () => {
    const variates = [1, 2, 3].map(controlTensors);
    const { controls } = await made(
      [[2, 4]],
      [
        [1, 3],
        [2, 4],
      ],
      4,
    );
    const found = controls;
    const expected = meanOfSeeds([1, 2], [3, 4], (seed) => variates[seed - 1]!, 0.5);
    for (const [name, values] of Object.entries(expected)) {
      for (const [i, value] of found[name]!.entries()) {
        assert.ok(Math.abs(value - values[i]!) <= 1e-3 * Math.max(Math.abs(values[i]!), 1e-4), `${name} ${i}`);
      }
    }
  });
});
