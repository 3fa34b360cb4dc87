import { ClaraError } from '../../base/errors';
import type { Plan } from '../../federation/plan';
import type { SiteStatistics } from '../../federation/statistics';
import type { Metrics } from '../../federation/trainer-contract';
import type { EventOf, RunEvent } from './events';
import { type Stage, sameStage } from './stage';

/** The state of a run: `events.reduce(reduce)`. Nothing else decides it, so replay is recovery. */
export interface RunState {
  readonly run: string;
  readonly seq: number;
  readonly plan: Plan;
  readonly operator: string;
  readonly submitToken: string;
  readonly submittedAt: string;
  readonly changedAt: string;
  /** Sites that were asked, in site order (sorted): cohort, aggregation and reports all follow it. */
  readonly candidates: readonly string[];
  readonly answers: ReadonlyMap<string, SiteAnswer>;
  readonly open?: OpenStage;
  readonly closed: readonly ClosedStage[];
  /** Global models by round; 0 is the initial one. */
  readonly models: readonly PublishedModel[];
  readonly outcome?: Outcome;
}

export type SiteAnswer = { readonly kind: 'approved' } | { readonly kind: 'refused'; readonly reason: string };

export interface OpenStage {
  readonly stage: Stage;
  readonly cohort: readonly string[];
  readonly openedAt: string;
  readonly deadline: string;
  readonly results: ReadonlyMap<string, SiteResult>;
}

export interface ClosedStage extends OpenStage {
  readonly closedAt: string;
  readonly contributors: readonly string[];
  readonly bytesToSites: number;
  readonly bytesFromSites: number;
  /** Figures for the ledger; a journal of an older release has none. */
  readonly transferSeconds?: number | undefined;
  readonly peakRssBytes?: number | undefined;
}

export type SiteResult =
  | {
      readonly kind: 'update';
      readonly digest: string;
      readonly bytes: number;
      /** What came over the wire, when that was encoded. */
      readonly sent?: MadeObject | undefined;
      readonly samples: number;
      readonly steps: number;
      readonly metrics: Metrics;
      readonly seconds: number;
      readonly peakRssBytes: number;
    }
  | {
      readonly kind: 'evaluation';
      readonly samples: number;
      readonly evaluations: readonly { readonly model: string; readonly metrics: Metrics }[];
      readonly peakRssBytes: number;
    }
  | { readonly kind: 'statistics'; readonly statistics: SiteStatistics; readonly peakRssBytes: number }
  | { readonly kind: 'rejected' | 'lost'; readonly reason: string };

/** True when the site gave what the stage asked for. */
export function isDelivered(result: SiteResult | undefined): boolean {
  return result !== undefined && result.kind !== 'rejected' && result.kind !== 'lost';
}

interface MadeObject {
  readonly digest: string;
  readonly bytes: number;
}

export interface PublishedModel {
  readonly round: number;
  readonly digest: string;
  readonly bytes: number;
  readonly controls?: { readonly digest: string; readonly bytes: number };
  /** What sites download in its place, and what that decodes to. */
  readonly wire?: MadeObject & { readonly decoded: MadeObject };
  readonly at: string;
  readonly seconds?: number | undefined;
  readonly peakRssBytes?: number | undefined;
}

export type Outcome =
  | { readonly kind: 'completed'; readonly digest: string }
  | { readonly kind: 'aborted'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string };

/** Every stage so far, the open one last. */
export function stagesOf({ closed, open }: RunState): readonly (OpenStage | ClosedStage)[] {
  return open ? [...closed, open] : closed;
}

/** @throws ClaraError `corrupt` when the event cannot follow: the journal is not one that this program wrote. */
export function reduce(state: RunState | undefined, run: string, event: RunEvent): RunState {
  if (event.seq !== (state?.seq ?? 0) + 1) throw misplaced(run, event, `follows event ${state?.seq ?? 0}`);
  if (!state) {
    if (event.type !== 'run-submitted') throw misplaced(run, event, 'must not be the first');
    return submitted(run, event);
  }
  return { ...apply(state, event), seq: event.seq, changedAt: event.at };
}

function submitted(run: string, event: EventOf<'run-submitted'>): RunState {
  return {
    run,
    seq: event.seq,
    plan: event.plan,
    operator: event.operator,
    submitToken: event.submitToken,
    submittedAt: event.at,
    changedAt: event.at,
    candidates: event.cohort,
    answers: new Map(),
    closed: [],
    models: [],
  };
}

function apply(state: RunState, event: RunEvent): RunState {
  switch (event.type) {
    case 'run-submitted':
      throw misplaced(state.run, event, 'may only be the first');
    case 'site-approved':
      return answered(state, event.site, { kind: 'approved' });
    case 'site-refused':
      return answered(state, event.site, { kind: 'refused', reason: event.reason });
    case 'stage-opened': {
      if (state.open) throw misplaced(state.run, event, 'needs the stage before it closed');
      const { stage, cohort, deadline, at } = event;
      return { ...state, open: { stage, cohort, deadline, openedAt: at, results: new Map() } };
    }
    case 'update-accepted': {
      const { digest, bytes, sent, samples, steps, metrics, seconds, peakRssBytes } = event;
      const facts = { samples, steps, metrics, seconds, peakRssBytes };
      return settled(state, event, { kind: 'update', digest, bytes, ...(sent && { sent }), ...facts });
    }
    case 'evaluation-reported': {
      const { samples, evaluations, peakRssBytes } = event;
      return settled(state, event, { kind: 'evaluation', samples, evaluations, peakRssBytes });
    }
    case 'statistics-reported': {
      const { statistics, peakRssBytes } = event;
      return settled(state, event, { kind: 'statistics', statistics, peakRssBytes });
    }
    case 'update-rejected':
      return settled(state, event, { kind: 'rejected', reason: event.reason });
    case 'site-lost':
      return settled(state, event, { kind: 'lost', reason: event.reason });
    case 'stage-closed': {
      const open = openStage(state, event);
      const { contributors, bytesToSites, bytesFromSites, transferSeconds, peakRssBytes, at } = event;
      const figures = { bytesToSites, bytesFromSites, transferSeconds, peakRssBytes };
      const closed = { ...open, contributors, ...figures, closedAt: at };
      return { ...state, open: undefined, closed: [...state.closed, closed] };
    }
    case 'model-published': {
      if (event.round !== state.models.length)
        throw misplaced(state.run, event, `expected round ${state.models.length}`);
      const { round, digest, bytes, controls, wire, seconds, peakRssBytes, at } = event;
      const model = {
        round,
        digest,
        bytes,
        seconds,
        peakRssBytes,
        at,
        ...(controls && { controls }),
        ...(wire && { wire }),
      };
      return { ...state, models: [...state.models, model] };
    }
    case 'run-completed':
      return { ...state, outcome: { kind: 'completed', digest: event.digest } };
    case 'run-aborted':
      return { ...state, open: undefined, outcome: { kind: 'aborted', reason: event.reason } };
    case 'run-failed':
      return { ...state, open: undefined, outcome: { kind: 'failed', reason: event.reason } };
    case 'leader-changed':
      return state; // Its place in the journal is its meaning.
  }
}

function answered(state: RunState, site: string, answer: SiteAnswer): RunState {
  return { ...state, answers: new Map(state.answers).set(site, answer) };
}

function settled(state: RunState, event: RunEvent & { stage: Stage; site: string }, result: SiteResult): RunState {
  const open = openStage(state, event);
  return { ...state, open: { ...open, results: new Map(open.results).set(event.site, result) } };
}

function openStage(state: RunState, event: RunEvent & { stage: Stage }): OpenStage {
  if (!state.open || !sameStage(state.open.stage, event.stage))
    throw misplaced(state.run, event, 'is for a stage that is not open');
  return state.open;
}

function misplaced(run: string, event: RunEvent, rule: string): ClaraError {
  return new ClaraError('corrupt', `event ${event.seq} (${event.type}) of run ${run} ${rule}; the journal is damaged`);
}
