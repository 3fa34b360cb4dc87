import { createHash } from 'node:crypto';
import path from 'node:path';
import { syncFolder } from '../base/durable-file';
import { ClaraError } from '../base/errors';
import { exists } from '../base/exists';
import { mkdir, readdir, rename, rm, stat, statfs } from '../base/files';
import { removeFolder } from '../base/removal';
import { hasSystemCode } from '../base/system-codes';
import { STATE_FOLDER } from '../federation/trainer-contract';

/**
 * Where things lie in a site's workspace:
 *
 *     runs/<run>/approval.json             the plan that this site's policy approved
 *     runs/<run>/proposal.json             a plan that a person has to answer
 *     runs/<run>/decision.json             that person's answer
 *     runs/<run>/journal/<task>.json       what is known of each task
 *     runs/<run>/models/<sha256>.safetensors   downloaded models, by digest
 *     runs/<run>/state/<track>/            the trainer's private state while no task has it
 *     runs/<run>/local/<track>.safetensors statistics with which this site goes on, and which never leave it
 *     runs/<run>/residual.safetensors      what top-k has not sent yet of federated updates
 *     runs/<run>/<task>/                   the folder that the trainer gets
 *     trainers/clara-mmar-<hash>/          the program that containers of Clara Train run
 *     promotions/<model>/<version>/        what was promoted: proposal.json, decision.json, the model on its way
 *
 * Runs and tasks are named by a coordinator, so names become folder names by {@link folderName} only.
 */

const RESERVED = new Set([
  'approval.json',
  'proposal.json',
  'decision.json',
  'journal',
  'models',
  'state',
  'local',
  'residual.safetensors',
]);
const HASH_CHARACTERS = 12;

/** A name that is safe and unique as a folder: itself when it is plain, otherwise its end made plain with its hash behind it. */
export function folderName(name: string): string {
  if (/^[a-z0-9][a-z0-9-]{0,80}$/.test(name) && !RESERVED.has(name)) return name;
  const plain = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(-60)
    .replace(/^-+/, '');
  // The underscore keeps it apart from every plain name.
  return `${plain || 'x'}_${createHash('sha256').update(name).digest('hex').slice(0, HASH_CHARACTERS)}`;
}

export class Workspace {
  constructor(readonly root: string) {}

  get runs(): string {
    return path.join(this.root, 'runs');
  }

  runFolder(run: string): string {
    return path.join(this.runs, folderName(run));
  }

  get promotions(): string {
    return path.join(this.root, 'promotions');
  }

  taskFolder(run: string, task: string): string {
    return path.join(this.runFolder(run), folderName(task));
  }

  approvalFile(run: string): string {
    return path.join(this.runFolder(run), 'approval.json');
  }

  journalFolder(run: string): string {
    return path.join(this.runFolder(run), 'journal');
  }

  modelsFolder(run: string): string {
    return path.join(this.runFolder(run), 'models');
  }

  stateHome(run: string, track: string): string {
    return path.join(this.runFolder(run), 'state', folderName(track));
  }

  /**
   * Gives the private state of a track to a task: it is moved into the task's folder, so that a trainer in a container sees
   * it too. State that is already there belongs to the same task, interrupted.
   * @param isFresh nothing is in the folder yet
   */
  async takeState(run: string, track: string, taskFolder: string, isFresh = false): Promise<void> {
    const inTask = path.join(taskFolder, STATE_FOLDER);
    if (!isFresh && (await exists(inTask))) return;
    if (!(await moved(this.stateHome(run, track), inTask))) await mkdir(inTask);
  }

  /** Moves the state back where the next task of the track finds it. Doing it twice is harmless. */
  async returnState(run: string, track: string, taskFolder: string): Promise<void> {
    const inTask = path.join(taskFolder, STATE_FOLDER);
    const home = this.stateHome(run, track);
    if (await moved(inTask, home)) return;
    if (!(await exists(inTask))) return;
    await mkdir(path.dirname(home), { recursive: true });
    await rm(home, { recursive: true, force: true });
    await rename(inTask, home);
  }

  residualFile(run: string): string {
    return path.join(this.runFolder(run), 'residual.safetensors');
  }

  /** Makes what a task left to later rounds the residual of the run. Doing it twice is harmless. */
  async keepResidual(run: string, file: string): Promise<void> {
    await takeOver(file, this.residualFile(run));
  }

  localTensors(run: string, track: string): string {
    return path.join(this.runFolder(run), 'local', `${folderName(track)}.safetensors`);
  }

  /** Makes what a task made of this site's own tensors those that the track goes on with. Doing it twice is harmless. */
  async keepLocalTensors(run: string, track: string, file: string): Promise<void> {
    await takeOver(file, this.localTensors(run, track));
  }

  /** @throws ClaraError `out-of-space` when so many bytes are not free */
  async requireSpace(bytes: number, what: string): Promise<void> {
    const free = await this.freeBytes();
    if (bytes <= free) return;
    throw new ClaraError(
      'out-of-space',
      `${what} needs ${bytes} bytes in ${this.root}, where ${free} are free; make room or give the workspace a larger disk`,
    );
  }

  /** Bytes that this user may still write. */
  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.root);
    return bavail * bsize;
  }

  async removeFolder(folder: string): Promise<void> {
    await removeFolder(folder);
  }

  async forgetRun(run: string): Promise<void> {
    await this.removeFolder(this.runFolder(run));
  }

  /** Forgets runs in which no task has begun or ended since then. */
  async forgetRunsBefore(time: Date): Promise<void> {
    for (const folder of await this.runFolders()) {
      const journal = await stat(path.join(folder, 'journal')).catch(() => undefined);
      const { mtimeMs } = journal ?? (await stat(folder));
      if (mtimeMs < time.getTime()) await this.removeFolder(folder);
    }
  }

  /** Folders of all runs that left something here. */
  async runFolders(): Promise<string[]> {
    await mkdir(this.runs, { recursive: true });
    const entries = await readdir(this.runs, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => path.join(this.runs, entry.name));
  }
}

/** @returns false when there is nothing to move, no folder to move it to, or something in its place */
async function moved(folder: string, target: string): Promise<boolean> {
  try {
    await rename(folder, target);
    return true;
  } catch (error) {
    if (hasSystemCode(error, 'ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST')) return false;
    throw error;
  }
}

/** Moves a durable file over an older one, if it has not been moved already. */
async function takeOver(file: string, target: string): Promise<void> {
  if (!(await exists(file))) return;
  const made = await mkdir(path.dirname(target), { recursive: true });
  if (made) await syncFolder(path.dirname(made));
  await rename(file, target);
  await syncFolder(path.dirname(target));
}
