import { createHash } from 'node:crypto';
import { type MergedStatistics, mergeStatistics, type SiteStatistics } from '../../federation/statistics';
import { type RunState, stagesOf } from './run-state';

/** What the sites of a run of statistics have told so far, in site order. */
export function toldStatistics(state: RunState): ReadonlyMap<string, SiteStatistics> {
  const stage = stagesOf(state).find(({ stage }) => stage.kind === 'statistics');
  return new Map(
    (stage?.cohort ?? []).flatMap((site) => {
      const result = stage?.results.get(site);
      return result?.kind === 'statistics' ? [[site, result.statistics] as const] : [];
    }),
  );
}

export function mergedStatistics(state: RunState): MergedStatistics {
  return mergeStatistics(toldStatistics(state));
}

/** What a run of statistics ends with instead of a model: the digest of what all sites told together. */
export function statisticsDigest(state: RunState): string {
  return `sha256:${createHash('sha256')
    .update(JSON.stringify(mergedStatistics(state)))
    .digest('hex')}`;
}
