import { ClaraError, hasCode } from '../base/errors';
import type { Federation, Operations } from '../federation/gen/federation/v1/federation_pb';
import type { OperatorIdentity, SiteIdentity } from '../federation/identity';
import type { Plan } from '../federation/plan';
import type { ServiceHandlers } from '../federation/service-handlers';
import { Dispatcher } from './api/dispatcher';
import { federationService } from './api/federation-service';
import { ModelUploads } from './api/model-uploads';
import { operationsService, type SiteAdministration } from './api/operations-service';
import { PromotionDesk } from './api/promotion-desk';
import { RunWatchers } from './api/run-watchers';
import { SiteHub } from './api/site-hub';
import { Uploads } from './api/uploads';
import { expectedUpdates } from './expected-updates';
import { fencedStore } from './leadership/fenced-store';
import type { Lead } from './leadership/leadership';
import type { CoordinatorMetrics } from './observe/coordinator-metrics';
import { watchedStore } from './observe/watched-store';
import { ModelRegistry } from './registry/model-registry';
import { LiveBoard } from './runs/live-board';
import { makeModel } from './runs/make-model';
import { RunRegister } from './runs/run-register';
import type { RunState } from './runs/run-state';
import { isOpenTask } from './runs/tasks';
import { Traffic } from './runs/traffic';
import type { ObjectStore } from './storage/object-store';
import type { ConnectionRegister } from './transport/connection-register';
import type { CertificateAuthority } from './trust/certificate-authority';
import { inviteSite, siteRenewal } from './trust/enrolment';
import { provideOperator } from './trust/first-operator';
import type { OperatorHome } from './trust/operator-home';
import { openTrust, type Trust } from './trust/trust';
import { type KeepUpdates, Retention } from './upkeep/retention';
import { checkRoom } from './upkeep/run-room';

export interface TermOptions {
  readonly store: ObjectStore;
  readonly authority: CertificateAuthority;
  readonly connections: ConnectionRegister;
  readonly addresses: TermAddresses;
  /** Where the first operator's credentials are. */
  readonly operator: OperatorHome;
  readonly software: string;
  readonly livenessMillis: number;
  readonly maxUpdateBytes: number;
  readonly keepUpdates: KeepUpdates;
  readonly onRunChanged: (state: RunState) => void;
  /** A model could not be made now and is tried again. */
  readonly onDelayed: (run: string, round: number, error: ClaraError) => void;
  readonly onRetentionFailed: (error: unknown) => void;
  /** The first operator's credentials could not be looked after. */
  readonly onOperatorFailed: (error: unknown) => void;
  readonly metrics?: CoordinatorMetrics | undefined;
}

export interface TermAddresses {
  /** `host:port` of this coordinator, for sentences. */
  readonly own: string;
  /** Where sites and operators work: one or more `host:port`, joined by commas. */
  readonly coordinators: string;
  readonly enrolment: string;
}

/** Of the term, as it is now. */
export interface TermPresent {
  runs(): readonly RunState[];
  connectedSites(): number;
}

/**
 * What a coordinator is while it leads: everything that is replayed when it takes the lead and given up when it loses it.
 * Nothing of one term is used in the next.
 */
export interface LeaderTerm {
  readonly trust: Trust;
  readonly federation: ServiceHandlers<typeof Federation, SiteIdentity>;
  readonly operations: ServiceHandlers<typeof Operations, OperatorIdentity>;
  /** Aborts when the term is over, whoever ended it. */
  readonly ended: AbortSignal;
  /** Settles when the coordinator should not lead any more: the lead was lost (resolves), or it cannot go on (rejects). */
  readonly over: Promise<ClaraError>;
  /** What metrics show of the present. */
  readonly present: TermPresent;
  /** Every connection of a site ends, and nothing is on its way to the store any more. */
  close(): Promise<void>;
}

/**
 * Replays every journal, closes them to earlier leaders, and lets unfinished runs go on.
 * @throws ClaraError `corrupt`, naming the damaged event; `unavailable` when the lead is lost meanwhile
 */
export async function openTerm(lead: Lead, options: TermOptions): Promise<LeaderTerm> {
  const { authority, addresses, connections, livenessMillis, metrics } = options;
  const fenced = fencedStore(options.store, () => lead.mustBeHeld());
  const store = metrics ? watchedStore(fenced, (operation, code) => metrics.storeFailed(operation, code)) : fenced;
  const { epoch, afterOrderlyEnd } = lead;
  const fencedBy = afterOrderlyEnd ? undefined : addresses.own;
  const trust = await openTrust({ authority, store, term: { epoch, fencedBy } });
  const registry = await ModelRegistry.open(store, undefined, { epoch, fencedBy });
  const stopListening = trust.register.onRevoked(({ fingerprints }) => connections.end(fingerprints));
  const ending = new AbortController();
  const over = promiseOf<ClaraError>();
  over.promise.catch(() => undefined);
  const onLost = () => over.resolve(lead.lost.reason as ClaraError);
  lead.lost.addEventListener('abort', onLost, { once: true });

  const board = new LiveBoard();
  const traffic = new Traffic(undefined, (...moved) => metrics?.moved(...moved));
  const watchers = new RunWatchers();
  const hub = new SiteHub({ livenessMillis }, () => {
    for (const { state } of runs.all()) if (!state.outcome) watchers.changed(state.run);
  });
  const dispatcher = new Dispatcher(hub, (run) => runs.get(run).now().getTime());
  const promotions = new PromotionDesk(registry, hub);
  const uploads = new Uploads({
    store,
    ...expectedUpdates(store, (run) => runs.get(run).state, ending.signal),
    onBytes: ({ run, site }, bytes) => traffic.fromSite(run, site, bytes),
    maxBytes: options.maxUpdateBytes,
  });
  const keep = options.keepUpdates;
  const roomFor = (plan: Plan, sites: number, modelBytes: number) =>
    checkRoom(store, { plan, sites, modelBytes, keep });
  const retention = new Retention({ store, keep, onFailure: options.onRetentionFailed });
  const runs: RunRegister = new RunRegister({
    store,
    traffic,
    term: { epoch, address: addresses.own },
    afterOrderlyEnd,
    makeModel: (state, work, signal) =>
      makeModel({ store, state, work, signal, checkRoom: roomFor, stateOf: (run) => runs.get(run).state }),
    checkRoom: roomFor,
    registered: (model, version) => registry.state.models.get(model)?.[version - 1]?.card,
    onWorkStopped: (state) => retention.workStopped(state),
    onDelayed: options.onDelayed,
    onAppended: (event, seconds) => metrics?.appended(event, seconds),
    onChange: (state) => {
      dispatcher.runChanged(state);
      void uploads.release(state.run, (id) => isOpenTask(state, id));
      watchers.changed(state.run);
      retention.runChanged(state);
      if (state.outcome) board.forget(state.run);
      options.onRunChanged(state);
    },
    // An event that somebody else wrote: whoever it was, the next term replays it.
    onFatal: (error) => (hasCode(error, 'precondition-failed') ? over.resolve(error) : over.reject(error)),
  });
  let stopRenewal = (): void => {};
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= (async () => {
      ending.abort(new ClaraError('unavailable', 'this coordinator is not the leader any more; ask again'));
      lead.lost.removeEventListener('abort', onLost);
      stopRenewal();
      stopListening();
      hub.close();
      await runs.close();
      await uploads.close();
      await retention.close();
    })();
    return closing;
  };
  try {
    await registry.settle();
    await runs.load();
    // What a crash, or a rule of an earlier start, has left.
    for (const { state } of runs.all()) retention.runChanged(state);
    stopRenewal = await provideOperator(trust, {
      home: whileLeading(options.operator, lead),
      coordinator: addresses.coordinators,
      onFailure: options.onOperatorFailed,
    });
  } catch (error) {
    await close();
    throw error;
  }
  const live = { board, traffic, isConnected: (site: string) => hub.get(site) !== undefined };
  return {
    trust,
    ended: ending.signal,
    over: over.promise,
    present: { runs: () => runs.all().map(({ state }) => state), connectedSites: () => [...hub.all()].length },
    close,
    federation: federationService({
      runs,
      hub,
      dispatcher,
      uploads,
      promotions,
      store,
      board,
      traffic,
      software: options.software,
      heartbeatMillis: Math.round(livenessMillis / 3),
      onProgress: (run) => watchers.changed(run),
      renew: siteRenewal(trust),
    }),
    operations: operationsService({
      runs,
      store,
      modelUploads: new ModelUploads({ store, maxBytes: options.maxUpdateBytes }),
      live,
      watchers,
      registry,
      onPromoted: (sites) => promotions.promoted(sites),
      sites: siteAdministration(trust, addresses),
      softwareOf: (site) => hub.get(site)?.software ?? '',
    }),
  };
}

/** A former leader that wakes up must not write over what the present one has made. */
function whileLeading(home: OperatorHome, lead: Lead): OperatorHome {
  return {
    ...home,
    save: async (credentials) => {
      lead.mustBeHeld();
      await home.save(credentials);
    },
  };
}

function siteAdministration(trust: Trust, { coordinators, enrolment }: TermAddresses): SiteAdministration {
  const record = (site: string) => trust.register.site(site)!;
  return {
    list: () => trust.register.sites(),
    invite: async (site, validMinutes) => {
      const { invitation, expires } = await inviteSite(trust, {
        site,
        validMinutes,
        coordinator: coordinators,
        enrolment,
      });
      return { invitation, expiresAt: expires.toISOString() };
    },
    revoke: async (site, reason) => {
      await trust.register.revoke(site, reason);
      return record(site);
    },
  };
}

function promiseOf<Value>() {
  let resolve: (value: Value) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<Value>((...settle) => {
    [resolve, reject] = settle;
  });
  return { promise, resolve, reject };
}
