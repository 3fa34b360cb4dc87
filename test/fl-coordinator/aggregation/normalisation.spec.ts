import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { NORMALISATION_RULES } from '../../../federation/normalisation';
import { checkPlan } from '../../../federation/plan';
import { firstTensors, keptTensors } from '../../../federation/sent-tensors';
import type { Dtype } from '../../../federation/tensors/dtype';
import { type DirectoryStore, openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { aggregateFiles, fileOf, type ModelTensor, randomValues, roundedTo, strategyOf, valuesOf } from './models';

describe('statistics of batch normalisation in the next model', () => {
  let folder: string;
  let store: DirectoryStore;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'clara-normalisation-'));
    store = await openDirectoryStore(folder);
  });
  after(async () => {
    await store.close();
    await rm(folder, { recursive: true });
  });

  /** Floats of every type and integers, under names of weights and of statistics, in any order. */
  const specs = fc
    .uniqueArray(
      fc.record({
        name: fc
          .tuple(
            fc.integer({ min: 0, max: 9 }),
            fc.constantFrom('weight', 'running_mean', 'running_var', 'num_batches_tracked', 'steps'),
          )
          .map(([layer, last]) => `bn${layer}.${last}`),
        dtype: fc.constantFrom<Dtype>('F32', 'F64', 'F16', 'BF16', 'I64'),
        size: fc.integer({ min: 0, max: 40 }),
      }),
      { selector: ({ name }) => name, minLength: 1, maxLength: 12 },
    )
    .map((tensors) => [...tensors, { name: 'w', dtype: 'F32' as const, size: 3 }]);

  it('are what the plan says of them, tensor by tensor; integers are those of the first site, or stay', async () => {
    const adam = { kind: 'adam', lr: 0.1, beta1: 0.9, beta2: 0.99, tau: 0.001 } as const;
    await fc.assert(
      fc.asyncProperty(specs, fc.constantFrom(...NORMALISATION_RULES), fc.boolean(), async (tensors, rule, moves) => {
        const seeds = { base: 1, a: 2, b: 3 };
        const made = Object.fromEntries(
          Object.entries(seeds).map(([key, seed]) => [
            key,
            tensors.map(({ name, dtype, size }, i): ModelTensor => {
              const random = randomValues(seed * 100 + i, size, dtype);
              const values = dtype === 'I64' ? random.map((value) => Math.round(value * 100) + 0) : random;
              return { name, dtype, shape: [size], values };
            }),
          ]),
        ) as Record<keyof typeof seeds, ModelTensor[]>;
        const plan = checkPlan({ ...{ name: 'p', trainer: { name: 't' }, rounds: 1 }, normalisationStatistics: rule });
        const updates = (['b', 'a'] as const).map((site) => ({ site, file: fileOf(made[site]) }));
        const after = valuesOf(
          await aggregateFiles(store, fileOf(made.base), updates, {
            strategy: strategyOf('weighted-mean', moves ? adam : undefined),
            ...{ excluded: keptTensors(plan), first: firstTensors(plan), momentsAfter: 'moments' },
          }),
        );
        tensors.forEach(({ name, dtype }, i) => {
          const [base, a, b] = [made.base[i]!.values, made.a[i]!.values, made.b[i]!.values];
          const isStatistic = /running_|tracked/.test(name);
          if (rule === 'keep-local' && isStatistic) assert.deepEqual(after[name], base, name);
          else if (dtype === 'I64' || (rule === 'first' && isStatistic)) assert.deepEqual(after[name], a, name);
          else if (!moves) {
            const mean = a.map((value, j) => roundedTo(dtype, (value + b[j]!) / 2));
            assert.deepEqual(after[name], mean, name);
          } else if (base.length > 0) assert.notDeepEqual(after[name], a, `${name} is moved, not taken`);
        });
      }),
      { numRuns: 60 },
    );
  });
});
