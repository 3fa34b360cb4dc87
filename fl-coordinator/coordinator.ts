import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { ClaraError, hasCode } from '../base/errors';
import { type MetricsListener, startMetricsListener } from '../base/metrics-listener';
import { certificatesIn, endOf } from '../federation/certificates';
import { withControls } from '../federation/controls';
import { type Credentials, loadCredentials, saveCredentials } from '../federation/credentials';
import { Federation, Operations } from '../federation/gen/federation/v1/federation_pb';
import type { OperatorIdentity, SiteIdentity } from '../federation/identity';
import { serve } from '../federation/service-handlers';
import type { TensorLayout, TensorSpec } from '../federation/tensors/layout';
import { readStoredLayout } from './aggregation/stored-layout';
import { Dispatcher } from './api/dispatcher';
import { federationService } from './api/federation-service';
import { operationsService, type SiteAdministration } from './api/operations-service';
import { RunWatchers } from './api/run-watchers';
import { SiteHub } from './api/site-hub';
import { Uploads } from './api/uploads';
import { certificateEnds } from './observe/certificate-ends';
import { CoordinatorMetrics } from './observe/coordinator-metrics';
import { watchedStore } from './observe/watched-store';
import { LiveBoard } from './runs/live-board';
import { makeModel } from './runs/make-model';
import { RunRegister } from './runs/run-register';
import type { RunState } from './runs/run-state';
import { baseModelOf, type SiteTask, sendsControls } from './runs/tasks';
import { Traffic } from './runs/traffic';
import { openDirectoryStore } from './storage/directory-store';
import type { ObjectStore } from './storage/object-store';
import { keepRotating } from './transport/certificate-rotation';
import { ConnectionRegister } from './transport/connection-register';
import { Health } from './transport/health';
import { type SecureServer, startSecureServer } from './transport/mtls-server';
import { admitPeer } from './transport/peer-identity';
import type { Verb } from './trust/authorisation';
import type { ServerCertificate } from './trust/certificate-authority';
import { bootstrapOperator, inviteSite, renewSite } from './trust/enrolment';
import { startEnrolmentServer } from './trust/enrolment-service';
import { openTrust, type Trust } from './trust/trust';

export interface CoordinatorOptions {
  /** Holds the store, the certificate authority and the first operator's credentials. */
  readonly workspace: string;
  /** Name of the federation, part of every identity. */
  readonly federation: string;
  /** Where sites and operators work. Port 0: any free one. */
  readonly listen: Address;
  /** Where sites without a certificate enrol. */
  readonly enrolmentListen: Address;
  /** Names and addresses under which others reach this coordinator; the first is told to sites. */
  readonly hostNames: readonly string[];
  readonly software: string;
  /** A site that is silent for so long is taken for disconnected. @default 15 s */
  readonly livenessMillis?: number;
  /** Larger updates are refused. @default 16 GiB */
  readonly maxUpdateBytes?: number;
  /** Where Prometheus reads figures, over plain HTTP. @default nowhere */
  readonly metrics?: Address | undefined;
  readonly onEvent?: (event: CoordinatorEvent) => void;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export type CoordinatorEvent =
  | { readonly event: 'run-changed'; readonly run: string; readonly seq: number; readonly state: string }
  | { readonly event: 'call-refused'; readonly method: string; readonly code: string; readonly message: string }
  | { readonly event: 'stopping'; readonly reason: string };

export interface RunningCoordinator {
  /** `host:port` for sites and operators. */
  readonly address: string;
  readonly enrolmentAddress: string;
  /** `host:port` of the figures, when there are any. */
  readonly metricsAddress?: string | undefined;
  /** Folder with the credentials of the first operator. */
  readonly operatorFolder: string;
  /** Rejects when the coordinator cannot go on; otherwise resolves after {@link close}. */
  readonly closed: Promise<void>;
  close(): Promise<void>;
}

const LIVENESS_MILLIS = 15_000;
const MAX_UPDATE_BYTES = 16 * 2 ** 30;
const STOP_GRACE_MILLIS = 2000;
/** Credentials that end sooner than this are renewed at the start. */
const OPERATOR_RENEWAL_MILLIS = 10 * 86400e3;
export const FIRST_OPERATOR = 'admin';

/** Starts the service: replays every journal, lets unfinished runs go on, then serves. */
export async function startCoordinator(options: CoordinatorOptions): Promise<RunningCoordinator> {
  const { workspace, hostNames, livenessMillis = LIVENESS_MILLIS, onEvent = () => {} } = options;
  await mkdir(workspace, { recursive: true });
  let certificate: ServerCertificate | undefined;
  const metrics =
    options.metrics &&
    new CoordinatorMetrics({
      runs: () => runs.all().map(({ state }) => state),
      connectedSites: () => [...hub.all()].length,
      certificates: () => (certificate ? certificateEnds(certificate) : {}),
      siteCertificates: () => trust.register.sites().filter(({ state }) => state === 'enrolled'),
    });
  const opened = await openDirectoryStore(path.join(workspace, 'store'));
  const store = metrics ? watchedStore(opened, (operation, code) => metrics.storeFailed(operation, code)) : opened;
  const trust = await openTrust({ federation: options.federation, workspace, store });
  let failed: (error: ClaraError) => void = () => {};
  const failure = new Promise<never>((_, reject) => {
    failed = reject;
  });
  failure.catch(() => undefined);

  const board = new LiveBoard();
  const traffic = new Traffic(undefined, (...moved) => metrics?.moved(...moved));
  const watchers = new RunWatchers();
  const hub = new SiteHub({ livenessMillis }, () => {
    for (const { state } of runs.all()) if (!state.outcome) watchers.changed(state.run);
  });
  const dispatcher = new Dispatcher(hub);
  const uploads = new Uploads({
    store,
    layoutFor: layoutReader(store, (run) => runs.get(run).state),
    onBytes: ({ run, site }, bytes) => traffic.fromSite(run, site, bytes),
    maxBytes: options.maxUpdateBytes ?? MAX_UPDATE_BYTES,
  });
  const runs: RunRegister = new RunRegister({
    store,
    traffic,
    makeModel: (state, work, signal) =>
      makeModel({ store, state, work, signal, stateOf: (run) => runs.get(run).state }),
    onAppended: (event, seconds) => metrics?.appended(event, seconds),
    onChange: (state) => {
      dispatcher.runChanged(state);
      watchers.changed(state.run);
      if (state.outcome) board.forget(state.run);
      onEvent({ event: 'run-changed', run: state.run, seq: state.seq, state: state.outcome?.kind ?? 'running' });
    },
    onFatal: (error) => {
      onEvent({ event: 'stopping', reason: error.message });
      failed(error);
    },
  });
  const connections = new ConnectionRegister();
  trust.register.onRevoked(({ fingerprints }) => connections.end(fingerprints));
  const health = new Health();

  const servers: SecureServer[] = [];
  const timers: (() => void)[] = [];
  let figures: MetricsListener | undefined;
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= (async () => {
      health.setServing(false);
      for (const stop of timers) stop();
      hub.close();
      await figures?.close();
      await runs.close();
      await Promise.all(servers.map((server) => server.stop(STOP_GRACE_MILLIS)));
      await uploads.close();
      await store.close();
    })();
    return closing;
  };

  try {
    await runs.load();
    const enrolment = await startEnrolmentServer(trust, {
      ...options.enrolmentListen,
      hosts: hostNames,
      onFailure: (thrown) => onEvent(refusal('enrol', thrown)),
    });
    servers.push(enrolment);
    certificate = await trust.authority.issueForServer(hostNames);
    const enrolmentAddress = `${hostNames[0]}:${enrolment.port}`;
    let address = '';
    const server = await startSecureServer({
      ...options.listen,
      material: certificate,
      onSession: (session) => connections.track(session),
      register: (grpcServer) => {
        health.addTo(grpcServer);
        const live = { board, traffic, isConnected: (site: string) => hub.get(site) !== undefined };
        const gate = <Identity>(service: 'federation' | 'operations') => ({
          admit: (call: Parameters<typeof admitPeer>[0], method: string): Identity =>
            admitPeer(call, `${service}.${method}` as Verb, trust).identity as Identity,
          onFailure: (thrown: unknown, method: string) => onEvent(refusal(method, thrown)),
        });
        serve(
          grpcServer,
          Federation,
          federationService({
            runs,
            hub,
            dispatcher,
            uploads,
            store,
            board,
            traffic,
            software: options.software,
            heartbeatMillis: Math.round(livenessMillis / 3),
            onProgress: (run) => watchers.changed(run),
            renew: (site, csr) => renewSite(trust, site, csr),
          }),
          gate<SiteIdentity>('federation'),
        );
        serve(
          grpcServer,
          Operations,
          operationsService({
            runs,
            store,
            live,
            watchers,
            sites: siteAdministration(trust, () => ({ coordinator: address, enrolment: enrolmentAddress })),
            softwareOf: (site) => hub.get(site)?.software ?? '',
          }),
          gate<OperatorIdentity>('operations'),
        );
      },
    });
    servers.push(server);
    address = `${hostNames[0]}:${server.port}`;
    timers.push(
      keepRotating({
        first: certificate,
        issue: () => trust.authority.issueForServer(hostNames),
        apply: (next) => {
          server.rotate(next);
          certificate = next;
        },
        onFailure: (thrown) => onEvent(refusal('rotate', thrown)),
      }),
    );
    const operatorFolder = path.join(workspace, 'operator');
    timers.push(await provideOperator(trust, operatorFolder, address));
    if (metrics) figures = await startMetricsListener(options.metrics!, metrics);
    health.setServing(true);

    let markClosed: () => void = () => {};
    const ended = new Promise<void>((resolve) => {
      markClosed = resolve;
    });
    return {
      address,
      enrolmentAddress,
      metricsAddress: figures?.address,
      operatorFolder,
      closed: Promise.race([ended, failure]),
      close: async () => {
        await close();
        markClosed();
      },
    };
  } catch (error) {
    // What has begun would keep the process alive.
    await close();
    throw error;
  }
}

function refusal(method: string, thrown: unknown): CoordinatorEvent {
  const { code, message } = ClaraError.from(thrown);
  return { event: 'call-refused', method, code, message };
}

/** The layout of the model that an update must have; headers are read once a model. */
function layoutReader(store: ObjectStore, stateOf: (run: string) => RunState) {
  let newest: { readonly key: string; readonly layout: TensorLayout } | undefined;
  return async (task: SiteTask): Promise<{ readonly tensors: readonly TensorSpec[] } | undefined> => {
    const base = baseModelOf(stateOf(task.run), task.stage);
    if (!base) return undefined;
    if (newest?.key !== base.key) newest = { key: base.key, layout: await readStoredLayout(store, base.key) };
    return sendsControls(task.plan, task.stage) ? withControls(newest.layout) : newest.layout;
  };
}

/**
 * The first operator's credentials are made at the first start, follow the coordinator's address, and are renewed before they
 * end, as long as they lie in the workspace. @returns what stops the renewal
 */
async function provideOperator(trust: Trust, folder: string, coordinator: string): Promise<() => void> {
  const issue = () => bootstrapOperator(trust, { name: FIRST_OPERATOR, role: 'admin', folder, coordinator });
  let credentials: Credentials;
  try {
    credentials = await loadCredentials(folder);
    if (credentials.coordinator !== coordinator) await saveCredentials(folder, { ...credentials, coordinator });
    const [own] = certificatesIn(credentials.chainPem, folder);
    if (endOf(own!).getTime() - trust.now().getTime() < OPERATOR_RENEWAL_MILLIS) credentials = await issue();
  } catch (error) {
    if (!hasCode(error, 'not-found')) throw error;
    if (trust.register.hasOperators()) return () => {}; // The administrator has taken them elsewhere.
    credentials = await issue();
  }
  return keepRotating({
    first: { ends: endOf(certificatesIn(credentials.chainPem, folder)[0]!) },
    issue: async () => {
      await loadCredentials(folder); // Not there any more: the administrator uses them elsewhere, and renewing would end them.
      return { ends: endOf(certificatesIn((await issue()).chainPem, folder)[0]!) };
    },
    apply: () => {},
    now: trust.now,
  });
}

function siteAdministration(
  trust: Trust,
  addresses: () => { coordinator: string; enrolment: string },
): SiteAdministration {
  const record = (site: string) => trust.register.site(site)!;
  return {
    list: () => trust.register.sites(),
    invite: async (site, validMinutes) => {
      const { invitation, expires } = await inviteSite(trust, { site, validMinutes, ...addresses() });
      return { invitation, expiresAt: expires.toISOString() };
    },
    revoke: async (site, reason) => {
      await trust.register.revoke(site, reason);
      return record(site);
    },
  };
}
