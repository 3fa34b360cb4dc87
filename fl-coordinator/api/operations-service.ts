import { create } from '@bufbuild/protobuf';
import { ClaraError } from '../../base/errors';
import type { WireChunk } from '../../federation/chunk-codec';
import type { Operations, RunView } from '../../federation/gen/federation/v1/federation_pb';
import { SiteViewSchema } from '../../federation/gen/federation/v1/federation_pb';
import type { OperatorIdentity } from '../../federation/identity';
import { parsePlan } from '../../federation/plan';
import type { ServiceHandlers } from '../../federation/service-handlers';
import { mergeStatistics } from '../../federation/statistics';
import type { ModelRegistry } from '../registry/model-registry';
import { bestRound } from '../runs/ending';
import { ledgerOf } from '../runs/ledger';
import { modelKey, uploadedModelKey } from '../runs/object-names';
import type { RunRegister } from '../runs/run-register';
import type { RunState } from '../runs/run-state';
import { type LiveSources, summaryOf, viewOf } from '../runs/run-view';
import { toldStatistics } from '../runs/statistics';
import type { ObjectStore } from '../storage/object-store';
import { downloadChunks } from './downloads';
import { modelOperations, publishedModel } from './model-operations';
import type { ModelUploads } from './model-uploads';
import type { RunWatchers } from './run-watchers';

/** Sites as the operators' verbs see them; the trust room keeps their register. */
export interface SiteAdministration {
  list(): readonly SiteRecord[];
  invite(site: string, validMinutes: number): Promise<{ readonly invitation: string; readonly expiresAt: string }>;
  revoke(site: string, reason: string): Promise<SiteRecord>;
}

export interface SiteRecord {
  readonly site: string;
  readonly state: 'invited' | 'enrolled' | 'revoked';
  readonly certificateEnds?: string | undefined;
}

export interface OperationsServiceOptions {
  readonly runs: RunRegister;
  readonly store: ObjectStore;
  readonly modelUploads: Pick<ModelUploads, 'receive'>;
  readonly live: LiveSources;
  readonly watchers: RunWatchers;
  readonly registry: ModelRegistry;
  readonly onPromoted: (sites: readonly string[]) => void;
  readonly sites: SiteAdministration;
  readonly softwareOf: (site: string) => string;
}

/** A run that nobody resumes for so long fails: nothing waits for ever. */
const LONGEST_PAUSE_MILLIS = 30 * 86400e3;

function whatItIs({ outcome, paused }: RunState): string {
  if (outcome) return `has already ${outcome.kind}`;
  return paused ? `is paused already, by ${paused.operator}` : 'is not paused';
}

function noBestModel({ run, plan }: RunState): ClaraError {
  const rule = plan.earlyStop
    ? `no model of it has been evaluated by ${plan.earlyStop.metric} yet`
    : 'its plan names no metric (earlyStop.metric)';
  return new ClaraError('not-found', `run ${run} has no best model: ${rule}; fetch the newest, or that of a round`);
}

/** What an operator calls. Roles are checked before a handler runs. */
export function operationsService(
  options: OperationsServiceOptions,
): ServiceHandlers<typeof Operations, OperatorIdentity> {
  const { runs, store, live, watchers, sites, registry } = options;
  const enrolledSites = () => sites.list().flatMap(({ site, state }) => (state === 'enrolled' ? [site] : []));
  const viewSite = ({ site, state, certificateEnds = '' }: SiteRecord) =>
    create(SiteViewSchema, {
      site,
      state,
      certificateEnds,
      connected: live.isConnected(site),
      software: options.softwareOf(site),
    });

  return {
    ...modelOperations({ runs, store, registry, enrolledSites, onPromoted: options.onPromoted }),

    async submitRun({ plan, submitToken }, { caller }) {
      if (submitToken.length < 8 || submitToken.length > 200) {
        throw new ClaraError('invalid-input', `the submit token has ${submitToken.length} characters; choose 8 to 200`);
      }
      const submission = { plan: parsePlan(plan), operator: caller.name, submitToken };
      return runs.submit({ ...submission, enrolledSites: enrolledSites() });
    },

    async listRuns() {
      return { runs: runs.all().map(({ state }) => summaryOf(state)) };
    },

    async showRun({ run }) {
      return viewOf(runs.get(run).state, live);
    },

    async *watchRun({ run }, { signal }): AsyncGenerator<RunView> {
      const conductor = runs.get(run);
      for await (const _change of watchers.changes(run, signal)) {
        const view = viewOf(conductor.state, live);
        yield view;
        if (conductor.state.outcome) return;
      }
    },

    async abortRun({ run, reason }, { caller }) {
      const conductor = runs.get(run);
      const command = {
        kind: 'abort' as const,
        operator: caller.name,
        reason: reason.slice(0, 2000) || 'aborted by an operator',
      };
      const happened = await conductor.dispatch(command);
      if (happened) return viewOf(conductor.state, live);
      throw new ClaraError(
        'precondition-failed',
        `run ${run} has already ${conductor.state.outcome?.kind ?? 'ended'}; it cannot be aborted`,
      );
    },

    async pauseRun({ run, reason, millis }, { caller }) {
      const conductor = runs.get(run);
      if (millis > BigInt(LONGEST_PAUSE_MILLIS)) {
        const rule = 'must not be longer than 30 days; abort the run instead, models that it has published stay';
        throw ClaraError.ofFaults('the pause', [{ path: 'millis', value: String(millis), rule }]);
      }
      const until = new Date(conductor.now().getTime() + (Number(millis) || LONGEST_PAUSE_MILLIS)).toISOString();
      const command = { kind: 'pause' as const, operator: caller.name, reason: reason.slice(0, 2000), until };
      if (await conductor.dispatch(command)) return viewOf(conductor.state, live);
      throw new ClaraError('precondition-failed', `run ${run} ${whatItIs(conductor.state)}; it cannot be paused`);
    },

    async resumeRun({ run }, { caller }) {
      const conductor = runs.get(run);
      if (await conductor.dispatch({ kind: 'resume', operator: caller.name })) return viewOf(conductor.state, live);
      throw new ClaraError(
        'precondition-failed',
        `run ${run} ${whatItIs(conductor.state)}; only a paused run is resumed`,
      );
    },

    async *fetchModel({ run, round, best, model: name, version }) {
      if (name !== '') {
        const { digest } = registry.get(name, version || undefined).card;
        yield* downloadChunks(store, { key: uploadedModelKey(digest.slice('sha256:'.length)), digest, offset: 0 });
        return;
      }
      const { state } = runs.get(run);
      if (best && round !== undefined) {
        throw new ClaraError('invalid-input', 'either a round or the best model can be fetched, not both');
      }
      if (best) {
        const found = bestRound(state);
        if (!found) throw noBestModel(state);
        yield* downloadChunks(store, { key: modelKey(run, found.round), digest: found.digest, offset: 0 });
        return;
      }
      const model = publishedModel(state, round);
      yield* downloadChunks(store, { key: modelKey(run, model.round), digest: model.digest, offset: 0 });
    },

    async *showLedger({ run }) {
      yield* ledgerOf(runs.get(run).state);
    },

    async *showStatistics({ run }) {
      const { state } = runs.get(run);
      if (!state.plan.statistics) {
        throw new ClaraError('not-found', `run ${run} trains a model; it is not one of statistics`);
      }
      const told = toldStatistics(state);
      yield { site: '', statisticsJson: JSON.stringify(mergeStatistics(told)) };
      for (const own of told) yield { site: own[0], statisticsJson: JSON.stringify(mergeStatistics(new Map([own]))) };
    },

    async uploadModel(chunks: AsyncIterable<WireChunk>) {
      const { sha256, bytes } = await options.modelUploads.receive(chunks);
      return { size: BigInt(bytes), sha256: Buffer.from(sha256, 'hex') };
    },

    async listSites() {
      return { sites: sites.list().map(viewSite) };
    },

    async inviteSite({ site, validMinutes }) {
      return sites.invite(site, validMinutes === 0 ? 24 * 60 : validMinutes);
    },

    async revokeSite({ site, reason }) {
      return viewSite(await sites.revoke(site, reason.slice(0, 2000)));
    },
  };
}
