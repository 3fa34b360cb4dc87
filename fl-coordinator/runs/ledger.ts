import { create } from '@bufbuild/protobuf';
import {
  type LedgerEntry,
  LedgerEntrySchema,
  type LedgerSite,
  LedgerSiteSchema,
} from '../../federation/gen/federation/v1/federation_pb';
import {
  type BufferedUpdate,
  type ClosedStage,
  isDelivered,
  type PublishedModel,
  type RunState,
  type SiteResult,
} from './run-state';
import { hopsToCome } from './sequence';
import { type Stage, sameRound } from './stage';

/**
 * What each part of a run took: a function of the journal, so it is there after any restart. A part is a round, or a stage
 * beside the rounds (the initial model, a round alone, the matrix); it is in the ledger when it has ended, its evaluation as
 * soon as that has.
 */
export function ledgerOf(state: RunState): LedgerEntry[] {
  return state.closed.flatMap((stage, index) => {
    if (stage.stage.kind === 'evaluate') return []; // part of its round
    const { kind, round } = stage.stage;
    if (MAKES_MODEL.has(kind) && !state.models[round]) return [];
    // Of a cyclic round each site is an entry; the last one makes the model.
    const model = MAKES_MODEL.has(kind) && hopsToCome(stage) === 0 ? state.models[round] : undefined;
    const next = state.closed[index + 1];
    const evaluation = kind === 'train' && next?.stage.kind === 'evaluate' ? next : undefined;
    return [
      entryOf(
        stage,
        model,
        evaluation,
        state.closed.slice(index + 1).flatMap(({ buffered }) => buffered),
      ),
    ];
  });
}

const MAKES_MODEL: ReadonlySet<Stage['kind']> = new Set(['initialise', 'train']);

/** @param later updates that were combined after this stage, some of which may have begun in it */
function entryOf(
  stage: ClosedStage,
  model: PublishedModel | undefined,
  evaluation: ClosedStage | undefined,
  later: readonly BufferedUpdate[],
) {
  const stages = evaluation ? [stage, evaluation] : [stage];
  const judging = stage.stage.kind === 'cross-evaluate' ? stage : evaluation;
  const ended = evaluation?.closedAt ?? model?.at ?? stage.closedAt;
  return create(LedgerEntrySchema, {
    part: stage.stage.kind === 'train' ? 'round' : stage.stage.kind,
    round: stage.stage.round,
    seconds: secondsBetween(stage.openedAt, ended),
    waitingSeconds: judging === stage ? 0 : quietSeconds(stage),
    transferSeconds: stages.reduce((sum, { transferSeconds = 0 }) => sum + transferSeconds, 0),
    aggregationSeconds: model ? (model.seconds ?? secondsBetween(stage.closedAt, model.at)) : 0,
    evaluationSeconds: judging ? quietSeconds(judging) : 0,
    bytesToSites: BigInt(stages.reduce((sum, { bytesToSites }) => sum + bytesToSites, 0)),
    bytesFromSites: BigInt(stages.reduce((sum, { bytesFromSites }) => sum + bytesFromSites, 0)),
    coordinatorPeakRssBytes: BigInt(
      Math.max(0, model?.peakRssBytes ?? 0, ...stages.map(({ peakRssBytes = 0 }) => peakRssBytes)),
    ),
    sites: stage.cohort.map((site) => siteOf(site, resultOf(site, stage, later), evaluation)),
  });
}

/** Of a stage, the time in which no model moved: sites worked, or were waited for. */
function quietSeconds({ openedAt, closedAt, transferSeconds = 0 }: ClosedStage): number {
  return Math.max(secondsBetween(openedAt, closedAt) - transferSeconds, 0);
}

/** What the site gave in the stage; what it gave late counts as soon as it is combined. */
function resultOf(
  site: string,
  { stage, results }: ClosedStage,
  later: readonly BufferedUpdate[],
): SiteResult | undefined {
  const result = results.get(site);
  if (isDelivered(result)) return result;
  const late = later.find((update) => update.site === site && sameRound(update.stage, stage));
  return late?.result ?? result;
}

function siteOf(site: string, result: SiteResult | undefined, evaluation: ClosedStage | undefined): LedgerSite {
  const peaks = [result, evaluation?.results.get(site)].map(peakRssOf);
  return create(LedgerSiteSchema, {
    site,
    outcome: result?.kind ?? '',
    seconds: result?.kind === 'update' ? result.seconds : 0,
    updateBytes: BigInt(result?.kind === 'update' ? (result.sent ?? result).bytes : 0),
    peakRssBytes: BigInt(Math.max(0, ...peaks)),
  });
}

function peakRssOf(result: SiteResult | undefined): number {
  return result && 'peakRssBytes' in result ? result.peakRssBytes : 0;
}

function secondsBetween(from: string, to: string): number {
  return Math.max(Date.parse(to) - Date.parse(from), 0) / 1000;
}
