import type { Plan } from '../../federation/plan';
import type { SiteStatistics } from '../../federation/statistics';
import type { Metrics } from '../../federation/trainer-contract';
import type { Stage } from './stage';

/** The state of a run: `events.reduce(reduce)` (reduce.ts). Nothing else decides it, so replay is recovery. */
export interface RunState {
  readonly run: string;
  readonly seq: number;
  readonly plan: Plan;
  readonly operator: string;
  readonly submitToken: string;
  /** The model that the plan starts from. */
  readonly start?: StartModel | undefined;
  readonly submittedAt: string;
  readonly changedAt: string;
  /** Sites that were asked, in site order (sorted): cohort, aggregation and reports all follow it. */
  readonly candidates: readonly string[];
  readonly answers: ReadonlyMap<string, SiteAnswer>;
  readonly open?: OpenStage;
  readonly closed: readonly ClosedStage[];
  /** Global models by round; 0 is the initial one. */
  readonly models: readonly PublishedModel[];
  /** Training that outlives its round, and updates that wait to be combined. */
  readonly going: Going;
  readonly paused?: Pause | undefined;
  /** Of all pauses that have ended. Milliseconds. */
  readonly pausedMillis: number;
  readonly outcome?: Outcome;
}

export interface Pause {
  readonly at: string;
  readonly until: string;
  readonly operator: string;
  readonly reason: string;
}

/** Training for a round that has closed: the site goes on, and its update will be combined with those of a later round. */
export interface LateTask {
  readonly stage: Stage;
  readonly deadline: string;
}

export interface BufferedUpdate {
  /** It started from the model of the round before this stage's. */
  readonly stage: Stage;
  readonly site: string;
  readonly result: UpdateResult;
}

export interface Going {
  readonly late: ReadonlyMap<string, LateTask>;
  /** In the order of acceptance. */
  readonly buffer: readonly BufferedUpdate[];
}

export interface StartModel {
  readonly key: string;
  readonly digest: string;
  readonly bytes: number;
  /** Of the run that it is a model of. */
  readonly round?: number | undefined;
}

export type SiteAnswer = { readonly kind: 'approved' } | { readonly kind: 'refused'; readonly reason: string };

export interface OpenStage {
  readonly stage: Stage;
  readonly cohort: readonly string[];
  readonly openedAt: string;
  readonly deadline: string;
  /** Of a cyclic round. */
  readonly order?: readonly string[] | undefined;
  /** Of an asynchronous round: sites that get no further turn in it. */
  readonly idle?: readonly string[] | undefined;
  readonly results: ReadonlyMap<string, SiteResult>;
}

export interface ClosedStage extends OpenStage {
  readonly closedAt: string;
  /** From the submission to then, pauses not counted. */
  readonly ranMillis: number;
  readonly contributors: readonly string[];
  /** Updates of the buffer that are combined with the contributors' own. */
  readonly buffered: readonly BufferedUpdate[];
  readonly bytesToSites: number;
  readonly bytesFromSites: number;
  /** Figures for the ledger; a journal of an older release has none. */
  readonly transferSeconds?: number | undefined;
  readonly peakRssBytes?: number | undefined;
}

export type UpdateResult = Extract<SiteResult, { kind: 'update' }>;

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

export interface BestRound {
  readonly round: number;
  readonly digest: string;
  readonly metric: string;
  readonly value: number;
}

export type Outcome =
  | {
      readonly kind: 'completed';
      readonly digest: string;
      /** Why before the last round of the plan. */
      readonly reason?: string;
      readonly best?: BestRound;
    }
  | { readonly kind: 'aborted'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string };

/** Every stage so far, the open one last. */
export function stagesOf({ closed, open }: RunState): readonly (OpenStage | ClosedStage)[] {
  return open ? [...closed, open] : closed;
}
