import path from 'node:path';
import { inFolder } from '../base/durable-file';
import { link, stat, utimes } from '../base/files';
import { namesIn } from '../base/folder-listing';
import { removeFile } from '../base/removal';
import { hasSystemCode } from '../base/system-codes';
import type { ModelReference } from '../federation/gen/federation/v1/federation_pb';
import { digestOfFile } from '../federation/tensors/file';
import type { CoordinatorClient } from './coordinator-client';
import { type DecodeModelRequest, decodeModel } from './encoded-model';
import { downloadModel } from './model-download';
import type { AttemptOptions } from './transfer-attempts';
import type { Workspace } from './workspace';

/**
 * Models of a run by digest. Task folders get a hard link, not a copy; a trainer could write through it, so a complete model
 * carries this time of modification: one with another has been written to and counts as absent.
 */
const SEALED = new Date('2000-01-01T00:00:00Z');

export interface FetchOptions extends AttemptOptions {
  readonly client: Pick<CoordinatorClient, 'download'>;
  readonly onBytes: (done: number) => void;
  /** How models that name what they decode to are read. */
  readonly down: Pick<DecodeModelRequest, 'encoding' | 'isKept'>;
}

export class ModelCache {
  /** Files whose bytes this process has seen to be right. What an earlier one left may have lost some in a power cut. */
  readonly #verified = new Set<string>();

  constructor(private readonly workspace: Workspace) {}

  /** True when the model is here, complete and untouched. */
  async has(run: string, model: ModelReference): Promise<boolean> {
    return (await this.#find(run, model)) === 'whole';
  }

  async #find(run: string, model: ModelReference): Promise<'whole' | 'damaged' | 'absent'> {
    const digest = digestOf(model);
    const file = this.#file(run, digest);
    const found = await stat(file).catch(() => undefined);
    if (!found) return 'absent';
    if (found.size !== Number((model.decoded ?? model).size) || found.mtimeMs !== SEALED.getTime()) return 'damaged';
    if (!this.#verified.has(file) && (await digestOfFile(file)) === `sha256:${digest}`) this.#verified.add(file);
    return this.#verified.has(file) ? 'whole' : 'damaged';
  }

  /** Puts the model at `target`, downloading it unless this run has it already. */
  async provide(run: string, model: ModelReference, target: string, options: FetchOptions): Promise<void> {
    const cached = this.#file(run, digestOf(model));
    const found = await this.#find(run, model);
    if (found === 'damaged') await removeFile(cached);
    if (found !== 'whole') {
      await this.#fetch(model, cached, options);
      await this.#seal(cached);
    }
    const place = () => inFolder(path.dirname(target), () => link(cached, target));
    try {
      await place();
    } catch (error) {
      if (!hasSystemCode(error, 'EEXIST')) throw error;
      await removeFile(target);
      await place();
    }
  }

  async #fetch(model: ModelReference, target: string, options: FetchOptions): Promise<void> {
    const { object, size, sha256, decoded } = model;
    const blob = { size: Number(size), sha256 };
    if (!decoded) return downloadModel({ ...options, object, blob, target });
    // Its name begins with the digest of the model, so it is forgotten with it.
    const encoded = `${target}.encoded`;
    await downloadModel({ ...options, object, blob, target: encoded });
    const expected = { size: Number(decoded.size), sha256: decoded.sha256 };
    try {
      await decodeModel({ ...options.down, encoded, target, expected, signal: options.signal });
    } finally {
      await removeFile(encoded);
    }
  }

  /** Takes a file that lies in the workspace as a model of the run: what a site sent is often what it is asked about next. */
  async adopt(run: string, digest: string, file: string): Promise<void> {
    const cached = this.#file(run, digest);
    try {
      await inFolder(path.dirname(cached), () => link(file, cached));
    } catch (error) {
      // Not here, or taken before.
      if (hasSystemCode(error, 'ENOENT', 'EEXIST')) return;
      throw error;
    }
    await this.#seal(cached);
  }

  /** Removes every model of the run but those of the given digests. */
  async keepOnly(run: string, digests: ReadonlySet<string>): Promise<void> {
    const folder = this.workspace.modelsFolder(run);
    for (const name of await namesIn(folder)) {
      if (digests.has(name.split('.', 1)[0])) continue;
      await removeFile(path.join(folder, name));
      this.#verified.delete(path.join(folder, name));
    }
  }

  async #seal(file: string): Promise<void> {
    await utimes(file, SEALED, SEALED);
    this.#verified.add(file);
  }

  #file(run: string, digest: string): string {
    return path.join(this.workspace.modelsFolder(run), `${digest}.safetensors`);
  }
}

/** Hexadecimal SHA-256 of the model itself, however it travels. */
export function digestOf({ sha256, decoded }: Pick<ModelReference, 'sha256' | 'decoded'>): string {
  return Buffer.from((decoded ?? { sha256 }).sha256).toString('hex');
}
