import { writeFileDurably } from '../base/durable-file';
import { ClaraError } from '../base/errors';
import { readFile, stat } from '../base/files';
import { hasSystemCode } from '../base/system-codes';
import { checkPlan, type Plan } from '../federation/plan';
import type { Workspace } from './workspace';

/**
 * Which plans this site's policy approved, on disk before the coordinator hears of it. A task of any other run is refused:
 * the coordinator cannot go around the policy.
 */
export class Approvals {
  /** What was read last, and of which file: every task of a run asks. */
  #newest: { readonly mark: string; readonly plan: Plan } | undefined;

  constructor(private readonly workspace: Workspace) {}

  async record(run: string, plan: Plan): Promise<void> {
    await writeFileDurably(this.workspace.approvalFile(run), `${JSON.stringify({ run, plan }, undefined, 2)}\n`);
  }

  /** The approved plan of a run, or none. */
  async planOf(run: string): Promise<Plan | undefined> {
    try {
      const file = this.workspace.approvalFile(run);
      // Each record is a file of its own, moved into place.
      const { ino, mtimeNs, size } = await stat(file, { bigint: true });
      const mark = `${file} ${ino} ${mtimeNs} ${size}`;
      if (this.#newest?.mark !== mark) {
        const { plan } = JSON.parse(await readFile(file, 'utf8')) as { plan: unknown };
        this.#newest = { mark, plan: checkPlan(plan) };
      }
      return this.#newest.plan;
    } catch (error) {
      if (hasSystemCode(error, 'ENOENT')) return undefined;
      throw ClaraError.from(error, `cannot read the approval of run ${run}`);
    }
  }
}
