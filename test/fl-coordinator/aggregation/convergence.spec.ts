import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type DirectoryStore, openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { aggregateFiles, strategyOf, valuesOf, vectorFile } from './models';

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
          weights = weights.map((weight, i) => weight - 0.02 * RATE * slope[i]!);
        }
        return { site: site.name, file: vectorFile(weights, 'F64'), weight: site.samples, steps: site.steps };
      });
      const strategy = strategyOf(combiner);
      model = valuesOf(await aggregateFiles(store, vectorFile(model, 'F64'), updates, { strategy })).w!;
    }
    return errorOf(model);
  };

  it('FedNova ends near the common minimum where sites take 4 to 40 steps, and FedAvg where the eager site wants it', async () => {
    const [average, normalised] = [
      await errorAfter(400, 'weighted-mean'),
      await errorAfter(400, { kind: 'normalised-mean' }),
    ];
    assert.ok(normalised < 0.25 * average, `${normalised} against ${average}`);
    assert.ok(average > 0.5, `FedAvg is only ${average} away: the problem is too easy`);
  });
});
