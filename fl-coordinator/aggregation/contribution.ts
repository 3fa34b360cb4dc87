import { ClaraError } from '../../base/errors';

/** What one site adds to a round. */
export interface Contribution {
  readonly site: string;
  readonly key: string;
  /** Samples x operator weight. Only the ratio between contributors matters. */
  readonly weight: number;
  /** Local steps behind the update; needed by the normalised mean only. @default 0: not known */
  readonly steps?: number;
}

/**
 * The order in which contributions are combined, whatever the order in which they came.
 * @throws ClaraError `invalid-input` for a site that is named twice and for weights that cannot be used
 */
export function inSiteOrder(contributions: readonly Contribution[]): Contribution[] {
  const ordered = [...contributions].sort((a, b) => (a.site < b.site ? -1 : a.site > b.site ? 1 : 0));
  const faults = ordered.flatMap(({ site, weight }, i) => [
    ...(i > 0 && ordered[i - 1]!.site === site ? [{ path: site, rule: 'contributes twice; name each site once' }] : []),
    ...(weight >= 0 && weight < Number.POSITIVE_INFINITY
      ? []
      : [{ path: site, value: `weight ${weight}`, rule: 'must be a number that is not negative' }]),
  ]);
  if (faults.length > 0) throw ClaraError.ofFaults('the contributions of the round', faults);
  if (ordered.some(({ weight }) => weight > 0)) return ordered;
  throw new ClaraError('invalid-input', 'the weights of all contributions are 0; at least one must count');
}
