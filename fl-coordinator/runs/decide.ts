import { MAX_REASON, type NewEvent } from './events';
import { isDelivered, type OpenStage, type PublishedModel, type RunState, type SiteResult } from './run-state';
import { firstStage, followingStage, type NextStep } from './sequence';
import { type Stage, sameStage } from './stage';

/**
 * The rules of a run, as pure functions: which event a command becomes, and which event follows by itself. Every command
 * becomes at most one event, so that a crash between two events can never leave half a command behind.
 */

export type Command =
  | { readonly kind: 'approve'; readonly site: string }
  | { readonly kind: 'refuse'; readonly site: string; readonly reason: string }
  | {
      readonly kind: 'accept-update';
      readonly stage: Stage;
      readonly site: string;
      readonly result: Extract<SiteResult, { kind: 'update' }> & {
        readonly warnings: readonly string[];
      };
    }
  | {
      readonly kind: 'report-evaluation';
      readonly stage: Stage;
      readonly site: string;
      readonly result: Extract<SiteResult, { kind: 'evaluation' }>;
    }
  | {
      readonly kind: 'report-statistics';
      readonly stage: Stage;
      readonly site: string;
      readonly result: Extract<SiteResult, { kind: 'statistics' }>;
    }
  | { readonly kind: 'reject-update'; readonly stage: Stage; readonly site: string; readonly reason: string }
  | { readonly kind: 'lose-site'; readonly stage: Stage; readonly site: string; readonly reason: string }
  | {
      readonly kind: 'publish-model';
      readonly round: number;
      readonly digest: string;
      readonly bytes: number;
      readonly controls?: { readonly digest: string; readonly bytes: number };
      readonly wire?: PublishedModel['wire'];
      readonly seconds?: number;
      readonly peakRssBytes?: number;
    }
  | { readonly kind: 'abort'; readonly operator: string; readonly reason: string }
  | { readonly kind: 'fail'; readonly reason: string };

/** The event that a command becomes, or none when it comes too late to matter (a late update is dropped, not an error). */
export function decide(state: RunState, command: Command): NewEvent | undefined {
  return state.outcome ? undefined : withShortReason(eventOf(state, command));
}

function eventOf(state: RunState, command: Command): NewEvent | undefined {
  switch (command.kind) {
    case 'approve':
    case 'refuse': {
      const { site } = command;
      if (!state.candidates.includes(site) || state.answers.has(site)) return undefined;
      return command.kind === 'approve'
        ? { type: 'site-approved', site }
        : { type: 'site-refused', site, reason: command.reason };
    }
    case 'publish-model': {
      const { kind: _, ...model } = command;
      return model.round === state.models.length ? { type: 'model-published', ...model } : undefined;
    }
    case 'abort':
      return { type: 'run-aborted', operator: command.operator, reason: command.reason };
    case 'fail':
      return { type: 'run-failed', reason: command.reason };
    default:
      return awaits(state, command.stage, command.site) ? settle(state, command) : undefined;
  }
}

/** True while the stage is open and the site has not delivered, failed or been refused in it. */
export function awaits(state: RunState, stage: Stage, site: string): boolean {
  const { open } = state;
  return !!open && sameStage(open.stage, stage) && open.cohort.includes(site) && !open.results.has(site);
}

type SettlingCommand = Extract<Command, { stage: Stage }>;

function settle({ plan }: RunState, command: SettlingCommand): NewEvent {
  const { stage, site } = command;
  switch (command.kind) {
    case 'accept-update': {
      const { digest, bytes, sent, samples, steps, metrics, warnings, seconds, peakRssBytes } = command.result;
      if (stage.kind === 'train' && samples === 0) {
        const reason = 'the update was trained on 0 samples, so its weight would be 0; check the dataset of the site';
        return { type: 'update-rejected', stage, site, reason };
      }
      if (stage.kind === 'train' && steps === 0 && plan.strategy.combiner.kind === 'normalised-mean') {
        const reason =
          'the report counts 0 steps, by which the update would be divided; let the trainer report its steps';
        return { type: 'update-rejected', stage, site, reason };
      }
      const facts = { digest, bytes, ...(sent && { sent }), samples, steps, metrics, seconds, peakRssBytes };
      return { type: 'update-accepted', stage, site, ...facts, warnings: [...warnings] };
    }
    case 'report-evaluation': {
      const { samples, evaluations, peakRssBytes } = command.result;
      return { type: 'evaluation-reported', stage, site, samples, evaluations: [...evaluations], peakRssBytes };
    }
    case 'report-statistics': {
      const { statistics, peakRssBytes } = command.result;
      return { type: 'statistics-reported', stage, site, statistics, peakRssBytes };
    }
    case 'reject-update':
      return { type: 'update-rejected', stage, site, reason: command.reason };
    case 'lose-site':
      return { type: 'site-lost', stage, site, reason: command.reason };
  }
}

/** What the coordinator knows beside the journal when it lets a run go on. */
export interface Circumstances {
  readonly now: Date;
  /** Model bytes moved in the open stage so far. */
  readonly bytesToSites: number;
  readonly bytesFromSites: number;
  /** Seconds of the open stage in which at least one model moved. */
  readonly transferSeconds?: number;
  /** Of this process, so far. */
  readonly peakRssBytes?: number;
}

/**
 * The next event that follows from the state alone, or none while the run waits for somebody. Called again and again until
 * it answers none; after a restart the same calls go on from wherever the journal ends.
 */
export function advance(state: RunState, circumstances: Circumstances): NewEvent | undefined {
  return state.outcome ? undefined : withShortReason(following(state, circumstances));
}

function following(state: RunState, circumstances: Circumstances): NewEvent | undefined {
  if (state.open) return advanceStage(state, state.open, circumstances);
  const step = state.closed.length === 0 ? firstStep(state, circumstances.now) : followingStage(state);
  return step && toEvent(state, step, circumstances.now);
}

function toEvent(state: RunState, step: NextStep, now: Date): NewEvent {
  switch (step.kind) {
    case 'open': {
      const deadline = new Date(now.getTime() + state.plan.deadline).toISOString();
      return { type: 'stage-opened', stage: step.stage, cohort: [...step.cohort], deadline };
    }
    case 'complete':
      return { type: 'run-completed', digest: step.digest };
    case 'fail':
      return { type: 'run-failed', reason: step.reason };
  }
}

/** Reasons are made of what sites say, of several sites at the end of a run: no event may be refused for their length. */
function withShortReason(event: NewEvent | undefined): NewEvent | undefined {
  if (!event || !('reason' in event) || event.reason.length <= MAX_REASON) return event;
  return { ...event, reason: `${event.reason.slice(0, MAX_REASON - 3)}...` };
}

/** Waits until every candidate has answered, or the deadline has passed with enough of them. */
function firstStep(state: RunState, now: Date): NextStep | undefined {
  const approved = state.candidates.filter((site) => state.answers.get(site)?.kind === 'approved');
  const refused = state.candidates.filter((site) => state.answers.get(site)?.kind === 'refused');
  const needed = quorumOf(state, state.candidates.length);
  if (state.candidates.length - refused.length < needed) {
    const reasons = refused
      .map((site) => `${site}: ${(state.answers.get(site) as { reason: string }).reason}`)
      .join('; ');
    return {
      kind: 'fail',
      reason: `${refused.length} of ${state.candidates.length} sites refused the plan (${reasons}), and the quorum is ${needed}`,
    };
  }
  const everyoneAnswered = approved.length + refused.length === state.candidates.length;
  const deadlinePassed = now.getTime() >= approvalDeadline(state);
  if (!everyoneAnswered && !deadlinePassed) return undefined;
  if (approved.length < needed) {
    const silent = state.candidates.filter((site) => !state.answers.has(site));
    return {
      kind: 'fail',
      reason: `only ${approved.length} of ${needed} needed sites approved the plan before the deadline; not heard of: ${silent.join(', ')}`,
    };
  }
  return firstStage(state, approved);
}

/** Milliseconds since 1970 at which the wait for approvals ends. */
export function approvalDeadline(state: RunState): number {
  return Date.parse(state.submittedAt) + state.plan.deadline;
}

/** How many of `present` sites a stage needs. */
export function quorumOf(state: RunState, present: number): number {
  return state.plan.quorum === 'all' ? present : state.plan.quorum;
}

function advanceStage(state: RunState, open: OpenStage, circumstances: Circumstances): NewEvent | undefined {
  const { stage } = open;
  const contributors = open.cohort.filter((site) => isDelivered(open.results.get(site)));
  const pending = open.cohort.filter((site) => !open.results.has(site));
  const needed = neededIn(state, open);
  if (contributors.length + pending.length < needed) return { type: 'run-failed', reason: shortOf(open, needed) };
  if (pending.length > 0) {
    if (circumstances.now.getTime() < Date.parse(open.deadline)) return undefined;
    const reason = `nothing came before the deadline of ${open.deadline}`;
    return { type: 'site-lost', stage, site: pending[0]!, reason };
  }
  const { now: _, ...figures } = circumstances;
  return { type: 'stage-closed', stage, contributors, ...figures };
}

/** Federated rounds need the quorum; an initial model may come from the next site; an evaluation may have gaps. */
function neededIn(state: RunState, open: OpenStage): number {
  return open.stage.kind === 'train' || open.stage.kind === 'statistics' ? quorumOf(state, state.candidates.length) : 0;
}

function shortOf(open: OpenStage, needed: number): string {
  const lost = open.cohort.flatMap((site) => {
    const result = open.results.get(site);
    return result && (result.kind === 'lost' || result.kind === 'rejected') ? [`${site}: ${result.reason}`] : [];
  });
  return `round ${open.stage.round} cannot reach its quorum of ${needed} any more (${lost.join('; ')})`;
}
