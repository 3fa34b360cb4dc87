import path from 'node:path';
import { ClaraError } from '../base/errors';
import { mkdir } from '../base/files';
import { type MetricsListener, type ServiceHealth, startMetricsListener } from '../base/metrics-listener';
import { LIVENESS_MILLIS } from '../federation/channel';
import { Federation, Operations } from '../federation/gen/federation/v1/federation_pb';
import { wireMethods } from '../federation/services';
import type { CoordinatorEvent, CoordinatorOptions, RunningCoordinator } from './coordinator-options';
import { serveLeader } from './leader-services';
import { type LeaderTerm, openTerm } from './leader-term';
import { type Lead, takeLead } from './leadership/leadership';
import type { Lease } from './leadership/lease';
import { certificateEnds } from './observe/certificate-ends';
import { CoordinatorMetrics } from './observe/coordinator-metrics';
import { type OpenStore, openStore } from './storage/open-store';
import { storeInWorkspace } from './storage/store-address';
import { newOwnerCard } from './storage/store-owner';
import { keepRotating } from './transport/certificate-rotation';
import { ConnectionRegister } from './transport/connection-register';
import { Health } from './transport/health';
import { type SecureServer, startSecureServer } from './transport/mtls-server';
import { authorityInSecret } from './trust/authority-home';
import type { ServerCertificate } from './trust/certificate-authority';
import { startEnrolmentServer } from './trust/enrolment-service';
import { type OperatorHome, operatorInFolder, operatorInSecret } from './trust/operator-home';
import { openSharedAuthority } from './trust/shared-authority';

const MAX_UPDATE_BYTES = 16 * 2 ** 30;
const STOP_GRACE_MILLIS = 2000;
const LEASE_SHARE = 2 / 3;

/**
 * Starts the service. It listens at once, and serves whenever it leads: then it has replayed every journal and lets unfinished
 * runs go on. @returns once it leads or stands by
 */
export async function startCoordinator(options: CoordinatorOptions): Promise<RunningCoordinator> {
  await mkdir(options.workspace, { recursive: true });
  const coordinator = new Coordinator(options);
  await coordinator.start();
  return coordinator;
}

class Coordinator implements RunningCoordinator {
  address = '';
  enrolmentAddress = '';
  readonly operatorPlace: string;
  readonly serving: Promise<void>;
  closed: Promise<void> = Promise.resolve();
  #markServing: () => void = () => {};
  #term: LeaderTerm | undefined;
  /** Whom it stands by for, when that is known. */
  #leader: Lease | undefined;
  #isStandingBy = false;
  readonly #stop = new AbortController();
  readonly #operator: OperatorHome;
  readonly #health = new Health();
  readonly #servers: SecureServer[] = [];
  readonly #timers: (() => void)[] = [];
  readonly #connections = new ConnectionRegister();
  readonly #metrics: CoordinatorMetrics | undefined;
  #figures: MetricsListener | undefined;
  #certificate: ServerCertificate | undefined;

  constructor(private readonly options: CoordinatorOptions) {
    const { workspace, operator } = options;
    this.#operator = operator ? operatorInSecret(operator) : operatorInFolder(path.join(workspace, 'operator'));
    this.operatorPlace = this.#operator.place;
    this.serving = new Promise((resolve) => {
      this.#markServing = resolve;
    });
    if (options.metrics) this.#metrics = this.#makeMetrics();
  }

  async start(): Promise<void> {
    const { workspace, federation, store: address = storeInWorkspace(workspace), trust } = this.options;
    const store = await openStore(address);
    try {
      const place = typeof trust === 'object' ? authorityInSecret(trust) : (trust ?? path.join(workspace, 'trust'));
      const authority = await openSharedAuthority(place, store, { federation });
      await this.#listen(authority);
      if (this.#metrics) {
        this.#figures = await startMetricsListener(this.options.metrics!, this.#metrics, () => this.#tellHealth());
      }
      const settled = new Promise<void>((resolve, reject) => {
        this.closed = this.#live({ store, authority }, resolve).finally(async () => {
          await this.#stopServing();
          await store.close();
        });
        this.closed.catch(reject);
      });
      await settled;
    } catch (error) {
      // What has begun would keep the process alive.
      await this.#stopServing();
      await store.close();
      throw error;
    }
  }

  get metricsAddress(): string | undefined {
    return this.#figures?.address;
  }

  /** Whoever stands by or replays journals is as well as the leader; `grpc.health.v1` tells clients who leads. */
  #tellHealth(): ServiceHealth {
    if (this.#stop.signal.aborted) return { status: 'failing', detail: 'The coordinator is stopping.' };
    if (this.#term) return { status: 'ok', detail: 'The coordinator leads.' };
    const leader = this.#leader ? ` for ${this.#leader.address}` : '';
    const detail = this.#isStandingBy ? `The coordinator stands by${leader}.` : 'The coordinator opens its store.';
    return { status: 'ok', detail };
  }

  async close(): Promise<void> {
    this.#stop.abort(new ClaraError('cancelled', 'the coordinator is stopping'));
    await this.closed.catch(() => undefined);
  }

  /** Stands by, leads, and stands by again, until it is told to stop. `settled` is called when it does one of them. */
  async #live(base: TermBase, settled: () => void): Promise<void> {
    const { livenessMillis = LIVENESS_MILLIS } = this.options;
    const { signal } = this.#stop;
    const self = {
      holder: newOwnerCard(),
      address: this.address,
      durationMillis: Math.max(Math.round(livenessMillis * LEASE_SHARE), 1),
    };
    while (!signal.aborted) {
      const lead = await takeLead(
        {
          store: base.store,
          self,
          onStandingBy: (leader) => {
            this.#leader = leader;
            this.#isStandingBy = true;
            const { address, epoch } = leader;
            this.#tell({ event: 'standing-by', leader: address, address: this.address, epoch });
            settled();
          },
          onProblem: (error) => this.#tell({ event: 'problem', reason: error.message }),
        },
        signal,
      ).catch((error: unknown) => {
        if (signal.aborted) return undefined;
        throw error;
      });
      if (lead) await this.#lead(lead, base, settled);
    }
  }

  /** One term, from the taking of the lead to its end. @throws ClaraError when the coordinator cannot go on */
  async #lead(lead: Lead, base: TermBase, settled: () => void): Promise<void> {
    let term: LeaderTerm | undefined;
    try {
      term = await this.#openTerm(lead, base);
      this.#term = term;
      this.#health.setServing(true);
      if (this.#isStandingBy) this.#tell({ event: 'leading', epoch: lead.epoch });
      this.#isStandingBy = false;
      this.#markServing();
      settled();
      const reason = await Promise.race([term.over, aborted(this.#stop.signal)]);
      if (reason) this.#lost(reason);
    } catch (error) {
      // A lead that is lost while the journals are replayed is no failure: somebody else replays them.
      if (!lead.lost.aborted) {
        this.#tell({ event: 'stopping', reason: ClaraError.from(error).message });
        throw error;
      }
      this.#lost(lead.lost.reason as ClaraError);
    } finally {
      this.#health.setServing(false);
      this.#term = undefined;
      await term?.close();
      // Only a stop that was asked for is orderly: after any other end an event may be on its way from somewhere.
      await lead.release({ everythingEnded: term !== undefined && this.#stop.signal.aborted });
    }
  }

  #lost({ message }: ClaraError): void {
    this.#isStandingBy = true;
    this.#leader = undefined;
    this.#tell({ event: 'lead-lost', reason: message });
  }

  #openTerm(lead: Lead, { store, authority }: TermBase): Promise<LeaderTerm> {
    const { advertise, software, livenessMillis = LIVENESS_MILLIS, maxUpdateBytes = MAX_UPDATE_BYTES } = this.options;
    const coordinators = advertise?.join(',') || this.address;
    return openTerm(lead, {
      store,
      authority,
      connections: this.#connections,
      addresses: { own: this.address, coordinators, enrolment: this.enrolmentAddress },
      operator: this.#operator,
      software,
      livenessMillis,
      maxUpdateBytes,
      keepUpdates: this.options.keepUpdates ?? 'none',
      metrics: this.#metrics,
      onDelayed: (run, round, { message }) => this.#tell({ event: 'model-delayed', run, round, reason: message }),
      onRetentionFailed: (thrown) => this.#refused('retention', thrown),
      onOperatorFailed: (thrown) => this.#tell({ event: 'problem', reason: ClaraError.from(thrown).message }),
      onRunChanged: ({ run, seq, outcome }) =>
        this.#tell({ event: 'run-changed', run, seq, state: outcome?.kind ?? 'running' }),
    });
  }

  /** @throws ClaraError `unavailable` while this coordinator does not lead, naming who does */
  #current(): LeaderTerm {
    if (this.#term) return this.#term;
    const who = this.#leader ? `the leader is ${this.#leader.address}` : 'no leader is known yet; ask again';
    throw new ClaraError('unavailable', `this coordinator (${this.address}) stands by; ${who}`);
  }

  async #listen(authority: TermBase['authority']): Promise<void> {
    const { hostNames, listen, enrolmentListen } = this.options;
    const enrolment = await startEnrolmentServer(authority, () => this.#current().trust, {
      ...enrolmentListen,
      hosts: hostNames,
      onFailure: (thrown) => this.#refused('enrol', thrown),
    });
    this.#servers.push(enrolment);
    this.enrolmentAddress = `${hostNames[0]}:${enrolment.port}`;
    const certificate = await authority.issueForServer(hostNames);
    this.#certificate = certificate;
    const server = await startSecureServer({
      ...listen,
      material: certificate,
      onSession: (session) => this.#connections.track(session),
      uploads: [wireMethods(Federation).upload.path, wireMethods(Operations).uploadModel.path],
      register: (grpcServer) => {
        this.#health.addTo(grpcServer);
        serveLeader(grpcServer, {
          current: () => this.#current(),
          onFailure: (thrown, method) => this.#refused(method, thrown),
        });
      },
    });
    this.#servers.push(server);
    this.address = `${hostNames[0]}:${server.port}`;
    this.#timers.push(
      keepRotating({
        first: certificate,
        issue: () => authority.issueForServer(hostNames),
        apply: (next) => {
          server.rotate(next);
          this.#certificate = next;
        },
        onFailure: (thrown) => this.#refused('rotate', thrown),
      }),
    );
  }

  /** What belongs to a term is empty while this coordinator stands by. */
  #makeMetrics(): CoordinatorMetrics {
    return new CoordinatorMetrics({
      runs: () => this.#term?.present.runs() ?? [],
      connectedSites: () => this.#term?.present.connectedSites() ?? 0,
      certificates: () => (this.#certificate ? certificateEnds(this.#certificate) : {}),
      siteCertificates: () => this.#term?.trust.register.sites().filter(({ state }) => state === 'enrolled') ?? [],
    });
  }

  async #stopServing(): Promise<void> {
    this.#health.setServing(false);
    for (const stop of this.#timers.splice(0)) stop();
    await this.#figures?.close();
    await Promise.all(this.#servers.splice(0).map((server) => server.stop(STOP_GRACE_MILLIS)));
  }

  #refused(method: string, thrown: unknown): void {
    // Whoever stands by says so to everybody who asks: that is no event.
    if (!this.#term) return;
    const { code, message } = ClaraError.from(thrown);
    this.#tell({ event: 'call-refused', method, code, message });
  }

  #tell(event: CoordinatorEvent): void {
    this.options.onEvent?.(event);
  }
}

/** What is the same in every term. */
interface TermBase {
  readonly store: OpenStore;
  readonly authority: Awaited<ReturnType<typeof openSharedAuthority>>;
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}
