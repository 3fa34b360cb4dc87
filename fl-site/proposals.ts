import { createHash } from 'node:crypto';
import path from 'node:path';
import { z } from 'zod';
import { writeFileDurably } from '../base/durable-file';
import { ClaraError, showValue } from '../base/errors';
import { rm } from '../base/files';
import { checkPlan, type Plan } from '../federation/plan';
import { readIfThere, writeOnce } from './answer-files';
import type { Workspace } from './workspace';

/**
 * Plans that wait for a person at the hospital, and the persons' answers, as files in the workspace: the agent writes the
 * proposal, `clara-fed site approve` and `site refuse` write the decision beside it, and either may die and start at any
 * moment. A decision names the digest of the plan that the person saw, so it counts for no other plan.
 */
export interface Proposal {
  readonly run: string;
  readonly plan: Plan;
  /** RFC 3339, on the site's clock. */
  readonly at: string;
  readonly decision?: Decision;
}

const decisionSchema = z.strictObject({
  planSha256: z.string().regex(/^[0-9a-f]{64}$/),
  approved: z.boolean(),
  reason: z.string().max(2000),
  at: z.iso.datetime(),
});
export type Decision = z.output<typeof decisionSchema>;

const proposalSchema = z.strictObject({ run: z.string(), plan: z.unknown(), at: z.iso.datetime() });

export class Proposals {
  constructor(
    private readonly workspace: Workspace,
    private readonly now: () => Date = () => new Date(),
  ) {}

  /** Lays a plan before the site's people; harmless when it lies there already. */
  async put(run: string, plan: Plan): Promise<void> {
    const known = await this.of(run);
    if (known && digestOf(known.plan) === digestOf(plan)) return;
    // Whoever has answered has answered to another plan.
    await rm(this.#decisionFile(run), { force: true });
    const proposal = { run, plan, at: this.now().toISOString() };
    await writeFileDurably(this.#proposalFile(run), `${JSON.stringify(proposal, undefined, 2)}\n`);
  }

  /** The proposal of a run with its decision, or none. */
  async of(run: string): Promise<Proposal | undefined> {
    return this.#read(this.workspace.runFolder(run));
  }

  /** Every proposal of a run that the site still keeps, the oldest first. */
  async list(): Promise<Proposal[]> {
    const found = await Promise.all((await this.workspace.runFolders()).map((folder) => this.#read(folder)));
    return found.flatMap((proposal) => proposal ?? []).sort((a, b) => a.at.localeCompare(b.at));
  }

  /**
   * A person's answer, durable when this resolves. Of two answers the first counts.
   * @throws ClaraError `not-found` without such a proposal, `precondition-failed` when it was answered before
   */
  async decide(run: string, approved: boolean, reason: string): Promise<Proposal> {
    const proposal = await this.of(run);
    if (!proposal) {
      throw new ClaraError('not-found', `no proposal of run ${showValue(run)} is here; see "clara-fed site proposals"`);
    }
    const decision = { planSha256: digestOf(proposal.plan), approved, reason, at: this.now().toISOString() };
    const file = this.#decisionFile(run);
    if (!(await writeOnce(file, JSON.stringify(decision)))) {
      const words = proposal.decision?.approved === false ? 'refused' : 'approved';
      throw new ClaraError('precondition-failed', `run ${run} was ${words} before; an answer is not changed`);
    }
    return { ...proposal, decision };
  }

  async #read(folder: string): Promise<Proposal | undefined> {
    const file = path.join(folder, 'proposal.json');
    const text = await readIfThere(file);
    if (text === undefined) return undefined;
    try {
      const { run, plan: document, at } = proposalSchema.parse(JSON.parse(text));
      const plan = checkPlan(document);
      const answer = await readIfThere(path.join(folder, 'decision.json'));
      const decision = answer === undefined ? undefined : decisionSchema.parse(JSON.parse(answer));
      return { run, plan, at, ...(decision?.planSha256 === digestOf(plan) && { decision }) };
    } catch (error) {
      throw ClaraError.from(error, `the proposal ${file} cannot be read; remove it, and it is proposed again`);
    }
  }

  #proposalFile(run: string): string {
    return path.join(this.workspace.runFolder(run), 'proposal.json');
  }

  #decisionFile(run: string): string {
    return path.join(this.workspace.runFolder(run), 'decision.json');
  }
}

function digestOf(plan: Plan): string {
  return createHash('sha256').update(JSON.stringify(plan)).digest('hex');
}
