import { create } from '@bufbuild/protobuf';
import { ClaraError } from '../base/errors';
import {
  ProposalAnswerSchema,
  ProposalPendingSchema,
  type SiteMessage,
} from '../federation/gen/federation/v1/federation_pb';
import type { Approvals } from './approvals';
import type { Pacing } from './backoff';
import type { SiteConfiguration } from './configuration';
import { answerProposal, type PolicyAnswer } from './policy';
import type { Proposals } from './proposals';
import type { SiteEvent } from './site-events';

export interface ProposalDeskOptions {
  readonly site: SiteConfiguration;
  readonly approvals: Approvals;
  readonly proposals: Proposals;
  readonly pacing: Pacing;
  readonly now: () => number;
  /** Lost without a connection: the coordinator proposes again what it has no answer to. */
  readonly send: (message: SiteMessage['message']) => void;
  readonly tell: (event: SiteEvent) => void;
  readonly onProblem: (error: ClaraError) => void;
}

/** How often the workspace is looked at for a person's answer, while one is waited for. */
const LOOK_MILLIS = 1000;

/** Answers proposals: by the site's rules alone, or by a person too when `policy.approve` says so. */
export class ProposalDesk {
  readonly #waiting = new Set<string>();

  constructor(private readonly options: ProposalDeskOptions) {}

  async propose(run: string, planJson: string): Promise<void> {
    const { site, proposals, send, tell } = this.options;
    const answer = answerProposal(planJson, site, this.options.now());
    if (!answer.approved || site.policy.approve !== 'person') return this.#answer(run, answer);
    await proposals.put(run, answer.plan);
    this.#waiting.add(run);
    if (await this.#look(run)) return;
    send({ case: 'proposalPending', value: create(ProposalPendingSchema, { run }) });
    tell({ kind: 'proposal-waits', run });
  }

  /** The run is over: nobody has to answer any more. */
  forget(run: string): void {
    this.#waiting.delete(run);
  }

  /** Looks for answers until the signal aborts. */
  async watch(signal: AbortSignal): Promise<void> {
    const { pacing, onProblem } = this.options;
    while (!signal.aborted) {
      await pacing.wait(LOOK_MILLIS, signal).catch(() => undefined);
      for (const run of signal.aborted ? [] : [...this.#waiting]) {
        await this.#look(run).catch((error: unknown) => onProblem(ClaraError.from(error)));
      }
    }
  }

  /** @returns true when a person has answered, and the coordinator has been told */
  async #look(run: string): Promise<boolean> {
    const { site, proposals } = this.options;
    const proposal = await proposals.of(run);
    if (!proposal?.decision || !this.#waiting.delete(run)) return false;
    const { approved, reason } = proposal.decision;
    const refusal = { approved, reason: reason || `${site.id} refused the plan` } as PolicyAnswer;
    // The limits may have changed since the plan was laid before the person.
    await this.#answer(
      run,
      approved ? answerProposal(JSON.stringify(proposal.plan), site, this.options.now()) : refusal,
    );
    return true;
  }

  async #answer(run: string, answer: PolicyAnswer): Promise<void> {
    const { approvals, send, tell } = this.options;
    if (answer.approved) await approvals.record(run, answer.plan);
    const { approved } = answer;
    const reason = answer.approved ? '' : answer.reason;
    send({ case: 'proposalAnswer', value: create(ProposalAnswerSchema, { run, approved, reason }) });
    tell({ kind: 'proposal-answered', run, approved, reason: answer.approved ? answer.warning : reason });
  }
}
