import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
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

/** Tries every setting. @returns the one that reached the target first, or came nearest to it */
export async function bestOf(
  { name, settings }: Contestant,
  mode: 'max' | 'min',
  run: (setting: Setting) => Promise<Course>,
): Promise<Tuned> {
  let found: Tuned | undefined;
  for (const setting of settings) {
    const outcome = { strategy: name, setting: setting.says, ...(await run(setting)) };
    if (!found || isBetter(outcome, found.outcome, mode)) found = { outcome, setting };
  }
  return found!;
}

function isBetter(a: Course, b: Course, mode: 'max' | 'min'): boolean {
  const [first, second] = [a, b].map(({ roundsToTarget = Number.POSITIVE_INFINITY }) => roundsToTarget);
  if (first !== second) return first! < second!;
  return mode === 'max' ? a.best > b.best : a.best < b.best;
}
