import { create } from '@bufbuild/protobuf';
import {
  BestRoundSchema,
  type RoundView,
  RoundViewSchema,
  RunBufferSchema,
  RunPauseSchema,
  type RunSiteView,
  RunSiteViewSchema,
  type RunSummary,
  RunSummarySchema,
  type RunView,
  RunViewSchema,
  type SiteEvaluation,
  SiteEvaluationSchema,
} from '../../federation/gen/federation/v1/federation_pb';
import { bestModels } from './best-models';
import { bestRound } from './ending';
import { bufferingOf, combinedUpdates, stalenessIn, workOf } from './going';
import type { LiveBoard } from './live-board';
import {
  type ClosedStage,
  type OpenStage,
  type RunState,
  type SiteResult,
  stagesOf,
  type UpdateResult,
} from './run-state';
import { hopsOf } from './sequence';
import { GLOBAL_MODEL } from './tasks';
import type { Traffic } from './traffic';

/** The state of a run as operators see it: what the journal says, and what is going on right now. */
export interface LiveSources {
  readonly board: LiveBoard;
  readonly traffic: Traffic;
  readonly isConnected: (site: string) => boolean;
}

export function summaryOf(state: RunState): RunSummary {
  return create(RunSummarySchema, {
    run: state.run,
    name: state.plan.name,
    state: stateName(state),
    round: currentRound(state),
    rounds: state.plan.rounds,
    submittedAt: state.submittedAt,
    modelDigest: state.models.at(-1)?.digest ?? '',
    reason: reasonOf(state),
  });
}

export function viewOf(state: RunState, live: LiveSources): RunView {
  // Looked up for every round of every view: searching would make a long run's views cost its length squared.
  const stages = new Map(stagesOf(state).map((stage) => [`${stage.stage.kind} ${stage.stage.round}`, stage]));
  return create(RunViewSchema, {
    summary: summaryOf(state),
    stage: stageName(state),
    sites: state.candidates.map((site) => siteView(state, site, live)),
    rounds: state.models.slice(1).map(({ round }) => roundView(state, round, stages)),
    ...matrixOf(state),
    ...courseOf(state),
  });
}

function reasonOf({ outcome, paused }: RunState): string {
  if (outcome) return ('reason' in outcome && outcome.reason) || '';
  return paused?.reason ?? '';
}

/** How the run proceeds: whom it asks, whether it is paused, what waits to be combined, what was best so far. */
function courseOf(state: RunState) {
  const { open, paused, outcome, going, plan } = state;
  const buffering = bufferingOf(plan);
  const best = bestRound(state);
  return {
    cohort: [...(outcome ? [] : (open?.cohort ?? []))],
    ...(paused && !outcome && { pause: create(RunPauseSchema, { ...paused, since: paused.at }) }),
    ...(buffering && { buffer: create(RunBufferSchema, { fill: going.buffer.length, size: buffering.size }) }),
    ...(best && { bestRound: create(BestRoundSchema, { ...best, modelDigest: best.digest }) }),
  };
}

export const RUN_STATES = ['submitted', 'running', 'paused', 'completed', 'aborted', 'failed'] as const;

export function stateName(state: RunState): (typeof RUN_STATES)[number] {
  if (state.outcome) return state.outcome.kind;
  if (state.paused) return 'paused';
  return state.open || state.closed.length > 0 ? 'running' : 'submitted';
}

function currentRound(state: RunState): number {
  return Math.max(
    0,
    ...state.closed.map(({ stage }) => stage.round),
    state.open?.stage.round ?? 0,
    state.models.length - 1,
  );
}

function stageName(state: RunState): string {
  if (state.outcome) return '';
  if (state.open) return state.open.stage.kind;
  const last = state.closed.at(-1);
  if (!last) return 'approve';
  return last.stage.kind === 'train' ? 'aggregate' : last.stage.kind;
}

function siteView(state: RunState, site: string, live: LiveSources): RunSiteView {
  const bytes = live.traffic.ofSite(state.run, site);
  return create(RunSiteViewSchema, {
    site,
    connected: live.isConnected(site),
    bytesToSite: BigInt(bytes.toSite),
    bytesFromSite: BigInt(bytes.fromSite),
    peakRssBytes: BigInt(peakRssOf(state, site)),
    ...siteActivity(state, site, live),
    staleness: stalenessOf(state, site),
  });
}

function peakRssOf(state: RunState, site: string): number {
  const results = stagesOf(state).map((stage) => stage.results.get(site));
  return Math.max(0, ...results.map((result) => (result && 'peakRssBytes' in result ? result.peakRssBytes : 0)));
}

/** Of what the site is at: each model that is published meanwhile makes it staler. */
function stalenessOf({ models, going, outcome }: RunState, site: string): number {
  const late = outcome ? undefined : going.late.get(site);
  return late ? Math.max(models.length - late.stage.round, 0) : 0;
}

interface SiteActivity {
  readonly state: string;
  readonly fraction?: number;
  readonly metrics?: Record<string, number>;
  readonly reason?: string;
}

function siteActivity(state: RunState, site: string, live: LiveSources): SiteActivity {
  const answer = state.answers.get(site);
  if (answer?.kind === 'refused') return { state: 'refused', reason: answer.reason };
  if (!answer) return { state: live.board.waitsForPerson(state.run, site) ? 'waiting for approval' : 'waiting' };
  const work = workOf(state, site);
  const stage = state.open ?? state.closed.at(-1);
  if (!work && !stage?.cohort.includes(site)) return { state: 'approved' };
  const result = work ? undefined : stage!.results.get(site);
  if (result) return settledActivity(result);
  const progress = live.board.of(state.run, site, work?.stage ?? stage!.stage);
  if (!progress) return { state: 'waiting' };
  const { activity, fraction, metrics, note } = progress;
  return { state: activity, fraction, metrics: { ...metrics }, reason: note };
}

function settledActivity(result: SiteResult): SiteActivity {
  switch (result.kind) {
    case 'update':
      return { state: 'done', fraction: 1, metrics: { ...result.metrics } };
    case 'evaluation':
      return { state: 'done', fraction: 1, metrics: { ...result.evaluations[0]?.metrics } };
    case 'statistics':
      return { state: 'done', fraction: 1 };
    default:
      return { state: result.kind, reason: result.reason };
  }
}

function roundView(state: RunState, round: number, stages: ReadonlyMap<string, OpenStage | ClosedStage>): RoundView {
  const trained = stages.get(`train ${round}`) as ClosedStage;
  const hops = hopsOf(state, trained);
  const evaluated = stages.get(`evaluate ${round}`);
  const ended = evaluated && 'closedAt' in evaluated ? evaluated.closedAt : state.models[round]!.at;
  const parts = [...hops, trained];
  const moved = [...parts, evaluated].filter((stage): stage is ClosedStage => !!stage && 'closedAt' in stage);
  return create(RoundViewSchema, {
    round,
    modelDigest: state.models[round]!.digest,
    cohort: [...(trained.order ?? trained.cohort)],
    contributors: parts.flatMap(({ contributors }) => contributors),
    buffered: trained.buffered.map(({ site, stage }) => ({ site, staleness: stalenessIn(round, stage) })),
    evaluations: evaluated ? evaluationsOf(evaluated).filter(({ model }) => model === GLOBAL_MODEL) : [],
    metrics: weightedMetrics(updatesOf(state, parts)),
    seconds: (Date.parse(ended) - Date.parse(parts[0]!.openedAt)) / 1000,
    bytesToSites: BigInt(moved.reduce((sum, { bytesToSites }) => sum + bytesToSites, 0)),
    bytesFromSites: BigInt(moved.reduce((sum, { bytesFromSites }) => sum + bytesFromSites, 0)),
  });
}

/** What went into the model of a round. */
function updatesOf(state: RunState, parts: readonly ClosedStage[]): UpdateResult[] {
  return parts.flatMap((part) => combinedUpdates(state, part).map(({ result }) => result));
}

function matrixOf(state: RunState) {
  const stage = stagesOf(state).find(({ stage }) => stage.kind === 'cross-evaluate');
  return stage ? { matrix: evaluationsOf(stage), best: bestModels(stage) } : {};
}

function evaluationsOf(stage: OpenStage): SiteEvaluation[] {
  return stage.cohort.flatMap((site) => {
    const result = stage.results.get(site);
    if (result?.kind !== 'evaluation') return [];
    const samples = BigInt(result.samples);
    return result.evaluations.map(({ model, metrics }) =>
      create(SiteEvaluationSchema, { site, model, metrics, samples }),
    );
  });
}

/** Means over the updates, weighted by their samples. A metric that not all of them report is left out. */
function weightedMetrics(updates: readonly UpdateResult[]): Record<string, number> {
  const total = updates.reduce((sum, { samples }) => sum + samples, 0);
  const names = Object.keys(updates[0]?.metrics ?? {}).filter((name) =>
    updates.every(({ metrics }) => name in metrics),
  );
  if (total === 0) return {};
  return Object.fromEntries(
    names.map((name) => [
      name,
      updates.reduce((sum, { metrics, samples }) => sum + metrics[name]! * samples, 0) / total,
    ]),
  );
}
