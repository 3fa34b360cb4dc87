import { mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { removePartials, writeFileDurably } from '../../base/durable-file';
import { ClaraError, hasCode } from '../../base/errors';
import { lockWorkspace } from '../../fl-site/workspace-lock';

/** The folder of a simulation: what it leaves for people, and the federation while it runs. */
export class SimulationWorkspace {
  private constructor(
    readonly root: string,
    private readonly unlock: () => Promise<void>,
  ) {}

  /**
   * Takes the folder, and removes what an earlier simulation left there, one that was killed too.
   * @throws ClaraError `already-exists` when something else lies there, `precondition-failed` while another simulation runs
   */
  static async open(folder: string): Promise<SimulationWorkspace> {
    const root = path.resolve(folder);
    await mkdir(root, { recursive: true });
    const found = (await readdir(root)).filter((name) => !OF_A_FIRST_START.test(name));
    if (found.length > 0 && !found.includes(MARK)) {
      const message = `${root} holds something else than a simulation (${found[0]}); choose another --workspace`;
      throw new ClaraError('already-exists', message);
    }
    const unlock = await lockWorkspace(root).catch((error: unknown) => {
      if (!hasCode(error, 'precondition-failed')) throw error;
      const message = `a simulation is running in ${root}; end it, or choose another --workspace`;
      throw new ClaraError('precondition-failed', message, { cause: error });
    });
    const workspace = new SimulationWorkspace(root, unlock);
    await writeFileDurably(path.join(root, MARK), '{}\n');
    await removePartials(root);
    for (const left of [workspace.federation, workspace.history, workspace.model, workspace.report]) {
      await rm(left, { recursive: true, force: true });
    }
    return workspace;
  }

  /** Of coordinator and sites; goes at the end, unless it is kept. */
  get federation(): string {
    return path.join(this.root, 'federation');
  }

  get history(): string {
    return path.join(this.root, 'history.json');
  }

  get model(): string {
    return path.join(this.root, 'model.safetensors');
  }

  get report(): string {
    return path.join(this.root, 'report.html');
  }

  async close({ keep }: { readonly keep: boolean }): Promise<void> {
    if (!keep) await rm(this.federation, { recursive: true, force: true, maxRetries: 3 });
    await this.unlock();
  }
}

/** Says that the folder is a simulation's, so that nothing of anybody else is removed. */
const MARK = 'simulation.json';

/** What a simulation that was killed at its first start may have left before the mark was there. */
const OF_A_FIRST_START = /^(\.?agent\.lock|\.simulation\.json\.partial-)/;
