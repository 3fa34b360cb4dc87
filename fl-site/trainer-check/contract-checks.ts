import path from 'node:path';
import { ClaraError } from '../../base/errors';
import { readFile, truncate, writeFile } from '../../base/files';
import { STATE_FOLDER, TASK_FILE, type TrainerFeature } from '../../federation/trainer-contract';
import { prepareOutbound } from '../outbound-update';
import { INPUT_FILE, OUTPUT_FILE, readReport } from '../task-files';
import { type CheckBench, fingerprintOfFolder, type Interruption, type Start } from './check-bench';
import {
  declines,
  Failed,
  MEND,
  requireDone,
  requireRefused,
  requireSameBytes,
  Skipped,
  wordsOf,
} from './check-verdicts';
import { featureChecks } from './feature-checks';

export interface CheckStep {
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** What was seen; empty when passed. */
  readonly reason: string;
  /** How to satisfy the contract; empty unless failed. */
  readonly mend: string;
}

export interface ContractChecksOptions {
  /** Weights to start from. @default the first ones that the trainer makes */
  readonly model?: string;
  /** Features to prove beside plain training. @default none */
  readonly supports?: readonly TrainerFeature[];
  /** Only what needs no training and no data. @default false */
  readonly quick?: boolean;
  /** Told of each step when it is over. */
  readonly onStep?: (step: CheckStep) => void;
}

/** The steps of a check, in their order: each builds on what the ones before have left. */
export class ContractChecks {
  readonly steps: CheckStep[] = [];
  /** Weights to start from. */
  #model: string | undefined;
  /** First weights that the trainer made. */
  #made: string | undefined;
  /** The folder of a training that nothing interrupted. */
  #trained: string | undefined;
  #training: Start | undefined;

  constructor(
    private readonly bench: CheckBench,
    private readonly options: ContractChecksOptions,
  ) {
    this.#model = options.model;
  }

  async all(): Promise<void> {
    if (this.options.quick) return this.#quick();
    const { dataset } = this.bench.options;
    const dataBefore = dataset.kind === 'none' ? '' : await fingerprintOfFolder(dataset.path);
    await this.#step('makes first weights', MEND.output, () => this.#initialise());
    await this.#step('makes the same first weights again', MEND.repeat, () => this.#initialiseAgain());
    await this.#step('trains', MEND.output, () => this.#train());
    await this.#step('tells its progress', MEND.progress, () => this.#progress());
    await this.#step('leaves its inputs alone', MEND.inputs, () => this.#inputs());
    await this.#step('makes the same update again', MEND.repeat, () => this.#trainAgain());
    await this.#step('goes on with the state of an earlier round', MEND.state, () => this.#nextRound());
    await this.#step('stops within the grace after SIGTERM and goes on', MEND.sigterm, () =>
      this.#interrupted('SIGTERM'),
    );
    await this.#step('goes on after SIGKILL', MEND.sigkill, () => this.#interrupted('SIGKILL'));
    await this.#step('judges models', MEND.evaluate, () => this.#evaluate());
    await this.#refusals();
    await this.#step('refuses a truncated model with exit code 64', MEND.refuse, () => this.#badModel());
    for (const { name, mend, run } of featureChecks(this.options.supports ?? [])) {
      await this.#step(name, mend, () =>
        run({
          bench: this.bench,
          model: this.#requireModel(),
          trained: this.#requireTrained(),
          requireOutput: (folder, start, controls) =>
            this.#requireOutput(folder, start, this.#requireModel(), controls),
        }),
      );
    }
    await this.#step('writes nothing outside its folder', MEND.outside, () => this.#outside(dataBefore));
  }

  async #quick(): Promise<void> {
    await this.#step('makes first weights', MEND.output, () => this.#initialise());
    await this.#refusals();
  }

  async #refusals(): Promise<void> {
    await this.#step('refuses another protocol with exit code 64', MEND.refuse, () =>
      this.#badTask('{"protocol": 99}'),
    );
    await this.#step('refuses a broken task.json with exit code 64', MEND.refuse, () =>
      this.#badTask('{"protocol": 1,'),
    );
  }

  async #step(name: string, mend: string, check: () => Promise<void>): Promise<void> {
    const step = await check().then(
      (): CheckStep => ({ name, outcome: 'passed', reason: '', mend: '' }),
      (thrown: unknown): CheckStep => {
        this.bench.options.signal.throwIfAborted();
        if (thrown instanceof Skipped) return { name, outcome: 'skipped', reason: thrown.message, mend: '' };
        const reason = thrown instanceof Failed ? thrown.message : ClaraError.from(thrown).message;
        return { name, outcome: 'failed', reason, mend: (thrown instanceof Failed && thrown.mend) || mend };
      },
    );
    this.steps.push(step);
    this.options.onStep?.(step);
  }

  async #initialise(): Promise<void> {
    const folder = await this.bench.prepare({ kind: 'initialise', round: 0 });
    const start = await this.bench.start(folder);
    if (declines(start)) {
      const how = this.#model ? '' : '; name weights to start from (--model) to check the rest';
      throw new Skipped(`it declines the task: ${wordsOf(start)}${how}`);
    }
    await this.#requireOutput(folder, start);
    this.#made = path.join(folder, OUTPUT_FILE);
    this.#model ??= this.#made;
  }

  async #initialiseAgain(): Promise<void> {
    if (this.#made === undefined) throw new Skipped('it made no first weights');
    const folder = await this.bench.prepare({ kind: 'initialise', round: 0 });
    await this.#requireOutput(folder, await this.bench.start(folder));
    await requireSameBytes(this.#made, path.join(folder, OUTPUT_FILE));
  }

  async #train(): Promise<void> {
    const folder = await this.#trainingFolder();
    const start = await this.bench.start(folder);
    if (declines(start)) throw new Skipped(`it declines the task: ${wordsOf(start)}`);
    await this.#requireOutput(folder, start, this.#requireModel());
    const report = await readReport(folder);
    if (report.samples === 0) throw new Failed('its report names 0 samples, so its update would weigh nothing');
    this.#trained = folder;
    this.#training = start;
  }

  async #progress(): Promise<void> {
    this.#requireTrained();
    const { progress, malformed } = this.#training!;
    if (malformed.length > 0) throw new Failed(`this is no progress line: ${malformed[0].slice(0, 200)}`);
    if (progress.length === 0)
      throw new Skipped('it printed no progress; that is allowed, but nobody sees how far it is');
    const back = progress.findIndex((line, i) => i > 0 && line.progress < progress[i - 1].progress);
    if (back > 0)
      throw new Failed(`progress went back from ${progress[back - 1].progress} to ${progress[back].progress}`);
  }

  async #inputs(): Promise<void> {
    const trained = this.#requireTrained();
    await requireSameBytes(this.#requireModel(), path.join(trained, INPUT_FILE), `${INPUT_FILE} was changed`);
    const untouched = await this.#trainingFolder();
    const task = async (folder: string) => {
      const { deadline: _, ...rest } = JSON.parse(await readFile(path.join(folder, TASK_FILE), 'utf8'));
      return JSON.stringify(rest);
    };
    if ((await task(trained)) !== (await task(untouched))) throw new Failed(`${TASK_FILE} was changed`);
  }

  async #trainAgain(): Promise<void> {
    const trained = this.#requireTrained();
    const folder = await this.#trainingFolder();
    await this.#requireOutput(folder, await this.bench.start(folder), this.#requireModel());
    await requireSameBytes(path.join(trained, OUTPUT_FILE), path.join(folder, OUTPUT_FILE));
  }

  async #nextRound(): Promise<void> {
    const trained = this.#requireTrained();
    const model = path.join(trained, OUTPUT_FILE);
    const state = path.join(trained, STATE_FOLDER);
    const folder = await this.bench.prepare({ kind: 'train', round: 2, seed: 8, models: [model], state });
    await this.#requireOutput(folder, await this.bench.start(folder), model);
  }

  async #interrupted(interruption: Interruption): Promise<void> {
    const trained = this.#requireTrained();
    const { graceMillis } = this.bench.options;
    const folder = await this.#trainingFolder();
    const start = await this.bench.start(folder, interruption);
    if (start.end.kind === 'exited' || !start.progress.some(({ progress }) => progress < 1)) {
      throw new Skipped('it was done before it could be interrupted; let it do more, or print progress earlier');
    }
    if (interruption === 'SIGTERM' && start.millis >= graceMillis) {
      throw new Failed(`it ran on for ${graceMillis} ms after SIGTERM and had to be killed`);
    }
    await this.#requireOutput(folder, await this.bench.start(folder), this.#requireModel());
    await requireSameBytes(
      path.join(trained, OUTPUT_FILE),
      path.join(folder, OUTPUT_FILE),
      'the update is not the one of a training without interruption',
    );
  }

  async #evaluate(): Promise<void> {
    const model = this.#requireModel();
    const folder = await this.bench.prepare({
      kind: 'evaluate',
      models: [model, this.#trained ? path.join(this.#trained, OUTPUT_FILE) : model],
    });
    const start = await this.bench.start(folder);
    if (declines(start)) throw new Skipped(`it declines the task: ${wordsOf(start)}`);
    requireDone(start);
    const report = await readReport(folder);
    const told = report.evaluations.map(({ model: name }) => name).sort();
    if (told.join() !== 'model-0,model-1')
      throw new Failed(`its report judges ${told.join(', ') || 'no model'}, asked were model-0, model-1`);
    const silent = report.evaluations.find(({ metrics }) => Object.keys(metrics).length === 0);
    if (silent) throw new Failed(`its report has no metric for ${silent.model}`);
  }

  async #badTask(text: string): Promise<void> {
    const folder = await this.bench.prepare({ kind: 'initialise', round: 0 });
    await writeFile(path.join(folder, TASK_FILE), text);
    requireRefused(await this.bench.start(folder));
  }

  async #badModel(): Promise<void> {
    const folder = await this.#trainingFolder();
    const file = path.join(folder, INPUT_FILE);
    await truncate(file, (await readFile(file)).length - 1);
    requireRefused(await this.bench.start(folder));
  }

  async #outside(dataBefore: string): Promise<void> {
    const { dataset } = this.bench.options;
    const strangers = await this.bench.strangers();
    if (strangers.length > 0) throw new Failed(`it left ${strangers.join(', ')} beside its folder`);
    if (dataset.kind !== 'none' && (await fingerprintOfFolder(dataset.path)) !== dataBefore) {
      throw new Failed(`it changed files of the dataset ${dataset.path}`);
    }
  }

  #trainingFolder(): Promise<string> {
    return this.bench.prepare({ kind: 'train', models: [this.#requireModel()] });
  }

  #requireModel(): string {
    if (this.#model === undefined) throw new Skipped('there are no weights to start from');
    return this.#model;
  }

  #requireTrained(): string {
    if (this.#trained === undefined) throw new Skipped('it did not train');
    return this.#trained;
  }

  async #requireOutput(folder: string, start: Start, global?: string, controls?: string): Promise<void> {
    requireDone(start);
    await readReport(folder);
    await prepareOutbound({
      update: path.join(folder, OUTPUT_FILE),
      ...(global && { global }),
      ...(controls && { controls }),
      outbound: path.join(folder, 'outbound.safetensors'),
      excluded: [],
      maxBytes: Number.MAX_SAFE_INTEGER,
      signal: this.bench.options.signal,
    });
  }
}
