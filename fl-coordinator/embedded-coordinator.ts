import { createHash } from 'node:crypto';
import path from 'node:path';
import { mkdir } from '../base/files';
import type { Federation, Operations } from '../federation/gen/federation/v1/federation_pb';
import { type OperatorIdentity, operatorIdentity, type SiteIdentity, siteIdentity } from '../federation/identity';
import type { ServiceHandlers } from '../federation/service-handlers';
import { type LeaderTerm, openTerm } from './leader-term';
import { takeLead } from './leadership/leadership';
import type { RunState } from './runs/run-state';
import { openStore } from './storage/open-store';
import { storeInWorkspace } from './storage/store-address';
import { newOwnerCard } from './storage/store-owner';
import { ConnectionRegister } from './transport/connection-register';
import { operatorInFolder } from './trust/operator-home';
import { openSharedAuthority } from './trust/shared-authority';
import type { Trust } from './trust/trust';

export interface EmbeddedCoordinatorOptions {
  /** As that of a coordinator that serves: one can be started there afterwards. */
  readonly workspace: string;
  readonly federation: string;
  readonly software: string;
  /** After every event of a run. */
  readonly onRunChanged: (state: RunState) => void;
  readonly onProblem: (error: unknown) => void;
  /** Of the wait for the lead. */
  readonly signal: AbortSignal;
}

/** A coordinator inside of this process: everything but a network, certificates of others, and a standby. */
export interface EmbeddedCoordinator {
  /** What a site calls; whoever calls says who calls. */
  readonly federation: ServiceHandlers<typeof Federation, SiteIdentity>;
  readonly operations: ServiceHandlers<typeof Operations, OperatorIdentity>;
  readonly operator: OperatorIdentity;
  siteIdentity(site: string): SiteIdentity;
  /** Settles when it cannot go on: another process took the store (resolves with why), or it cannot be written (rejects). */
  readonly over: LeaderTerm['over'];
  /** Registers sites that are in this process as well: their certificates exist in the register only. */
  enrol(sites: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

/** Nobody is in another place, so nobody has to be noticed missing; a laptop may sleep. */
const LIVENESS_MILLIS = 3_000_000;
const MAX_UPDATE_BYTES = 4 * 2 ** 30;
const CERTIFICATE_MILLIS = 30 * 86400e3;
const ADDRESS = 'in-process';

/**
 * Opens the store of a workspace as its leader: the term that `startCoordinator` opens, without the servers before it.
 * @throws ClaraError as a coordinator does that cannot lead
 */
export async function openEmbeddedCoordinator(options: EmbeddedCoordinatorOptions): Promise<EmbeddedCoordinator> {
  const { workspace, federation, software, onProblem } = options;
  await mkdir(workspace, { recursive: true });
  const store = await openStore(storeInWorkspace(workspace));
  const closing: (() => Promise<void>)[] = [() => store.close()];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end();
  };
  try {
    const authority = await openSharedAuthority(path.join(workspace, 'trust'), store, { federation });
    const self = { holder: newOwnerCard(), address: ADDRESS, durationMillis: LIVENESS_MILLIS };
    const lead = await takeLead({ store, self, onProblem }, options.signal);
    closing.push(() => lead.release({ everythingEnded: true }));
    const term = await openTerm(lead, {
      store,
      authority,
      connections: new ConnectionRegister(),
      addresses: { own: ADDRESS, coordinators: ADDRESS, enrolment: ADDRESS },
      operator: operatorInFolder(path.join(workspace, 'operator')),
      software,
      livenessMillis: LIVENESS_MILLIS,
      maxUpdateBytes: MAX_UPDATE_BYTES,
      keepUpdates: 'none',
      onRunChanged: options.onRunChanged,
      onDelayed: (_run, _round, error) => onProblem(error),
      onRetentionFailed: onProblem,
      onOperatorFailed: onProblem,
    });
    closing.push(() => term.close());
    return {
      federation: term.federation,
      operations: term.operations,
      operator: operatorIdentity(federation, 'admin'),
      siteIdentity: (site) => siteIdentity(federation, site),
      over: term.over,
      enrol: (sites) => enrol(term.trust, sites),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function enrol({ register, now }: Trust, sites: readonly string[]): Promise<void> {
  const ends = new Date(now().getTime() + CERTIFICATE_MILLIS);
  for (const site of sites) {
    const fingerprint = createHash('sha256').update(`no certificate: ${site} is in this process`).digest('hex');
    const invitation = fingerprint.slice(0, 16);
    await register.invited(site, invitation, ends);
    await register.enrolled(site, invitation, { fingerprint, ends });
  }
}
