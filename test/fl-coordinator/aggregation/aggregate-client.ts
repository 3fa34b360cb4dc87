import type { ServerOptimiser } from '../../../federation/strategy';
import { aggregate } from '../../../fl-coordinator/aggregation/aggregate';
import { openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { strategyOf } from './models';

export const CRASHING_STRATEGY = strategyOf('weighted-mean', {
  kind: 'adam',
  lr: 0.1,
  beta1: 0.9,
  beta2: 0.99,
  tau: 1e-3,
} satisfies ServerOptimiser);

/** One aggregation of the round that is laid out in a store, and its digest. */
export async function aggregateRound(root: string): Promise<string> {
  const store = await openDirectoryStore(root);
  try {
    const { digest } = await aggregate({
      store,
      base: 'base',
      contributions: ['a', 'b'].map((site, i) => ({ site, key: `updates/${site}`, weight: i + 1 })),
      strategy: CRASHING_STRATEGY,
      excluded: [],
      target: 'model',
      momentsAfter: 'moments',
      signal: new AbortController().signal,
    });
    return digest;
  } finally {
    await store.close();
  }
}

if (require.main === module) void aggregateRound(process.argv[2]!);
