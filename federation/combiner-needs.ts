import { ClaraError } from '../base/errors';
import type { Combiner, Strategy } from './strategy';
import type { TrainerFeature } from './trainer-contract';

/** What a strategy asks of a round: how many updates, which weights, what of the trainers. */

/** With fewer updates a median is a mean, or one site's value. */
const OUTVOTING = 3;

/** From how many updates on the combiner is defined, by its paper. */
function definedFrom(combiner: Combiner): number {
  switch (combiner.kind) {
    case 'weighted-mean':
    case 'normalised-mean':
    case 'median':
    case 'geometric-median':
      return 1;
    case 'trimmed-mean':
      return 2 * combiner.beta + 1;
    case 'krum':
      return 2 * combiner.f + 3;
    case 'multikrum':
      return Math.max(2 * combiner.f + 3, combiner.m + combiner.f);
    case 'bulyan':
      return 4 * combiner.f + 3;
  }
}

/** How many updates a round must have so that the combiner does what a plan names it for, and the sentence that says so. */
export function fewestUpdates(combiner: Combiner): { readonly updates: number; readonly rule: string } {
  switch (combiner.kind) {
    case 'weighted-mean':
    case 'normalised-mean':
      return { updates: 1, rule: 'a mean needs an update' };
    case 'median':
    case 'geometric-median':
      return { updates: OUTVOTING, rule: `the ${combiner.kind} needs at least ${OUTVOTING} updates to outvote one` };
    default: {
      const updates = definedFrom(combiner);
      return { updates, rule: `${inWords(combiner)} needs at least ${updates} updates` };
    }
  }
}

/** Robust combiners count heads: samples are what a site says of itself, and must not buy it influence. */
export function countsHeads(combiner: Combiner): boolean {
  return combiner.kind !== 'weighted-mean' && combiner.kind !== 'normalised-mean';
}

/** How many sites' updates are in the new model at least, when the round had so many: an average of few tells much about each. */
export function updatesAveraged(combiner: Combiner, updates: number): number {
  if (combiner.kind === 'krum') return Math.min(1, updates);
  return combiner.kind === 'multikrum' ? Math.min(combiner.m, updates) : updates;
}

/** What every site's trainer must support beyond plain training. */
export function featuresNeeded({ clientRule, combiner }: Pick<Strategy, 'clientRule' | 'combiner'>): TrainerFeature[] {
  return [
    ...(clientRule.kind === 'none' ? [] : [clientRule.kind]),
    ...(combiner.kind === 'normalised-mean' ? (['fednova'] as const) : []),
  ];
}

/** `trimmed-mean of beta = 1`. */
export function inWords({ kind, ...parameters }: Combiner): string {
  const told = Object.entries(parameters).map(([name, value]) => `${name} = ${value}`);
  return told.length === 0 ? kind : `${kind} of ${told.join(', ')}`;
}

/** @throws ClaraError `precondition-failed` when a round has fewer updates than the combiner is defined for */
export function requireUpdates(combiner: Combiner, updates: number): void {
  const needed = definedFrom(combiner);
  if (updates >= needed) return;
  throw new ClaraError(
    'precondition-failed',
    `${inWords(combiner)} needs at least ${needed} updates, and the round has ${updates}; raise the quorum`,
  );
}
