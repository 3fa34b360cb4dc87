import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Client } from '@grpc/grpc-js';
import { makeCertificateRequest, makeKeyPair, privateKeyPem } from '../../../../federation/certificates';
import { openChannel } from '../../../../federation/channel';
import type { Credentials } from '../../../../federation/credentials';
import { enrol } from '../../../../federation/enrol';
import type { Identity } from '../../../../federation/identity';
import { parseInvitation } from '../../../../federation/invitation';
import type { SecureServer } from '../../../../fl-coordinator/transport/mtls-server';
import { CertificateAuthority } from '../../../../fl-coordinator/trust/certificate-authority';
import { inviteSite } from '../../../../fl-coordinator/trust/enrolment';
import { type EnrolmentServerOptions, startEnrolmentServer } from '../../../../fl-coordinator/trust/enrolment-service';
import { openTrust, type Trust } from '../../../../fl-coordinator/trust/trust';
import { MemoryStore } from './memory-store';

export const FEDERATION = 'fed.example.org';
export const COORDINATOR = 'localhost:1';

/** A federation in a temporary folder; everything it started or opened ends with `close`. */
export class FederationFixture {
  readonly #closers: (() => void | Promise<void>)[] = [];
  /** What the trust room takes for the present; moves only when a test moves it. */
  clock: Date = new Date();

  readonly store = new MemoryStore();

  private constructor(readonly folder: string) {}

  trust!: Trust;

  static async open(federation = FEDERATION): Promise<FederationFixture> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'clara-trust-'));
    const fixture = new FederationFixture(folder);
    fixture.trust = await fixture.reopen(federation);
    return fixture;
  }

  /** What a coordinator finds that starts on the same workspace. */
  async reopen(federation = FEDERATION): Promise<Trust> {
    const now = () => this.clock;
    const authority = await CertificateAuthority.open(path.join(this.folder, 'trust'), { federation, now });
    return openTrust({ authority, store: this.store.port, now });
  }

  later(close: () => void | Promise<void>): void {
    this.#closers.push(close);
  }

  async enrolmentServer(options: Partial<EnrolmentServerOptions> = {}): Promise<SecureServer> {
    const server = await startEnrolmentServer(this.trust.authority, () => this.trust, {
      host: '127.0.0.1',
      port: 0,
      hosts: ['localhost', '127.0.0.1'],
      now: this.trust.now,
      ...options,
    });
    this.later(() => server.stop(0));
    return server;
  }

  async invite(site: string, port: number, validMinutes = 60): Promise<string> {
    const addresses = { enrolment: `localhost:${port}`, coordinator: COORDINATOR };
    return (await inviteSite(this.trust, { site, validMinutes, ...addresses })).invitation;
  }

  /** The whole way through the enrolment port. */
  async enrol(site: string): Promise<Credentials> {
    const server = await this.enrolmentServer();
    const invitation = parseInvitation(await this.invite(site, server.port));
    return enrol(invitation, { folder: path.join(this.folder, 'sites', site) });
  }

  channel(port: number, credentials: Parameters<typeof openChannel>[0]['credentials']): Client {
    const channel = openChannel({ address: `localhost:${port}`, credentials });
    this.later(() => channel.close());
    return channel;
  }

  async close(): Promise<void> {
    for (const close of this.#closers.reverse()) await close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Credentials straight from an authority, without anything in a register. */
export async function issueDirectly(trust: Pick<Trust, 'authority'>, identity: Identity): Promise<Credentials> {
  const keys = await makeKeyPair();
  const { chainPem, rootsPem } = await trust.authority.issue(await makeCertificateRequest(keys), identity);
  return { identity, keyPem: await privateKeyPem(keys), chainPem, rootsPem };
}

/** The error that `work` rejects with. */
export async function failureOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => new Error('it did not fail'),
    (error) => error,
  );
}
