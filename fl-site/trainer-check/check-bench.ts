import path from 'node:path';
import { cp, lstat, mkdir, readdir, writeFile } from '../../base/files';
import type { ProgramStart } from '../../base/own-program';
import { signalGroup } from '../../base/process-identity';
import {
  type ProgressLine,
  STATE_FOLDER,
  TASK_FILE,
  type TaskKind,
  TRAINER_PROTOCOL,
} from '../../federation/trainer-contract';
import { CONTROLS_FILE, OUTPUT_FILE } from '../task-files';
import { TEMPORARY_FOLDER } from '../trainers/process-trainer';
import { type ProcessEnd, superviseProcess } from '../trainers/supervised-process';
import { trainerEnvironment } from '../trainers/trainer-environment';

export interface CheckedDataset {
  readonly kind: 'decathlon' | 'none';
  readonly path: string;
}

export interface BenchOptions {
  readonly program: ProgramStart;
  /** An empty folder that is removed by whoever made it. */
  readonly scratch: string;
  readonly dataset: CheckedDataset;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** The longest time one start may take. */
  readonly timeoutMillis: number;
  /** From SIGTERM to the end, as the contract grants it. */
  readonly graceMillis: number;
  readonly environment?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface TaskOrder {
  readonly kind: TaskKind;
  readonly round?: number;
  readonly seed?: number;
  /** Model files to be copied into the folder. */
  readonly models?: readonly string[];
  /** A state folder of an earlier round. */
  readonly state?: string;
  /** Training only: the task's `rule`, whatever it is. */
  readonly rule?: unknown;
  /** Training only: patterns of tensors that are left alone. */
  readonly frozen?: readonly string[];
  /** First weights only: patterns of tensors that are made anew; `models` has the one to take the others from. */
  readonly reinitialise?: readonly string[];
  /** A control variate to be copied into the folder. */
  readonly controls?: string;
}

export interface Start {
  readonly end: ProcessEnd;
  /** From its start, or from its interruption, to its end. */
  readonly millis: number;
  readonly progress: readonly ProgressLine[];
  /** JSON objects with `progress` that are not progress lines of the contract. */
  readonly malformed: readonly string[];
}

export type Interruption = 'SIGTERM' | 'SIGKILL';

const DAY_MILLIS = 86400e3;
/** The bench is about behaviour: disk use is bounded by where the scratch folder lies. */
const UNBOUNDED = Number.MAX_SAFE_INTEGER;
const POLL_MILLIS = 500;

/** Makes task folders as an agent does and starts a trainer on them, remembering what it saw. */
export class CheckBench {
  #tasks = 0;
  readonly #folders: string[] = [];

  constructor(readonly options: BenchOptions) {}

  /** A folder with everything that the contract promises for such a task. */
  async prepare(order: TaskOrder): Promise<string> {
    const { kind, round = 1, seed = 7, models = [], state, rule, controls, frozen, reinitialise } = order;
    const name = `task-${++this.#tasks}`;
    const folder = path.join(this.options.scratch, name);
    this.#folders.push(name);
    await mkdir(folder, { recursive: true });
    if (state) await cp(state, path.join(folder, STATE_FOLDER), { recursive: true });
    else await mkdir(path.join(folder, STATE_FOLDER));
    if (controls) await cp(controls, path.join(folder, CONTROLS_FILE));
    const files = models.map((_, index) =>
      kind === 'evaluate' ? `models/${index}.safetensors` : 'global.safetensors',
    );
    for (const [index, model] of models.entries()) {
      await mkdir(path.dirname(path.join(folder, files[index])), { recursive: true });
      await cp(model, path.join(folder, files[index]));
    }
    const task = {
      protocol: TRAINER_PROTOCOL,
      kind,
      task: `check/${kind}/${round}/${seed}`,
      run: 'check',
      round,
      rounds: 2,
      site: 'check',
      seed,
      deadline: new Date(Date.now() + DAY_MILLIS).toISOString(),
      dataset: this.options.dataset,
      parameters: this.options.parameters,
      ...(kind === 'initialise' && { model: { ...(reinitialise && { input: files[0] }), output: OUTPUT_FILE } }),
      ...(reinitialise && { reinitialise }),
      ...(kind === 'train' && { model: { input: files[0], output: OUTPUT_FILE }, ...(rule !== undefined && { rule }) }),
      ...(frozen && { frozen }),
      ...(kind === 'evaluate' && { models: files.map((file, index) => ({ name: `model-${index}`, file })) }),
    };
    await writeFile(path.join(folder, TASK_FILE), JSON.stringify(task, undefined, 2));
    return folder;
  }

  /** Starts the trainer on a folder; with an interruption, it is stopped at its first sign of progress. */
  async start(folder: string, interruption?: Interruption): Promise<Start> {
    const { program, environment, timeoutMillis, graceMillis, signal } = this.options;
    const progress: ProgressLine[] = [];
    const malformed: string[] = [];
    const stop = new AbortController();
    const onStop = () => stop.abort();
    signal.addEventListener('abort', onStop);
    let pid: number | undefined;
    const temporary = path.join(folder, TEMPORARY_FOLDER);
    await mkdir(temporary, { recursive: true });
    const began = performance.now();
    const deadline = Date.now() + timeoutMillis;
    let interrupted: number | undefined;
    const interrupt = () => {
      if (interrupted !== undefined) return;
      interrupted = performance.now();
      if (interruption === 'SIGTERM') stop.abort();
      if (interruption === 'SIGKILL' && pid !== undefined) signalGroup(pid, 'SIGKILL');
    };
    try {
      const end = await superviseProcess({
        program: { command: program.command, args: [...program.args, folder] },
        folder,
        environment: trainerEnvironment(folder, temporary, { environment }),
        deadline: () => deadline,
        signal: stop.signal,
        graceMillis,
        pollMillis: POLL_MILLIS,
        diskBytes: UNBOUNDED,
        uncounted: [],
        onStarted: async (started) => {
          ({ pid } = started);
        },
        onProgress: (line) => {
          progress.push(line);
          if (line.progress < 1) interrupt();
        },
        onLog: (line) => {
          if (/^\s*\{.*"progress"/.test(line)) malformed.push(line);
        },
      });
      signal.throwIfAborted();
      return { end, millis: performance.now() - (interruption ? (interrupted ?? began) : began), progress, malformed };
    } finally {
      signal.removeEventListener('abort', onStop);
    }
  }

  /** Names in the scratch folder that this bench did not make. */
  async strangers(): Promise<string[]> {
    return (await readdir(this.options.scratch)).filter((name) => !this.#folders.includes(name));
  }
}

/** Names, sizes and times of all files under a folder, to see whether anything there was touched. */
export async function fingerprintOfFolder(folder: string): Promise<string> {
  const lines: string[] = [];
  for (const entry of await readdir(folder, { recursive: true })) {
    const stat = await lstat(path.join(folder, entry)).catch(() => undefined);
    if (stat?.isFile()) lines.push(`${entry} ${stat.size} ${stat.mtimeMs}`);
  }
  return lines.sort().join('\n');
}
