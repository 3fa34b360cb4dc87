import os from 'node:os';
import { TASK_FOLDER_VARIABLE } from '../../federation/trainer-contract';

export interface EnvironmentOptions {
  /** OMP_NUM_THREADS. @default the agent's own value, or the number of processors */
  readonly threads?: number;
  /** Further variables, from the site's configuration. */
  readonly environment?: Readonly<Record<string, string>>;
}

/**
 * All that a trainer sees of the agent's environment: where programs are, a home, a language. Everything else stays behind,
 * so that no secret of the agent reaches a program that others wrote.
 */
export function trainerEnvironment(
  taskFolder: string,
  temporaryFolder: string,
  { threads, environment }: EnvironmentOptions,
  own: NodeJS.ProcessEnv = process.env,
): Record<string, string> {
  return {
    PATH: own.PATH ?? '/usr/local/bin:/usr/bin:/bin',
    HOME: own.HOME ?? os.homedir(),
    LANG: own.LANG ?? 'C.UTF-8',
    OMP_NUM_THREADS: String(threads ?? own.OMP_NUM_THREADS ?? os.availableParallelism()),
    TMPDIR: temporaryFolder,
    ...environment,
    [TASK_FOLDER_VARIABLE]: taskFolder,
  };
}
