import { createHash } from 'node:crypto';
import { z } from 'zod';
import { ClaraError, type Fault, showValue } from '../../base/errors';
import { faultAt, faultsOf } from '../../base/faults';
import { type Budget, budgetSchema } from '../../federation/course';
import { lessIsBetter } from '../../federation/metric-direction';
import { type Candidate, combinations, drawCandidates } from './candidates';
import { candidatesWithin, type Rung, rungsOf, totalRounds } from './halving';
import type { Mode } from './ranking';
import { canonical, parameterSchema } from './space';

/** The file of a search: a plan with a key `search` beside the others. */

const roundsSchema = z.number().int().min(1).max(10_000);

export const searchSchema = z.strictObject({
  /** Of the evaluation of the global model, as the trainer reports it. */
  metric: z.string().min(1).max(100),
  /** Whether more or less of the metric is better. @default less of losses, errors and distances, more of everything else */
  mode: z.enum(['max', 'min']).optional(),
  candidates: z.number().int().min(2).max(1000),
  /** Unsigned 32-bit. @default 1 */
  seed: z.number().int().min(0).max(0xffffffff).default(1),
  /** One candidate in so many goes on, to as many times the rounds. @default 3 */
  eta: z.number().int().min(2).max(10).default(3),
  /** No trial is shorter. @default 1 */
  minRounds: roundsSchema.default(1),
  /** Of the trials of the last rung. @default the rounds of the plan */
  maxRounds: roundsSchema.optional(),
  /** By path of the plan. */
  parameters: z.record(z.string().min(1).max(300), parameterSchema).refine((space) => {
    const { length } = Object.keys(space);
    return length >= 1 && length <= 50;
  }, 'must name 1 to 50 parameters'),
  /** Of all trials together. @default unlimited */
  budget: budgetSchema.optional(),
});

export type SearchSettings = z.output<typeof searchSchema>;

/** A search with everything resolved that it needs no coordinator for. */
export interface Search {
  /** Eight hexadecimal digits of a digest of the file and the token. */
  readonly id: string;
  /** The plan, as the file writes it, without what candidates change. */
  readonly plan: Readonly<Record<string, unknown>>;
  readonly metric: string;
  readonly mode: Mode;
  readonly candidates: readonly Candidate[];
  readonly rungs: readonly Rung[];
  readonly budget: Budget | undefined;
}

/** What the search sets itself, in every trial. */
const OWN_KEYS: readonly string[] = ['name', 'rounds', 'evaluation', 'search'];

/**
 * @param document the file, with an initial model named by its digest
 * @param token another one makes another search of the same file
 * @throws ClaraError `invalid-input` with every fault of the key `search`; candidates are not judged here
 */
export function readSearch(document: unknown, token = ''): Search {
  const { search: written, ...plan } = asMap(document);
  if (written === undefined) {
    const rule = 'is missing; it says what to search, see docs/search.md ("run submit" takes a plan without it)';
    throw ClaraError.ofFaults('the search', [{ path: 'search', rule }]);
  }
  const result = searchSchema.safeParse(written);
  const faults = result.success
    ? settingsFaults(result.data, plan)
    : faultsOf(result.error, written).map((fault) => ({ ...fault, path: joined('search', fault.path) }));
  if (faults.length > 0 || !result.success) throw ClaraError.ofFaults('the search', faults);
  const settings = result.data;
  const candidates = drawCandidates(settings.parameters, settings.seed, settings.candidates);
  if (candidates.length < settings.candidates) {
    const rule = `is more than the ${candidates.length} different ones that the parameters give; ask for fewer or widen a range`;
    throw ClaraError.ofFaults('the search', [faultAt(['search', 'candidates'], document, rule)]);
  }
  return {
    id: idOf(plan, settings, token),
    plan,
    metric: settings.metric,
    mode: settings.mode ?? (lessIsBetter(settings.metric) ? 'min' : 'max'),
    candidates,
    rungs: rungsOf(halvingOf(settings, plan)),
    budget: settings.budget,
  };
}

/** More budget is more of the same search. */
function idOf(plan: unknown, { budget: _, ...settings }: SearchSettings, token: string): string {
  return createHash('sha256')
    .update(canonical([plan, settings, token]))
    .digest('hex')
    .slice(0, 8);
}

function halvingOf({ candidates, eta, minRounds, maxRounds }: SearchSettings, plan: Search['plan']) {
  // A plan with other rounds than a number is refused with the candidates.
  const planned = roundsSchema.safeParse(plan.rounds);
  return { candidates, eta, minRounds, maxRounds: maxRounds ?? (planned.success ? planned.data : minRounds) };
}

function settingsFaults(settings: SearchSettings, plan: Search['plan']): Fault[] {
  const faults: Fault[] = [];
  const fault = (path: string, value: unknown, rule: string) =>
    faults.push({ path: joined('search', path), value: showValue(value), rule });
  const halving = halvingOf(settings, plan);
  const { candidates, parameters, budget } = settings;
  if (halving.maxRounds < halving.minRounds) {
    fault('minRounds', halving.minRounds, `cannot exceed the ${halving.maxRounds} rounds of the longest trials`);
  }
  const possible = combinations(parameters);
  if (possible < candidates) {
    fault('candidates', candidates, `cannot exceed the ${possible} combinations of the parameters`);
  }
  const rounds = totalRounds(rungsOf(halving));
  if (budget?.rounds !== undefined && rounds > budget.rounds) {
    const fitting = candidatesWithin(budget.rounds, halving);
    const way = fitting < 2 ? 'raise it or lower maxRounds' : `raise it, or ask for ${fitting} candidates`;
    fault('budget.rounds', budget.rounds, `is less than the ${rounds} rounds of this search; ${way}`);
  }
  for (const path of Object.keys(parameters)) {
    const keys = path.split('.');
    if (keys.includes('')) fault('parameters', path, 'must be keys joined by dots, such as strategy.mu');
    if (OWN_KEYS.includes(keys[0]!)) fault('parameters', path, 'is set by the search itself and cannot be searched');
    const above = Object.keys(parameters).find((other) => path.startsWith(`${other}.`));
    if (above) fault('parameters', path, `lies below ${above}, which replaces it; search one of the two`);
  }
  return faults;
}

function joined(key: string, path: string): string {
  return path === '' ? key : `${key}.${path}`;
}

function asMap(document: unknown): Readonly<Record<string, unknown>> {
  if (typeof document === 'object' && document !== null && !Array.isArray(document)) return { ...document };
  throw new ClaraError('invalid-input', 'the search is no map of keys; write a plan with a key "search"');
}
