import { link, mkdir, readdir, rm, stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import type { ModelReference } from '../federation/gen/federation/v1/federation_pb';
import type { CoordinatorClient } from './coordinator-client';
import { downloadModel } from './model-download';
import type { AttemptOptions } from './transfer-attempts';
import { exists, type Workspace } from './workspace';

/**
 * Models of a run by digest. Task folders get a hard link, not a copy; a trainer could write through it, so a complete model
 * carries this time of modification: one with another has been written to and counts as absent.
 */
const SEALED = new Date('2000-01-01T00:00:00Z');

export interface FetchOptions extends AttemptOptions {
  readonly client: Pick<CoordinatorClient, 'download'>;
  readonly onBytes: (done: number) => void;
}

export class ModelCache {
  constructor(private readonly workspace: Workspace) {}

  /** True when the model is here, complete and untouched. */
  async has(run: string, model: ModelReference): Promise<boolean> {
    try {
      const { size, mtimeMs } = await stat(this.#file(run, digestOf(model)));
      return size === Number(model.size) && mtimeMs === SEALED.getTime();
    } catch {
      return false;
    }
  }

  /** Puts the model at `target`, downloading it unless this run has it already. */
  async provide(run: string, model: ModelReference, target: string, options: FetchOptions): Promise<void> {
    const cached = this.#file(run, digestOf(model));
    if (!(await this.has(run, model))) {
      await rm(cached, { force: true });
      const blob = { size: Number(model.size), sha256: model.sha256 };
      await downloadModel({ ...options, object: model.object, blob, target: cached });
      await utimes(cached, SEALED, SEALED);
    }
    await mkdir(path.dirname(target), { recursive: true });
    await rm(target, { force: true });
    await link(cached, target);
  }

  /** Takes a file that lies in the workspace as a model of the run: what a site sent is often what it is asked about next. */
  async adopt(run: string, digest: string, file: string): Promise<void> {
    const cached = this.#file(run, digest);
    if (!(await exists(file)) || (await exists(cached))) return;
    await mkdir(path.dirname(cached), { recursive: true });
    await link(file, cached);
    await utimes(cached, SEALED, SEALED);
  }

  /** Removes every model of the run but those of the given digests. */
  async keepOnly(run: string, digests: ReadonlySet<string>): Promise<void> {
    const folder = this.workspace.modelsFolder(run);
    for (const name of (await exists(folder)) ? await readdir(folder) : []) {
      if (!digests.has(name.split('.', 1)[0])) await rm(path.join(folder, name), { force: true });
    }
  }

  #file(run: string, digest: string): string {
    return path.join(this.workspace.modelsFolder(run), `${digest}.safetensors`);
  }
}

/** Hexadecimal SHA-256. */
export function digestOf(model: Pick<ModelReference, 'sha256'>): string {
  return Buffer.from(model.sha256).toString('hex');
}
