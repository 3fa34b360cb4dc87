import { type MergedStatistics, type MergedVariable, QUANTILES } from '../federation/statistics';
import { counted, table } from './terminal';

/** What the sites hold, for people. */

/** The heading of {@link variableCells}. */
export const VARIABLE_HEADING = [
  'variable',
  'unit',
  'count',
  'mean',
  'sd',
  'min',
  ...QUANTILES.map((share) => `${share * 100} %`),
  'max',
];

export function variableCells(variable: MergedVariable): string[] {
  const { name, unit, count, mean, variance, minimum, maximum, quantiles } = variable;
  const figures = [mean, Math.sqrt(variance), minimum, ...quantiles, maximum].map(shortNumber);
  // With noise a count is not whole, and not exact.
  const howMany = Number.isInteger(count) ? String(count) : `about ${count.toFixed(1)} cases`;
  return [name, unit, howMany, ...figures];
}

export function statisticsLines(merged: MergedStatistics): string[] {
  const rows = merged.variables.map(variableCells);
  return [
    ...siteLines(merged),
    ...(rows.length > 0 ? table([VARIABLE_HEADING, ...rows]).split('\n') : ['no site told anything']),
    ...notes(merged),
  ];
}

export function siteLines({ sites }: MergedStatistics): string[] {
  return sites.map(({ site, cases, suppressed, epsilon }) => {
    if (suppressed) return `${site}: nothing, ${suppressed}`;
    return epsilon === undefined
      ? `${site}: ${counted(cases ?? 0, 'case')}`
      : `${site}: with noise, epsilon ${epsilon} a case`;
  });
}

/** What a reader has to know to read the figures rightly. */
export function notes({ variables }: MergedStatistics): string[] {
  const hidden = variables.reduce((sum, { suppressedBins }) => sum + suppressedBins, 0);
  const noisy = variables.some(({ weighting }) => weighting === 'cases');
  return [
    ...(hidden > 0 ? [`${counted(hidden, 'bin')} with too few cases left out, from all figures`] : []),
    ...(noisy
      ? ['every case weighs the same; figures come from histograms with noise, and ranges stand for extremes']
      : []),
  ];
}

export function shortNumber(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toFixed(2)));
}
