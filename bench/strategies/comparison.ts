import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { Gate } from '../../simulation/gate';
import { Simulation } from '../../simulation/simulation';
import type { Problem } from '../../simulation/site-thread-messages';
import type { Attack } from '../../simulation/site-trouble';
import type { Contestant, Setting } from './contestants';
import type { Course } from './one-run';

/** What a strategy came to with the best of its settings. */
export interface Outcome extends Course {
  readonly strategy: string;
  readonly setting: string;
}

/** A strategy with the one setting that was best for it. */
export interface Tuned {
  readonly outcome: Outcome;
  readonly setting: Setting;
}

export interface Surroundings {
  readonly workspace: string;
  readonly sites: number;
  readonly seed: number;
  readonly trainer: string;
  readonly problem: Problem;
  readonly skew?: number | undefined;
  readonly attack?: Omit<Attack, 'sites'> & { readonly hostile: number };
}

export const siteName = (index: number): string => `site-${String(index + 1).padStart(2, '0')}`;

/** A federation of simulated sites in a folder of its own, for the length of `work`. */
export async function withSimulation<Result>(
  { workspace, sites, attack, seed, ...rest }: Surroundings,
  work: (simulation: Simulation, folder: string) => Promise<Result>,
): Promise<Result> {
  await mkdir(workspace, { recursive: true });
  const folder = await mkdtemp(path.join(path.resolve(workspace), 'clara-strategies-'));
  const names = Array.from({ length: sites }, (_, index) => siteName(index));
  const hostile = attack && { kind: attack.kind, scale: attack.scale, sites: names.slice(-attack.hostile) };
  try {
    const simulation = await Simulation.open({
      ...rest,
      folder,
      seed,
      sites: names,
      trouble: { seed, drop: 0, ...(hostile && { attack: hostile }) },
      threads: availableParallelism(),
      signal: new AbortController().signal,
      // Sites whose run was ended are still sending: the coordinator says so to each of them.
      onProblem: () => {},
    });
    try {
      return await work(simulation, folder);
    } finally {
      await simulation.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs that go on at a time: each waits most of the time for one site or another, and they share the sites. */
const RUNS_AT_ONCE = 12;

/**
 * Tries every setting of every contestant, many at a time; runs do not know of one another.
 * @param tell told of each contestant when it is through
 * @returns for each, in their order, the setting that reached the target first, or came nearest to it
 */
export async function bestOfEach(
  contestants: readonly Contestant[],
  mode: 'max' | 'min',
  run: (setting: Setting) => Promise<Course>,
  tell: (outcome: Outcome) => void,
): Promise<Tuned[]> {
  const gate = new Gate(RUNS_AT_ONCE);
  const never = new AbortController().signal;
  return Promise.all(
    contestants.map(async ({ name, settings }) => {
      const courses = await Promise.all(settings.map((setting) => gate.through(never, () => run(setting))));
      const tried = courses.map((course, index) => ({
        setting: settings[index]!,
        outcome: { strategy: name, setting: settings[index]!.says, ...course },
      }));
      const best = tried.reduce((found, other) => (isBetter(other.outcome, found.outcome, mode) ? other : found));
      tell(best.outcome);
      return best;
    }),
  );
}

function isBetter(a: Course, b: Course, mode: 'max' | 'min'): boolean {
  const [first, second] = [a, b].map(({ roundsToTarget = Number.POSITIVE_INFINITY }) => roundsToTarget);
  if (first !== second) return first! < second!;
  return mode === 'max' ? a.best > b.best : a.best < b.best;
}
