import { ClaraError, showFault } from '../../base/errors';
import { faultsOf } from '../../base/faults';
import {
  MAX_STATISTICS_CHARACTERS,
  type SiteStatistics,
  siteStatisticsSchema,
  statisticsRequest,
} from '../../federation/statistics';
import type { SiteTask } from '../runs/tasks';

export type ReceivedStatistics =
  | { readonly success: true; readonly statistics: SiteStatistics }
  | { readonly success: false; readonly reason: string };

/** What a site told, judged before it can enter the journal: bounded, whole, and in the bins that the plan asks for. */
export function statisticsOf(json: string, { plan }: Pick<SiteTask, 'plan'>): ReceivedStatistics {
  const refused = (reason: string): ReceivedStatistics => ({ success: false, reason });
  if (json.length > MAX_STATISTICS_CHARACTERS) {
    return refused(`${json.length} characters, where ${MAX_STATISTICS_CHARACTERS} are read`);
  }
  let document: unknown;
  try {
    document = JSON.parse(json);
  } catch (thrown) {
    return refused(`they are not JSON (${ClaraError.from(thrown).message.slice(0, 100)})`);
  }
  const parsed = siteStatisticsSchema.safeParse(document);
  if (!parsed.success) {
    const faults = faultsOf(parsed.error, document);
    return refused(faults.slice(0, 5).map(showFault).join('; '));
  }
  const { bins, ranges } = statisticsRequest(plan.statistics!);
  const known = Object.values(ranges).map(([low, high]) => `${low} to ${high}`);
  const strange = parsed.data.variables.find(
    ({ low, high, shares, exact }) =>
      !known.includes(`${low} to ${high}`) ||
      shares.length !== bins + 2 ||
      (exact !== undefined && exact.counts.length !== bins + 2),
  );
  if (strange) return refused(`${strange.name} is not in the ${bins} bins and the ranges that were asked for`);
  return { success: true, statistics: parsed.data };
}
