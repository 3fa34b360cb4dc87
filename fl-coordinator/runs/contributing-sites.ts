import { byAge, combinedUpdates } from './going';
import type { RunState, UpdateResult } from './run-state';

/** What a site has in a global model. */
export interface SiteShare {
  readonly site: string;
  /** Whose models have at least one update of the site, late ones included. */
  readonly rounds: number;
  readonly newest: UpdateResult;
}

/** The sites whose training is in the global model of a round, in site order: by what was combined, whenever it came. */
export function contributingSites(state: RunState, round: number): SiteShare[] {
  const combined = state.closed
    .filter(({ stage }) => stage.kind === 'train' && stage.round <= round)
    .flatMap((closed) => combinedUpdates(state, closed).map((update) => ({ update, into: closed.stage.round })));
  return state.candidates.flatMap((site) => {
    const own = combined.filter(({ update }) => update.site === site);
    const newest = own
      .map(({ update }) => update)
      .sort(byAge)
      .at(-1);
    return newest ? [{ site, rounds: new Set(own.map(({ into }) => into)).size, newest: newest.result }] : [];
  });
}
