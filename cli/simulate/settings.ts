import { availableParallelism } from 'node:os';
import path from 'node:path';
import { ClaraError, type Fault, hasCode, showValue } from '../../base/errors';
import { namedSites, withSites } from '../../federation/cohort';
import { durationSchema } from '../../federation/duration';
import { checkPlan, type Plan } from '../../federation/plan';
import { impossibleCombinations } from '../../federation/plan-rules';
import type { Attack } from '../../simulation/site-trouble';
import { softmaxParameters } from '../../simulation/softmax/parameters';
import { parseParameters } from '../../training/trainer/parameters';

/** Options as they were written. */
export interface SimulateInput {
  readonly sites?: string;
  readonly rounds?: string;
  readonly seed?: string;
  readonly dataset?: string;
  readonly skew?: string;
  readonly drop: string;
  readonly slow: string;
  readonly slowBy: string;
  readonly attackers: string;
  readonly attack: Attack['kind'];
  readonly attackScale: string;
  readonly threads?: string;
  readonly workspace: string;
  readonly keep?: boolean;
}

export type Dataset =
  | { readonly kind: 'softmax' }
  | { readonly kind: 'phantoms' }
  | { readonly kind: 'decathlon'; readonly path: string };

/** What a simulation is made of, all of it checked. */
export interface SimulateSettings {
  readonly plan: Plan;
  /** In site order. */
  readonly sites: readonly string[];
  readonly dataset: Dataset;
  readonly skew?: number | undefined;
  readonly drop: number;
  readonly slow?: { readonly share: number; readonly millis: number } | undefined;
  readonly attack?: Attack | undefined;
  readonly threads: number;
}

const MAX_SITES = 1000;
const STANDARD_SITES = 20;

/**
 * @param document the plan, as it was written
 * @throws ClaraError `invalid-input` with every fault of plan and options together
 */
export function simulateSettings(document: unknown, input: SimulateInput): SimulateSettings {
  const faults: Fault[] = [];
  const numbers = new Numbers(faults);
  const rounds = numbers.whole('--rounds', input.rounds, 1, 10_000);
  const seed = numbers.whole('--seed', input.seed, 0, 0xffffffff);
  const wanted = numbers.whole('--sites', input.sites, 1, MAX_SITES);
  const skew = numbers.real('--skew', input.skew, 1e-3, 1e6);
  const drop = numbers.real('--drop', input.drop, 0, 1) ?? 0;
  const share = numbers.real('--slow', input.slow, 0, 1) ?? 0;
  const attackers = numbers.whole('--attackers', input.attackers, 0, MAX_SITES) ?? 0;
  const scale = numbers.real('--attack-scale', input.attackScale, 1e-6, 1e6) ?? 1;
  const threads = numbers.whole('--threads', input.threads, 1, 64) ?? Math.min(availableParallelism(), 64);
  const slowBy = durationSchema.safeParse(input.slowBy);
  if (!slowBy.success) {
    const rule = slowBy.error.issues[0]?.message ?? 'must be a duration';
    faults.push({ path: '--slow-by', value: showValue(input.slowBy), rule });
  }
  const plan = checked(withOverrides(document, { rounds, seed }), faults);
  if (!plan) throw ClaraError.ofFaults('the simulation', faults);

  const sites = sitesOf(plan, wanted, faults);
  const dataset = datasetOf(input.dataset, plan);
  if (skew !== undefined && dataset.kind === 'decathlon') {
    const rule = 'can be chosen for softmax and phantoms only: cases of a dataset are dealt out as they are';
    faults.push({ path: '--skew', value: String(skew), rule });
  }
  if (attackers >= sites.length && attackers > 0) {
    const rule = `must be fewer than the ${sites.length} sites, or nobody is left to learn`;
    faults.push({ path: '--attackers', value: String(attackers), rule });
  }
  faults.push(...planFaults(plan, sites, dataset, namedSites(plan.cohort) === undefined));
  if (faults.length > 0) throw ClaraError.ofFaults('the simulation', faults);
  return {
    plan,
    sites,
    dataset,
    skew,
    drop,
    threads,
    slow: share > 0 ? { share, millis: slowBy.data! } : undefined,
    // Not the first ones: the first site makes the initial model.
    attack: attackers > 0 ? { kind: input.attack, scale, sites: sites.slice(-attackers) } : undefined,
  };
}

function withOverrides(document: unknown, said: { readonly rounds?: number; readonly seed?: number }): unknown {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return document;
  const overrides = Object.entries(said).filter(([, value]) => value !== undefined);
  return { ...document, ...Object.fromEntries(overrides) };
}

function checked(document: unknown, faults: Fault[]): Plan | undefined {
  try {
    return checkPlan(document);
  } catch (error) {
    if (!hasCode(error, 'invalid-input') || error.faults.length === 0) throw error;
    faults.push(...error.faults);
    return undefined;
  }
}

/** A plan that names its sites has these; others are numbered. */
function sitesOf({ cohort }: Plan, wanted: number | undefined, faults: Fault[]): string[] {
  const named = namedSites(cohort);
  if (named && wanted !== undefined && wanted !== named.length) {
    const rule = `must be ${named.length}, the sites that the plan's cohort names; leave it out, or let the cohort be all`;
    faults.push({ path: '--sites', value: String(wanted), rule });
  }
  if (named) return [...named].sort();
  const count = wanted ?? STANDARD_SITES;
  const digits = Math.max(3, String(count).length);
  return Array.from({ length: count }, (_, index) => `site-${String(index + 1).padStart(digits, '0')}`);
}

function datasetOf(said: string | undefined, { trainer }: Plan): Dataset {
  const name = said ?? (trainer.name === 'reference' ? 'phantoms' : 'softmax');
  return name === 'softmax' || name === 'phantoms' ? { kind: name } : { kind: 'decathlon', path: path.resolve(name) };
}

/** What the coordinator, a site or its trainer would refuse later, and what no simulation can have. */
function planFaults(plan: Plan, sites: readonly string[], dataset: Dataset, isOpenCohort: boolean): Fault[] {
  const faults: Fault[] = [];
  if (plan.statistics) faults.push({ path: 'statistics', rule: 'cannot be simulated: nothing is trained' });
  if (plan.initialModel.from === 'run' || plan.initialModel.from === 'registry') {
    const rule =
      'cannot be simulated: there is no earlier run and no registry here; name a file, or let the trainer begin';
    faults.push({ path: 'initialModel.from', value: plan.initialModel.from, rule });
  }
  if (dataset.kind === 'softmax' && (plan.frozenTensors.length > 0 || plan.initialModel.from !== 'trainer')) {
    const rule =
      'cannot be simulated with softmax, which begins at zero and freezes nothing; choose --dataset phantoms';
    faults.push({ path: plan.frozenTensors.length > 0 ? 'frozenTensors' : 'initialModel.from', rule });
  }
  // Rules about the number of sites, which is known now. Where sites are named the plan's own check has judged them.
  if (isOpenCohort) {
    const known = { ...plan, cohort: withSites(plan.cohort, sites) };
    for (const { path: at, rule } of impossibleCombinations(known)) {
      faults.push({ path: at.join('.'), value: `${sites.length} sites`, rule });
    }
  }
  return [...faults, ...parameterFaults(plan, dataset)];
}

function parameterFaults({ trainer: { parameters } }: Plan, { kind }: Dataset): Fault[] {
  try {
    if (kind === 'softmax') softmaxParameters(parameters);
    else parseParameters({ kind: 'initialise', parameters });
    return [];
  } catch (error) {
    const { faults } = ClaraError.from(error);
    return faults.map((fault) => ({ ...fault, path: `trainer.parameters.${fault.path}` }));
  }
}

/** Options that are numbers; what is wrong with them is kept beside. */
class Numbers {
  constructor(private readonly faults: Fault[]) {}

  whole(option: string, text: string | undefined, least: number, most: number): number | undefined {
    return this.#number(option, text, /^\d{1,10}$/, `a whole number from ${least} to ${most}`, least, most);
  }

  real(option: string, text: string | undefined, least: number, most: number): number | undefined {
    return this.#number(option, text, /^\d*\.?\d+(e[+-]?\d+)?$/i, `a number from ${least} to ${most}`, least, most);
  }

  #number(option: string, text: string | undefined, form: RegExp, rule: string, least: number, most: number) {
    if (text === undefined) return undefined;
    const value = Number(text);
    if (form.test(text) && value >= least && value <= most) return value;
    this.faults.push({ path: option, value: showValue(text), rule: `must be ${rule}` });
    return undefined;
  }
}
