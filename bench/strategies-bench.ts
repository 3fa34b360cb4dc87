import type { Simulation } from '../simulation/simulation';
import { rounded } from './figures';
import { loadAverage } from './process-usage';
import { bestOfEach, type Outcome, siteName, type Tuned, withSimulation } from './strategies/comparison';
import { CONTESTANTS, type Contestant, HOSTILE, SITES, UNDER_ATTACK } from './strategies/contestants';
import { courseOf, type Wanted } from './strategies/one-run';
import { SoftmaxObjective } from './strategies/softmax-objective';

export interface StrategiesCase {
  readonly workspace: string;
  readonly seed: number;
  readonly softmax: boolean;
  readonly phantoms: boolean;
  /** Of the convex problem. @default both */
  readonly division?: 'alike' | 'unlike' | undefined;
}

/** One line of a table, and one JSON object. */
export interface StrategyRow extends Outcome {
  readonly case: 'strategies';
  readonly problem: 'softmax' | 'phantoms';
  readonly division: 'alike' | 'unlike';
  readonly attack: string;
  readonly target: number;
  readonly rounds: number;
}

/** How unlike sites are: Dirichlet over classes, or over scanners. */
const DIVISIONS = [
  { division: 'alike', skew: undefined },
  { division: 'unlike', skew: 0.1 },
] as const;

/** The convex problem: 12 sites with about 60 examples each, five passes in batches of ten. */
export const SOFTMAX = {
  parameters: { features: 10, classes: 5, samples: 60, regularisation: 0.01, epochs: 5, batch: 10 },
  rounds: 25,
  /** Of the first model's excess over the least objective, what is left. */
  target: 0.02,
  /** Robust rules in heterogeneous federations give up some of it: what counts is that they are not led astray. */
  targetUnderAttack: 0.1,
  roundsUnderAttack: 12,
} as const;

const ATTACKS = [
  { kind: 'sign-flip', scale: 4 },
  { kind: 'noise', scale: 10 },
] as const;

/** The reference trainer on few and small phantoms: enough to see whether a strategy learns at all, not which is best. */
export const PHANTOMS = {
  sites: 7,
  cases: 2,
  heldOut: 1,
  skew: 0.3,
  parameters: { stepsPerRound: 12, channels: [8, 16, 32], patch: [24, 24, 16], spacing: [12, 12, 14], warmUpSteps: 6 },
  rounds: 5,
  /** Mean Dice on held-out cases. */
  target: 0.85,
} as const;

/** Compares all strategies; each line is told as soon as it is known. */
export async function benchStrategies(wanted: StrategiesCase, tell: (row: StrategyRow) => void) {
  const began = performance.now();
  const loadBefore = loadAverage();
  if (wanted.softmax) {
    await compareUnderAttack(wanted, await compareOnSoftmax(wanted, tell), tell);
  }
  if (wanted.phantoms) await compareOnPhantoms(wanted, tell);
  return {
    case: 'strategies-done',
    seed: wanted.seed,
    seconds: rounded((performance.now() - began) / 1000),
    loadBefore,
  };
}

/** @returns each strategy with its best setting, by division */
async function compareOnSoftmax(
  wanted: StrategiesCase,
  tell: (row: StrategyRow) => void,
): Promise<ReadonlyMap<string, readonly Contestant[]>> {
  const { workspace, seed } = wanted;
  const { parameters, rounds, target } = SOFTMAX;
  const tuned = new Map<string, readonly Contestant[]>();
  for (const { division, skew } of divisionsOf(wanted)) {
    const objective = new SoftmaxObjective(softmaxParametersOf(1), seed, skew, siteNames(SITES));
    const around = { workspace, seed, skew, sites: SITES, trainer: 'softmax', problem: { kind: 'softmax' } } as const;
    await withSimulation(around, async (simulation, folder) => {
      const found = await compare(
        CONTESTANTS,
        { simulation, folder },
        {
          ...{ problem: 'softmax', division, attack: 'none', trainer: 'softmax', parameters, rounds, seed },
          wanted: { measured: (file) => objective.excess(file), target, mode: 'min' },
        },
        tell,
      );
      const names = CONTESTANTS.map(({ name }) => name);
      tuned.set(
        division,
        found.map(({ setting }, index) => ({ name: names[index]!, settings: [setting] })),
      );
    });
  }
  return tuned;
}

/**
 * Each strategy as it was best without attack, since nobody tunes for one. Objective and optimum are those of the honest sites:
 * what hostile ones want does not count.
 */
async function compareUnderAttack(
  wanted: StrategiesCase,
  tuned: ReadonlyMap<string, readonly Contestant[]>,
  tell: (row: StrategyRow) => void,
): Promise<void> {
  const { workspace, seed } = wanted;
  const { parameters, roundsUnderAttack: rounds, targetUnderAttack: target } = SOFTMAX;
  for (const { division, skew } of divisionsOf(wanted)) {
    const contestants = tuned.get(division)!.filter(({ name }) => UNDER_ATTACK.includes(name));
    const objective = new SoftmaxObjective(softmaxParametersOf(1), seed, skew, siteNames(SITES - HOSTILE));
    for (const attack of ATTACKS) {
      const around = { workspace, seed, skew, sites: SITES, trainer: 'softmax', problem: { kind: 'softmax' } } as const;
      const shown = `${attack.kind} x ${attack.scale}`;
      await withSimulation({ ...around, attack: { ...attack, hostile: HOSTILE } }, (simulation, folder) =>
        compare(
          contestants,
          { simulation, folder },
          {
            ...{ problem: 'softmax', division, attack: shown, trainer: 'softmax', parameters, rounds, seed },
            wanted: { measured: (file) => objective.excess(file), target, mode: 'min', goOn: true },
          },
          tell,
        ),
      );
    }
  }
}

async function compareOnPhantoms({ workspace, seed }: StrategiesCase, tell: (row: StrategyRow) => void): Promise<void> {
  const { sites, cases, heldOut, skew, parameters, rounds, target } = PHANTOMS;
  const problem = { kind: 'phantoms', cases, heldOut } as const;
  await withSimulation({ workspace, seed, skew, sites, trainer: 'reference', problem }, (simulation, folder) =>
    compare(
      CONTESTANTS.map(forPhantoms),
      { simulation, folder },
      {
        ...{ problem: 'phantoms', division: 'unlike', attack: 'none', trainer: 'reference', parameters, rounds, seed },
        wanted: { measured: async (_file, { dice = 0 }) => dice, target, mode: 'max', goOn: true },
      },
      tell,
    ),
  );
}

interface Contest extends Pick<StrategyRow, 'problem' | 'division' | 'attack' | 'rounds'> {
  readonly trainer: string;
  /** Of the trainer; each setting adds its learning rate. */
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly seed: number;
  readonly wanted: Wanted;
}

/** Every setting of every contestant in one simulation. @returns the best of each */
function compare(
  contestants: readonly Contestant[],
  { simulation, folder }: { readonly simulation: Simulation; readonly folder: string },
  { problem, division, attack, trainer, parameters, rounds, seed, wanted }: Contest,
  tell: (row: StrategyRow) => void,
): Promise<Tuned[]> {
  return bestOfEach(
    contestants,
    wanted.mode,
    ({ learningRate, says: _, ...setting }) => {
      const plan = planOf(setting, trainer, { ...parameters, learningRate }, rounds, seed, problem === 'phantoms');
      return courseOf(simulation, folder, plan, wanted);
    },
    (outcome) => tell({ case: 'strategies', problem, division, attack, target: wanted.target, rounds, ...outcome }),
  );
}

/** One setting each, since a round takes seconds: Adam at the sites with its usual rate, and rules for one hostile site of seven. */
function forPhantoms({ name, settings }: Contestant): Contestant {
  const [first, middle] = settings;
  const setting = first!.says.startsWith('server') ? middle! : first!;
  const strategy = fewerHostile(setting.strategy);
  const buffer = setting.buffer && { ...setting.buffer, size: 4 };
  return {
    name,
    settings: [{ ...setting, strategy, ...(buffer && { buffer }), learningRate: 0.02, says: 'sites 0.02' }],
  };
}

function fewerHostile(strategy: Contestant['settings'][number]['strategy']) {
  if (typeof strategy !== 'object' || strategy === null) return strategy;
  const known = strategy as Readonly<Record<string, unknown>>;
  return {
    ...known,
    ...('f' in known && { f: 1 }),
    ...('m' in known && { m: 6 }),
    ...('beta' in known && known.name === 'trimmed-mean' && { beta: 1 }),
    // A model of many more weights moves farther.
    ...('clip' in known && { clip: 10 }),
  };
}

const divisionsOf = (wanted: StrategiesCase) =>
  DIVISIONS.filter(({ division }) => wanted.division === undefined || wanted.division === division);

const siteNames = (count: number) => Array.from({ length: count }, (_, index) => siteName(index));
const softmaxParametersOf = (learningRate: number) => ({ ...SOFTMAX.parameters, learningRate });

function planOf(
  setting: Omit<Contestant['settings'][number], 'learningRate' | 'says'>,
  trainer: string,
  parameters: Readonly<Record<string, unknown>>,
  rounds: number,
  seed: number,
  everyRound: boolean,
) {
  return {
    name: 'strategies',
    trainer: { name: trainer, parameters: { ...parameters } as Record<string, never> },
    rounds,
    deadline: '1h',
    seed,
    evaluation: { everyRound },
    ...setting,
  };
}
