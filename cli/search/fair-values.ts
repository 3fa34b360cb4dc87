/**
 * Values of trials that were not judged by the same sites. A site that was away for one of them, or still trained when its last
 * model was judged, must not decide by its easier or harder cases which trial is better.
 */

/** What a site says of a trial's model. */
export interface Judgement {
  readonly site: string;
  readonly value: number;
  /** Held-out cases. */
  readonly samples: number;
}

export interface FairValue {
  /** As if every site of its group had judged it. */
  readonly value: number;
  /** From 0. Trials of different groups share no judge, not even through other trials; the group with the most held-out cases is first. */
  readonly group: number;
}

/**
 * The effects of trials in the additive model value(trial, site) = trial + site, by least squares weighted by held-out cases, where
 * the mean effect of sites, by the most cases of each, is 0. Trials that all sites have judged get their weighted means.
 * @param trials each with a judgement that has samples
 */
export function fairValues(trials: readonly (readonly Judgement[])[]): FairValue[] {
  const told = trials.map((judgements) => judgements.filter(({ samples }) => samples > 0));
  const values: FairValue[] = new Array(told.length);
  for (const [group, members] of groupsOf(told).entries()) {
    const effects = siteEffects(members.map((member) => told[member]!));
    for (const member of members) {
      const value = mean(told[member]!, (each) => each.value - effects.get(each.site)!);
      // Rounding must not part what is equal.
      values[member] = { value: Number(value.toPrecision(12)), group };
    }
  }
  return values;
}

/** Indices of the trials that are connected by their sites, the group with the most cases first. */
function groupsOf(trials: readonly (readonly Judgement[])[]): number[][] {
  let groups: { readonly members: number[]; readonly cases: Map<string, number> }[] = [];
  for (const [index, judgements] of trials.entries()) {
    const isJoined = ({ cases }: (typeof groups)[number]) => judgements.some(({ site }) => cases.has(site));
    const joined = groups.filter(isJoined);
    const cases = new Map(joined.flatMap((group) => [...group.cases]));
    for (const { site, samples } of judgements) cases.set(site, Math.max(cases.get(site) ?? 0, samples));
    const members = [...joined.flatMap((group) => group.members), index].sort((a, b) => a - b);
    groups = [...groups.filter((group) => !isJoined(group)), { members, cases }];
  }
  const sizeOf = ({ cases }: (typeof groups)[number]) => [...cases.values()].reduce((sum, samples) => sum + samples, 0);
  return groups.sort((a, b) => sizeOf(b) - sizeOf(a) || a.members[0]! - b.members[0]!).map(({ members }) => members);
}

/**
 * Of trials that are connected. The effects of trials are eliminated from the normal equations; what is left is singular along the
 * vector of ones, to which its right side is orthogonal, so the rank-one term makes the weighted sum of the solution 0.
 */
function siteEffects(trials: readonly (readonly Judgement[])[]): ReadonlyMap<string, number> {
  const sites = [...new Set(trials.flatMap((judgements) => judgements.map(({ site }) => site)))];
  const indexOf = new Map(sites.map((site, index) => [site, index]));
  const weights = new Float64Array(sites.length);
  const rows = sites.map(() => new Float64Array(sites.length + 1));
  for (const judgements of trials) {
    const all = judgements.reduce((sum, { samples }) => sum + samples, 0);
    const own = mean(judgements, ({ value }) => value);
    for (const one of judgements) {
      const index = indexOf.get(one.site)!;
      const row = rows[index]!;
      weights[index] = Math.max(weights[index]!, one.samples);
      row[index]! += one.samples;
      for (const other of judgements) row[indexOf.get(other.site)!]! -= (one.samples * other.samples) / all;
      row[sites.length]! += one.samples * (one.value - own);
    }
  }
  const all = weights.reduce((sum, weight) => sum + weight, 0);
  for (const [index, row] of rows.entries()) {
    for (const [other, weight] of weights.entries()) row[other]! += (weights[index]! * weight) / all;
  }
  const effects = solved(rows);
  return new Map(sites.map((site, index) => [site, effects[index]!]));
}

/** Gauss and Jordan without pivots: the matrix is positive definite. @param rows each with its right side last; used up */
function solved(rows: readonly Float64Array[]): number[] {
  for (const [step, row] of rows.entries()) {
    const pivot = row[step]!;
    for (let column = step; column < row.length; column++) row[column]! /= pivot;
    for (const other of rows) {
      const factor = other[step]!;
      if (other === row || factor === 0) continue;
      for (let column = step; column < row.length; column++) other[column]! -= factor * row[column]!;
    }
  }
  return rows.map((row) => row.at(-1)!);
}

function mean(judgements: readonly Judgement[], of: (judgement: Judgement) => number): number {
  const samples = judgements.reduce((sum, each) => sum + each.samples, 0);
  return judgements.reduce((sum, each) => sum + of(each) * each.samples, 0) / samples;
}
