import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { aggregateWithControls } from '../../../fl-coordinator/aggregation/controls';
import { type DirectoryStore, openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { aggregateFiles, fileOf, readObject, strategyOf, valuesOf, vectorFile } from './models';

/**
 * Strategies on a problem whose answer is known: each site's loss is a quadratic, 1/2 sum_i curvature_i (w_i - target_i)^2, of
 * another shape and with another minimum at each site. The sites are played by the test, the aggregation is the real one.
 */
interface Site {
  readonly name: string;
  readonly curvature: readonly number[];
  readonly target: readonly number[];
  readonly samples: number;
  readonly steps: number;
}

const SITES: readonly Site[] = [
  { name: 'a', curvature: [1, 0.05, 0.3], target: [4, -2, 1], samples: 10, steps: 4 },
  { name: 'b', curvature: [0.1, 1, 0.2], target: [-4, 3, 7], samples: 30, steps: 40 },
  { name: 'c', curvature: [0.3, 0.4, 1], target: [1, 9, -5], samples: 20, steps: 12 },
];
const RATE = 0.2;

/** Where the gradients of all sites, weighted by their samples, cancel. */
const OPTIMUM = [0, 1, 2].map((i) => {
  const sum = (of: (site: Site) => number) => SITES.reduce((total, site) => total + site.samples * of(site), 0);
  return sum(({ curvature, target }) => curvature[i]! * target[i]!) / sum(({ curvature }) => curvature[i]!);
});

const gradient = ({ curvature, target }: Site, weights: readonly number[]): number[] =>
  weights.map((weight, i) => curvature[i]! * (weight - target[i]!));
const errorOf = (weights: readonly number[]): number => Math.hypot(...weights.map((weight, i) => weight - OPTIMUM[i]!));

describe('strategies on sites that differ much', () => {
  let folder: string;
  let store: DirectoryStore;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'clara-convergence-'));
    store = await openDirectoryStore(folder);
  });

  afterEach(async () => {
    await store.close();
    await rm(folder, { recursive: true });
  });

  /** Local gradient descent of each site's own number of steps, round after round. */
  const errorAfter = async (
    rounds: number,
    combiner: 'weighted-mean' | { readonly kind: 'normalised-mean' },
  ): Promise<number> => {
    let model: readonly number[] = [0, 0, 0];
    for (let round = 1; round <= rounds; round++) {
      const updates = SITES.map((site) => {
        let weights = model;
        for (let step = 0; step < site.steps; step++) {
          const slope = gradient(site, weights);
          weights = weights.map((weight, i) => weight - 0.05 * RATE * slope[i]!);
        }
        return { site: site.name, file: vectorFile(weights, 'F64'), weight: site.samples, steps: site.steps };
      });
      const strategy = strategyOf(combiner);
      model = valuesOf(await aggregateFiles(store, vectorFile(model, 'F64'), updates, { strategy })).w!;
    }
    return errorOf(model);
  };

  /** SCAFFOLD as a site does it, with control variates through the real aggregation. @returns the error after each round */
  const errorsOfScaffold = async (rounds: number, steps: number, withControls: boolean): Promise<number[]> => {
    const errors: number[] = [];
    let model: readonly number[] = [0, 0, 0];
    let all: readonly number[] = [0, 0, 0];
    const own = new Map(SITES.map(({ name }) => [name, [0, 0, 0]]));
    for (let round = 1; round <= rounds; round++) {
      await store.put('base', vectorFile(model, 'F64'));
      for (const site of SITES) {
        const control = own.get(site.name)!;
        let weights = model;
        const sum = [0, 0, 0];
        for (let step = 0; step < steps; step++) {
          const slope = gradient(site, weights);
          slope.forEach((value, i) => {
            sum[i]! += value;
          });
          weights = weights.map(
            (weight, i) => weight - RATE * (slope[i]! + (withControls ? all[i]! - control[i]! : 0)),
          );
        }
        own.set(
          site.name,
          sum.map((value) => value / steps),
        );
        const update = [
          { name: 'w', dtype: 'F64', shape: [3], values: weights },
          { name: 'scaffold-control/w', dtype: 'F64', shape: [3], values: own.get(site.name)! },
        ] as const;
        await store.put(`updates/${site.name}`, fileOf(update));
      }
      const contributions = SITES.map(({ name, samples }) => ({ site: name, key: `updates/${name}`, weight: samples }));
      await aggregateWithControls(
        {
          store,
          base: 'base',
          contributions,
          strategy: strategyOf('weighted-mean'),
          excluded: [],
          target: 'model',
          signal: new AbortController().signal,
        },
        { sources: contributions, sites: SITES.length, target: 'controls' },
      );
      model = valuesOf(await readObject(store, 'model')).w!;
      all = valuesOf(await readObject(store, 'controls')).w!;
      errors.push(errorOf(model));
    }
    return errors;
  };

  it('SCAFFOLD reaches the common minimum in a few rounds of many local steps, where FedAvg never does', async () => {
    const [plain, scaffold] = [await errorsOfScaffold(30, 10, false), await errorsOfScaffold(30, 10, true)];
    const best = Math.min(...plain);
    assert.ok(best > 0.3, `FedAvg comes as near as ${best}: the problem is too easy`);
    const rounds = scaffold.findIndex((error) => error < best / 2);
    assert.ok(rounds >= 0 && rounds < 15, `SCAFFOLD needed ${rounds} rounds: ${scaffold.slice(0, 20).join(' ')}`);
    assert.ok(scaffold.at(-1)! < 1e-3 * best, `${scaffold.at(-1)} is left`);
  });

  it('FedNova ends near the common minimum where sites take 4 to 40 steps, and FedAvg where the eager site wants it', async () => {
    const [average, normalised] = [
      await errorAfter(60, 'weighted-mean'),
      await errorAfter(60, { kind: 'normalised-mean' }),
    ];
    assert.ok(normalised < 0.25 * average, `${normalised} against ${average}`);
    assert.ok(average > 0.5, `FedAvg is only ${average} away: the problem is too easy`);
  });
});
