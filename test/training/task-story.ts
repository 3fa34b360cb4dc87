import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { ownProgram } from '../../base/own-program';
import {
  type ProgressLine,
  progressLineSchema,
  type TrainerReport,
  trainerReportSchema,
} from '../../federation/trainer-contract';
import { writePhantomDataset } from '../../imaging/phantom-dataset';
import { REFERENCE_TRAINER_MODULE } from '../../training/trainer/reference-trainer';

/** Small enough that a step takes about a millisecond. */
export const TINY_PARAMETERS = { channels: [8, 8], patch: [8, 8, 8], spacing: [20, 20, 20] };

export interface TrainerRun {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly progress: readonly ProgressLine[];
  readonly stderr: string;
}

/** One site's data and the folders of its tasks, driven as an agent would drive them. */
export class TaskStory {
  private constructor(readonly root: string) {}

  static async begin(): Promise<TaskStory> {
    const story = new TaskStory(await mkdtemp(path.join(tmpdir(), 'reference-trainer-')));
    await writePhantomDataset(story.dataset, { cases: 3, heldOut: 2, seed: 1, shape: [16, 16, 12] });
    return story;
  }

  end(): Promise<void> {
    return rm(this.root, { recursive: true, force: true });
  }

  get dataset(): string {
    return path.join(this.root, 'dataset');
  }

  folder(name: string): string {
    return path.join(this.root, name);
  }

  file(name: string, inner: string): string {
    return path.join(this.root, name, inner);
  }

  /** Writes `task.json` of a task of its own folder, with fields replaced or added by `task`. */
  async give(name: string, task: Readonly<Record<string, unknown>>): Promise<string> {
    await mkdir(this.folder(name), { recursive: true });
    const whole = {
      protocol: 1,
      task: name,
      run: 'run-1',
      round: 1,
      rounds: 2,
      site: 'site-a',
      seed: 7,
      deadline: '2100-01-01T00:00:00Z',
      dataset: { kind: 'decathlon', path: this.dataset },
      parameters: TINY_PARAMETERS,
      ...task,
    };
    await writeFile(this.file(name, 'task.json'), JSON.stringify(whole));
    return this.folder(name);
  }

  /** A model to start from, made by the trainer itself. */
  async initialModel(parameters: object = TINY_PARAMETERS): Promise<string> {
    const folder = await this.give('initialise', {
      kind: 'initialise',
      round: 0,
      dataset: { kind: 'none', path: '' },
      parameters,
      model: { output: 'model.safetensors' },
    });
    const run = await this.run(folder);
    if (run.code !== 0) throw new Error(run.stderr);
    return path.join(folder, 'model.safetensors');
  }

  async giveTraining(name: string, model: string, task: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const files = { input: 'global.safetensors', output: 'update.safetensors' };
    const folder = await this.give(name, { kind: 'train', task: 'train', model: files, ...task });
    await copyFile(model, path.join(folder, files.input));
    return folder;
  }

  update(name: string): Promise<Buffer> {
    return readFile(this.file(name, 'update.safetensors'));
  }

  async report(name: string): Promise<TrainerReport> {
    return trainerReportSchema.parse(JSON.parse(await readFile(this.file(name, 'report.json'), 'utf8')));
  }

  /**
   * Runs the trainer to its end.
   *
   * @param onProgress called with each line as it comes, to interfere
   */
  async run(
    folder: string,
    onProgress: (line: ProgressLine, trainer: ChildProcessByStdio<null, Readable, Readable>) => void = () => {},
  ): Promise<TrainerRun> {
    const { command, args } = ownProgram(REFERENCE_TRAINER_MODULE, folder);
    const trainer = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const progress: ProgressLine[] = [];
    let stderr = '';
    trainer.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    createInterface({ input: trainer.stdout }).on('line', (text) => {
      const line = progressLineSchema.parse(JSON.parse(text));
      progress.push(line);
      onProgress(line, trainer);
    });
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      trainer.on('error', reject).on('close', (...end) => resolve(end));
    });
    return { code, signal, progress, stderr };
  }
}
