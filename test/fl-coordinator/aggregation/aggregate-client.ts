import type { Strategy } from '../../../federation/strategy';
import { aggregate } from '../../../fl-coordinator/aggregation/aggregate';
import { openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { strategyOf } from './models';

const RATES = { lr: 0.1, beta1: 0.9, beta2: 0.99, tau: 1e-3 };

/** One that combines at once, and one that goes through all blocks twice before. */
export const CRASHING_STRATEGIES: Readonly<Record<string, Pick<Strategy, 'clip' | 'combiner' | 'serverOptimiser'>>> = {
  fedadam: strategyOf('weighted-mean', { kind: 'adam', ...RATES }),
  'clipped bulyan with yogi': strategyOf({ kind: 'bulyan', f: 1 }, { kind: 'yogi', ...RATES }, 300),
};

export const CRASHING_SITES = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];

/** One aggregation of the round that is laid out in a store, and its digest. */
export async function aggregateRound(root: string, strategy: string): Promise<string> {
  const store = await openDirectoryStore(root);
  try {
    const { digest } = await aggregate({
      store,
      base: 'base',
      contributions: CRASHING_SITES.map((site, i) => ({ site, key: `updates/${site}`, weight: i + 1 })),
      strategy: CRASHING_STRATEGIES[strategy]!,
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

if (require.main === module) void aggregateRound(process.argv[2]!, process.argv[3]!);
