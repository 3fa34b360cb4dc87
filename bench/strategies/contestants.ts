import type { PlanInput } from '../../federation/plan';

/** Strategies that are compared, and what each may choose from: three settings, for each of them the same number. */

/** What of a plan a setting decides. */
export type Setting = Pick<PlanInput, 'strategy' | 'mode' | 'buffer'> & {
  /** Of the sites. */
  readonly learningRate: number;
  /** For people. */
  readonly says: string;
};

export interface Contestant {
  readonly name: string;
  readonly settings: readonly Setting[];
}

/** How many sites are hostile at most: what robust rules are told. */
export const HOSTILE = 2;
export const SITES = 12;

/** Rates of the sites. Those who have a rate of their server choose that one instead, at the middle one of these. */
const SITE_RATES = [0.03, 0.1, 0.3] as const;
const SERVER_RATES = [0.03, 0.1, 0.3] as const;

function ofSites(name: string, rest: Omit<Setting, 'learningRate' | 'says'>): Contestant {
  const settings = SITE_RATES.map((learningRate) => ({ ...rest, learningRate, says: `sites ${learningRate}` }));
  return { name, settings };
}

function ofServer(name: string, rates: readonly number[] = SERVER_RATES): Contestant {
  const learningRate = SITE_RATES[1];
  const settings = rates.map((lr) => ({
    strategy: { name, lr },
    learningRate,
    says: `server ${lr}, sites ${learningRate}`,
  }));
  return { name, settings };
}

export const CONTESTANTS: readonly Contestant[] = [
  ofSites('fedavg', { strategy: 'fedavg' }),
  ofServer('fedavgm', [0.1, 0.3, 1]),
  ofServer('fedadagrad'),
  ofServer('fedadam'),
  ofServer('fedyogi'),
  ofSites('fedprox', { strategy: { name: 'fedprox', mu: 0.1 } }),
  ofSites('scaffold', { strategy: 'scaffold' }),
  ofSites('fednova', { strategy: 'fednova' }),
  ofSites('median', { strategy: 'median' }),
  ofSites('trimmed-mean', { strategy: { name: 'trimmed-mean', beta: HOSTILE } }),
  ofSites('geometric-median', { strategy: 'geometric-median' }),
  ofSites('krum', { strategy: { name: 'krum', f: HOSTILE } }),
  ofSites('multikrum', { strategy: { name: 'multikrum', f: HOSTILE, m: SITES - HOSTILE } }),
  ofSites('bulyan', { strategy: { name: 'bulyan', f: HOSTILE } }),
  ofSites('fedavg, clipped', { strategy: { name: 'fedavg', clip: 1 } }),
  // Half of the sites make a model; what is behind counts less (Nguyen 2022).
  ofSites('fedbuff', { strategy: 'fedavg', mode: 'asynchronous', buffer: { size: SITES / 2, maxStaleness: 10 } }),
  ofSites('cyclic', { strategy: 'fedavg', mode: 'cyclic' }),
];

/** Those that are asked to bear hostile sites: the mean, the mean of clipped updates, and the robust rules. */
export const UNDER_ATTACK: readonly string[] = [
  'fedavg',
  'fedavg, clipped',
  'median',
  'trimmed-mean',
  'geometric-median',
  'krum',
  'multikrum',
  'bulyan',
];
