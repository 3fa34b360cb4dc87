import { create } from '@bufbuild/protobuf';
import {
  type RoundView,
  RoundViewSchema,
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
import type { LiveBoard } from './live-board';
import { type ClosedStage, type OpenStage, type RunState, type SiteResult, stagesOf } from './run-state';
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
    reason: state.outcome && 'reason' in state.outcome ? state.outcome.reason : '',
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
  });
}

function stateName(state: RunState): string {
  if (state.outcome) return state.outcome.kind;
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
  });
}

function peakRssOf(state: RunState, site: string): number {
  const results = stagesOf(state).map((stage) => stage.results.get(site));
  return Math.max(0, ...results.map((result) => (result && 'peakRssBytes' in result ? result.peakRssBytes : 0)));
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
  const stage = state.open ?? state.closed.at(-1);
  if (!stage?.cohort.includes(site)) return { state: 'approved' };
  const result = stage.results.get(site);
  if (result) return settledActivity(result);
  const progress = live.board.of(state.run, site, stage.stage);
  if (!progress) return { state: 'waiting' };
  return { state: progress.activity, fraction: progress.fraction, metrics: { ...progress.metrics } };
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
  const evaluated = stages.get(`evaluate ${round}`);
  const ended = evaluated && 'closedAt' in evaluated ? evaluated.closedAt : state.models[round]!.at;
  const moved = [trained, evaluated].filter((stage): stage is ClosedStage => !!stage && 'closedAt' in stage);
  return create(RoundViewSchema, {
    round,
    modelDigest: state.models[round]!.digest,
    contributors: [...trained.contributors],
    evaluations: evaluated ? evaluationsOf(evaluated).filter(({ model }) => model === GLOBAL_MODEL) : [],
    metrics: weightedMetrics(trained),
    seconds: (Date.parse(ended) - Date.parse(trained.openedAt)) / 1000,
    bytesToSites: BigInt(moved.reduce((sum, { bytesToSites }) => sum + bytesToSites, 0)),
    bytesFromSites: BigInt(moved.reduce((sum, { bytesFromSites }) => sum + bytesFromSites, 0)),
  });
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

/** Means over the contributors, weighted by their samples. A metric that not every contributor reports is left out. */
function weightedMetrics(stage: OpenStage): Record<string, number> {
  const updates = [...stage.results.values()].filter((result) => result.kind === 'update');
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
