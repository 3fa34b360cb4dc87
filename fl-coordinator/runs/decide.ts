import { sampleOf } from '../../federation/cohort';
import { advanceStage, type Circumstances } from './closing';
import { bestRound } from './ending';
import { MAX_REASON, type NewEvent } from './events';
import { awaits } from './going';
import type { PublishedModel, RunState, SiteResult } from './run-state';
import { firstStage, followingStage, type NextStep } from './sequence';
import type { Stage } from './stage';

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
  | { readonly kind: 'pause'; readonly operator: string; readonly reason: string; readonly until: string }
  | { readonly kind: 'resume'; readonly operator: string }
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
    case 'pause': {
      const { operator, reason, until } = command;
      return state.paused ? undefined : { type: 'run-paused', operator, reason, until };
    }
    case 'resume':
      return state.paused ? { type: 'run-resumed', operator: command.operator } : undefined;
    case 'abort':
      return { type: 'run-aborted', operator: command.operator, reason: command.reason };
    case 'fail':
      return { type: 'run-failed', reason: command.reason };
    default:
      return awaits(state, command.stage, command.site) ? settle(state, command) : undefined;
  }
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

/**
 * The next event that follows from the state alone, or none while the run waits for somebody. Called again and again until
 * it answers none; after a restart the same calls go on from wherever the journal ends.
 */
export function advance(state: RunState, circumstances: Circumstances): NewEvent | undefined {
  return state.outcome ? undefined : withShortReason(following(state, circumstances));
}

function following(state: RunState, circumstances: Circumstances): NewEvent | undefined {
  if (state.paused && circumstances.now.getTime() >= Date.parse(state.paused.until)) {
    const { operator, until } = state.paused;
    return { type: 'run-failed', reason: `${operator} paused the run until ${until}, and nobody has resumed it` };
  }
  if (state.open) return advanceStage(state, state.open, circumstances);
  const step = state.closed.length === 0 ? firstStep(state, circumstances.now) : followingStage(state);
  // A paused run opens no stage; whatever else follows may happen.
  return step && !(state.paused && step.kind === 'open') ? toEvent(state, step, circumstances.now) : undefined;
}

function toEvent(state: RunState, step: NextStep, now: Date): NewEvent {
  switch (step.kind) {
    case 'open': {
      const deadline = new Date(now.getTime() + state.plan.deadline).toISOString();
      const { stage, seed, order } = step;
      const drawn = { ...(seed !== undefined && { seed }), ...(order && { order: [...order] }) };
      return { type: 'stage-opened', stage, cohort: [...step.cohort], deadline, ...drawn };
    }
    case 'complete': {
      const { digest, reason } = step;
      const best = bestRound(state);
      return { type: 'run-completed', digest, ...(reason && { reason }), ...(best && { best }) };
    }
    case 'fail':
      return { type: 'run-failed', reason: step.reason };
  }
}

/** Reasons are made of what sites say, of several sites at the end of a run: no event may be refused for their length. */
function withShortReason(event: NewEvent | undefined): NewEvent | undefined {
  if (!event || !('reason' in event) || (event.reason?.length ?? 0) <= MAX_REASON) return event;
  return { ...event, reason: `${event.reason!.slice(0, MAX_REASON - 3)}...` };
}

/** Waits until every candidate has answered, or the deadline has passed with enough of them. */
function firstStep(state: RunState, now: Date): NextStep | undefined {
  const approved = state.candidates.filter((site) => state.answers.get(site)?.kind === 'approved');
  const refused = state.candidates.filter((site) => state.answers.get(site)?.kind === 'refused');
  const needed = sitesNeeded(state);
  if (state.candidates.length - refused.length < needed) {
    const reasons = refused
      .map((site) => `${site}: ${(state.answers.get(site) as { reason: string }).reason}`)
      .join('; ');
    return {
      kind: 'fail',
      reason: `${refused.length} of ${state.candidates.length} sites refused the plan (${reasons}), and the quorum is ${needed}`,
    };
  }
  const missing = (state.plan.mandatory ?? []).find((site) => !approved.includes(site) && state.answers.has(site));
  if (missing !== undefined) {
    const { reason } = state.answers.get(missing) as { reason: string };
    return { kind: 'fail', reason: `${missing}, which is mandatory, refused the plan (${reason})` };
  }
  const everyoneAnswered = approved.length + refused.length === state.candidates.length;
  const deadlinePassed = !state.paused && now.getTime() >= approvalDeadline(state);
  if (!everyoneAnswered && !deadlinePassed) return undefined;
  if (approved.length < needed) {
    const silent = state.candidates.filter((site) => !state.answers.has(site));
    return {
      kind: 'fail',
      reason: `only ${approved.length} of ${needed} needed sites approved the plan before the deadline; not heard of: ${silent.join(', ')}`,
    };
  }
  const silent = (state.plan.mandatory ?? []).filter((site) => !approved.includes(site));
  if (silent.length > 0) {
    const reason = `not heard of before the deadline, and mandatory: ${silent.join(', ')}`;
    return { kind: 'fail', reason };
  }
  return firstStage(state, approved);
}

/** How many sites must approve the plan: as many as a round needs. */
function sitesNeeded({ plan, candidates }: RunState): number {
  if (plan.mode === 'asynchronous') return plan.quorum === 'all' ? candidates.length : 1;
  const sample = sampleOf(plan.cohort) ?? candidates.length;
  return plan.quorum === 'all' ? Math.min(sample, candidates.length) : plan.quorum;
}

/** Milliseconds since 1970 at which the wait for approvals ends. */
function approvalDeadline(state: RunState): number {
  return Date.parse(state.submittedAt) + state.plan.deadline + state.pausedMillis;
}

/** Milliseconds since 1970 at which something may follow though nobody does anything; undefined when nothing would. */
export function nextDeadline(state: RunState): number | undefined {
  if (state.paused) return Date.parse(state.paused.until);
  if (state.open) return Date.parse(state.open.deadline);
  return state.closed.length === 0 ? approvalDeadline(state) : undefined;
}
