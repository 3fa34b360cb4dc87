import { ClaraError } from '../../base/errors';

/** What one site adds to a round. */
export interface Contribution {
  readonly site: string;
  readonly key: string;
  /** Samples x operator weight. Only the ratio between contributors matters. */
  readonly weight: number;
  /** Local steps behind the update; needed by the normalised mean only. @default 0: not known */
  readonly steps?: number;
  /**
   * Of an update that did not start from the model that it is combined with: where it started, and how much of its way
   * counts. Absent: it started there, and all of it counts.
   */
  readonly from?: { readonly key: string; readonly factor: number };
}

/**
 * The order in which contributions are combined, whatever the order in which they came.
 * @throws ClaraError `invalid-input` for an update that is named twice and for weights that cannot be used
 */
export function inSiteOrder(contributions: readonly Contribution[]): Contribution[] {
  // Of one site the order stays as it is: updates of earlier rounds may come beside its newest.
  const ordered = [...contributions].sort((a, b) => (a.site < b.site ? -1 : a.site > b.site ? 1 : 0));
  const faults = ordered.flatMap(({ site, key, weight }, i) => [
    ...(ordered.some((other, j) => j < i && other.key === key)
      ? [{ path: site, rule: 'contributes the same update twice; name each once' }]
      : []),
    ...(weight >= 0 && weight < Number.POSITIVE_INFINITY
      ? []
      : [{ path: site, value: `weight ${weight}`, rule: 'must be a number that is not negative' }]),
  ]);
  if (faults.length > 0) throw ClaraError.ofFaults('the contributions of the round', faults);
  if (ordered.some(({ weight }) => weight > 0)) return ordered;
  throw new ClaraError('invalid-input', 'the weights of all contributions are 0; at least one must count');
}
