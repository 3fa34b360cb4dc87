import type { Strategy } from '../../../federation/strategy';
import { aggregate } from '../../../fl-coordinator/aggregation/aggregate';
import { aggregateWithControls } from '../../../fl-coordinator/aggregation/controls';
import { openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { strategyOf } from './models';

const RATES = { lr: 0.1, beta1: 0.9, beta2: 0.99, tau: 1e-3 };

export const SCAFFOLD = 'scaffold with momentum';
export const CONTROLS_KEY = 'more/controls';

/** One that combines at once, one that goes through all blocks twice before, and one that makes two objects. */
export const CRASHING_STRATEGIES: Readonly<Record<string, Pick<Strategy, 'clip' | 'combiner' | 'serverOptimiser'>>> = {
  fedadam: strategyOf('weighted-mean', { kind: 'adam', ...RATES }),
  'clipped bulyan with yogi': strategyOf({ kind: 'bulyan', f: 1 }, { kind: 'yogi', ...RATES }, 300),
  [SCAFFOLD]: strategyOf('weighted-mean', { kind: 'momentum', lr: 1, beta: 0.9 }),
};

export const CRASHING_SITES = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];

/** One aggregation of the round that is laid out in a store, and the digests of what it made. */
export async function aggregateRound(root: string, strategy: string): Promise<string> {
  const store = await openDirectoryStore(root);
  try {
    const contributions = CRASHING_SITES.map((site, i) => ({ site, key: `updates/${site}`, weight: i + 1 }));
    const request = {
      store,
      base: 'base',
      contributions,
      strategy: CRASHING_STRATEGIES[strategy]!,
      excluded: [],
      target: 'model',
      momentsAfter: 'moments',
      signal: new AbortController().signal,
    };
    if (strategy !== SCAFFOLD) return (await aggregate(request)).digest;
    const sites = CRASHING_SITES.length;
    const made = await aggregateWithControls(request, { sources: contributions, sites, target: CONTROLS_KEY });
    return `${made.digest} ${made.controls.digest}`;
  } finally {
    await store.close();
  }
}

if (require.main === module) void aggregateRound(process.argv[2]!, process.argv[3]!);
