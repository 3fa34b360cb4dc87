import path from 'node:path';
import { z } from 'zod';
import { writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { mkdir, rm } from '../../base/files';
import { foldersIn } from '../../base/folder-listing';
import { modelNameSchema, modelVersionSchema, showVersion } from '../../federation/model-name';
import { readIfThere, writeOnce } from '../answer-files';
import type { Workspace } from '../workspace';

/**
 * Models that wait for a person at the hospital, and the persons' answers: one answer a version, as for plans
 * (proposals.ts). An answer names the digest of the model that was offered, so it counts for no other bytes; it counts again
 * when the same version is promoted again, so that a rollback to an approved version waits for nobody.
 */
const requestSchema = z.strictObject({
  model: modelNameSchema,
  version: modelVersionSchema,
  description: z.string(),
  sha256: z.string(),
  at: z.iso.datetime(),
});
const decisionSchema = z.strictObject({
  sha256: z.string(),
  approved: z.boolean(),
  reason: z.string().max(2000),
  at: z.iso.datetime(),
});

export type PromotionRequest = z.output<typeof requestSchema> & {
  readonly decision?: z.output<typeof decisionSchema>;
};
export type Offered = Pick<PromotionRequest, 'model' | 'version' | 'description' | 'sha256'>;

export class PromotionRequests {
  constructor(
    private readonly workspace: Workspace,
    private readonly now: () => Date = () => new Date(),
  ) {}

  /** Where a version's files lie. */
  folderOf({ model, version }: { readonly model: string; readonly version: number }): string {
    return path.join(this.workspace.promotions, model, String(version));
  }

  /** Lays a model before the site's people; harmless when it lies there already. */
  async put({ model, version, description, sha256 }: Offered): Promise<void> {
    const folder = this.folderOf({ model, version });
    const known = await this.#read(folder);
    if (known?.sha256 === sha256) return;
    // Whoever has answered has answered to other bytes.
    await rm(path.join(folder, 'decision.json'), { force: true });
    await mkdir(folder, { recursive: true });
    const request = { model, version, description, sha256, at: this.now().toISOString() };
    await writeFileDurably(path.join(folder, 'proposal.json'), `${JSON.stringify(request, undefined, 2)}\n`);
  }

  async of(wanted: { readonly model: string; readonly version: number }): Promise<PromotionRequest | undefined> {
    return this.#read(this.folderOf(wanted));
  }

  /** The oldest first. */
  async list(): Promise<PromotionRequest[]> {
    const root = this.workspace.promotions;
    const found: PromotionRequest[] = [];
    for (const model of await foldersIn(root)) {
      for (const version of await foldersIn(path.join(root, model))) {
        const request = await this.#read(path.join(root, model, version));
        if (request) found.push(request);
      }
    }
    return found.sort((a, b) => a.at.localeCompare(b.at));
  }

  /**
   * A person's answer, durable when this resolves. Of two answers the first counts.
   * @throws ClaraError `not-found` without such a request, `precondition-failed` when it was answered before
   */
  async decide(
    wanted: { readonly model: string; readonly version: number },
    approved: boolean,
    reason: string,
  ): Promise<void> {
    const request = await this.of(wanted);
    if (!request) {
      throw new ClaraError('not-found', `${showVersion(wanted)} was not promoted here; see "clara-fed site proposals"`);
    }
    const decision = { sha256: request.sha256, approved, reason, at: this.now().toISOString() };
    const file = path.join(this.folderOf(wanted), 'decision.json');
    if (await writeOnce(file, JSON.stringify(decision))) return;
    const words = request.decision?.approved === false ? 'refused' : 'approved';
    throw new ClaraError('precondition-failed', `${showVersion(wanted)} was ${words} before; an answer is not changed`);
  }

  async #read(folder: string): Promise<PromotionRequest | undefined> {
    const file = path.join(folder, 'proposal.json');
    const text = await readIfThere(file);
    if (text === undefined) return undefined;
    try {
      const request = requestSchema.parse(JSON.parse(text));
      const answer = await readIfThere(path.join(folder, 'decision.json'));
      const decision = answer === undefined ? undefined : decisionSchema.parse(JSON.parse(answer));
      return { ...request, ...(decision?.sha256 === request.sha256 && { decision }) };
    } catch (error) {
      throw ClaraError.from(error, `${file} cannot be read; remove it, and promote the model again`);
    }
  }
}
