import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import tls from 'node:tls';
import { ClaraError } from '../../../base/errors';
import {
  certificatesIn,
  endOf,
  makeCertificateRequest,
  makeKeyPair,
  privateKeyPem,
} from '../../../federation/certificates';
import type { Credentials } from '../../../federation/credentials';
import { Federation, Operations } from '../../../federation/gen/federation/v1/federation_pb';
import { operatorIdentity, siteIdentity } from '../../../federation/identity';
import { type ServiceHandlers, serve } from '../../../federation/service-handlers';
import { clientOf } from '../../../federation/services';
import { received } from '../../../federation/stream-flow';
import { ConnectionRegister } from '../../../fl-coordinator/transport/connection-register';
import { type SecureServer, startSecureServer } from '../../../fl-coordinator/transport/mtls-server';
import { CertificateAuthority } from '../../../fl-coordinator/trust/certificate-authority';
import { bootstrapOperator, siteRenewal } from '../../../fl-coordinator/trust/enrolment';
import { operatorInFolder } from '../../../fl-coordinator/trust/operator-home';
import { type AdmittedPeer, admitPeer } from '../../../fl-coordinator/trust/peer-identity';
import { fault } from '../../support/faults';
import { FEDERATION, FederationFixture, failureOf, issueDirectly } from '../trust/support/federation-fixture';

const refuse = async (): Promise<never> => {
  throw new ClaraError('unsupported', 'not in this test');
};
const nothing = async function* (): AsyncGenerator<never> {};

describe('mutual TLS', () => {
  let fed: FederationFixture;
  let renewal: ReturnType<typeof siteRenewal>;
  let server: SecureServer;
  let connections: ConnectionRegister;
  /** Streams of `connect` that are open at the server. */
  let streams: { readonly cancelled: boolean; once(event: string, listener: () => void): unknown }[];

  const federation: ServiceHandlers<typeof Federation, AdmittedPeer> = {
    connect: async (_, { signal }, call) => {
      streams.push(call);
      call.write({ message: { case: 'welcome', value: { software: 'test' } } });
      if (!signal.aborted) await once(signal, 'abort');
    },
    download: nothing,
    upload: refuse,
    uploadStatus: async (_, { caller }) => {
      assert.equal(caller.identity.kind, 'site');
      return { durableBytes: 7n };
    },
    probe: async () => ({}),
    renew: async ({ csrDer }, { caller }) => {
      assert.ok(caller.identity.kind === 'site');
      const { chainPem, rootsPem } = await renewal(caller.identity, csrDer);
      return { chainPem, rootsPem };
    },
  };
  const operations: ServiceHandlers<typeof Operations, AdmittedPeer> = {
    submitRun: refuse,
    listRuns: async () => ({ runs: [{ run: 'r-1' }] }),
    showRun: refuse,
    watchRun: nothing,
    abortRun: refuse,
    pauseRun: refuse,
    resumeRun: refuse,
    fetchModel: nothing,
    showLedger: nothing,
    showStatistics: nothing,
    uploadModel: refuse,
    registerModel: refuse,
    listModels: refuse,
    showModel: refuse,
    setModelStage: refuse,
    promoteModel: refuse,
    rollbackModel: refuse,
    listSites: refuse,
    inviteSite: refuse,
    revokeSite: refuse,
  };

  beforeEach(async () => {
    fed = await FederationFixture.open();
    renewal = siteRenewal(fed.trust);
    streams = [];
    connections = new ConnectionRegister();
    fed.trust.register.onRevoked(({ fingerprints }) => connections.end(fingerprints));
    server = await startSecureServer({
      host: '127.0.0.1',
      port: 0,
      material: await material(),
      onSession: (session) => connections.track(session),
      register: (grpc) => {
        serve(grpc, Federation, federation, {
          admit: (call, method) => admitPeer(call, `federation.${method}`, fed.trust),
        });
        serve(grpc, Operations, operations, {
          admit: (call, method) => admitPeer(call, `operations.${method}`, fed.trust),
        });
      },
    });
    fed.later(() => server.stop(0));
  });
  afterEach(() => fed.close());

  async function material() {
    const { keyPem, chainPem, rootsPem } = await fed.trust.authority.issueForServer(['localhost', '127.0.0.1']);
    return { keyPem, chainPem, rootsPem };
  }
  const site = (credentials: Parameters<FederationFixture['channel']>[1]) =>
    clientOf(Federation, fed.channel(server.port, credentials));
  const operator = (credentials: Credentials) => clientOf(Operations, fed.channel(server.port, credentials));
  const patience = { timeoutMillis: 10_000 };

  it('lets an enrolled site call what sites may call', async () => {
    assert.equal((await site(await fed.enrol('st-marys')).uploadStatus({}, patience)).durableBytes, 7n);
  });

  it('lets an operator call what the role allows, and nothing else', async () => {
    const folder = `${fed.folder}/auditor`;
    const auditor = operator(
      await bootstrapOperator(fed.trust, { name: 'ann', role: 'auditor', home: operatorInFolder(folder) }),
    );
    assert.equal((await auditor.listRuns({}, patience)).runs[0].run, 'r-1');
    const failure = await failureOf(auditor.submitRun({ plan: '' }, patience));
    assert.match(String(failure), /role auditor may not call operations\.submitRun; it is for: admin, researcher/);
    assert.equal((failure as ClaraError).code, 'permission-denied');
  });

  it("refuses the certificate of a site at the operators' service, and the other way round", async () => {
    const failure = await failureOf(operator(await fed.enrol('st-marys')).listRuns({}, patience));
    assert.match(String(failure), /role site may not call operations\.listRuns/);
    const admin = await bootstrapOperator(fed.trust, {
      name: 'ann',
      role: 'admin',
      home: operatorInFolder(`${fed.folder}/admin`),
    });
    assert.match(
      String(await failureOf(site(admin).uploadStatus({}, patience))),
      /role admin may not call federation\.uploadStatus/,
    );
  });

  it('refuses streams of every kind with the same sentence', async () => {
    const admin = site(
      await bootstrapOperator(fed.trust, { name: 'ann', role: 'admin', home: operatorInFolder(`${fed.folder}/admin`) }),
    );
    const drain = async (messages: AsyncIterable<unknown>) => {
      for await (const _ of messages) assert.fail('a message came');
    };
    const upload = admin.upload(patience);
    const attempts = [
      () => drain(received(admin.connect(patience))),
      () => drain(received(admin.download({}, patience))),
      () => upload.reply,
    ];
    for (const attempt of attempts)
      assert.match(String(await failureOf(attempt())), /role admin may not call federation\./);
  });

  it('refuses a client without a certificate, and one of another authority, before any call', async () => {
    const { rootsPem } = fed.trust.authority;
    const other = await CertificateAuthority.open(`${fed.folder}/other`, { federation: FEDERATION });
    const foreign = await issueDirectly({ authority: other }, siteIdentity(FEDERATION, 'st-marys'));
    for (const credentials of [{ rootsPem }, { ...foreign, rootsPem }]) {
      const failure = await failureOf(site(credentials).uploadStatus({}, patience));
      assert.equal((failure as ClaraError).code, 'unavailable');
      assert.match(String(failure), /it (does|may) not accept our certificate/);
    }
    assert.equal(connections.size, 0);
  });

  it('is refused by a client that knows another authority, or dials another name', async () => {
    const credentials = await fed.enrol('st-marys');
    const other = await CertificateAuthority.open(`${fed.folder}/other`, { federation: FEDERATION });
    const failure = await failureOf(site({ ...credentials, rootsPem: other.rootsPem }).uploadStatus({}, patience));
    assert.match(String(failure), /its certificate is not signed by a root that we know/);
    server.rotate({ ...(await material()), ...(await fed.trust.authority.issueForServer(['elsewhere.example.org'])) });
    assert.match(
      String(await failureOf(site(credentials).uploadStatus({}, patience))),
      /its certificate is for other host names/,
    );
  });

  it('refuses a certificate that has ended', async () => {
    const past = new Date(Date.now() - 60 * 86_400_000);
    const early = await CertificateAuthority.open(`${fed.folder}/trust`, { federation: FEDERATION, now: () => past });
    const ended = await issueDirectly({ authority: early }, siteIdentity(FEDERATION, 'st-marys'));
    assert.match(
      String(await failureOf(site(ended).uploadStatus({}, patience))),
      /it (does|may) not accept our certificate \(ended/,
    );
    assert.equal(connections.size, 0);
  });

  fault({
    area: 'Clocks',
    fault: "the coordinator's clock was an hour ahead when a site enrolled, and is put right",
    where: 'enrolment and TLS',
    ends: 'the site is admitted: certificates begin a day before they are issued',
  }).it('takes a certificate that was issued while the clock was an hour ahead', async () => {
    const present = fed.clock;
    fed.clock = new Date(present.getTime() + 3600e3);
    const credentials = await fed.enrol('st-marys');
    server.rotate(await material());
    fed.clock = present;
    assert.equal((await site(credentials).uploadStatus({}, patience)).durableBytes, 7n);
  });

  fault({
    area: 'Clocks',
    fault: 'a connection outlives the certificate that opened it',
    where: 'a call, by the clock of the coordinator',
    reads: 'the certificate of site st-marys ended at {time}; ask for a new invitation and enrol again',
    ends: 'the call is refused',
  }).it('refuses calls on a connection that has outlived its certificate', async (told) => {
    const client = site(await fed.enrol('st-marys'));
    await client.uploadStatus({}, patience);
    fed.clock = new Date(fed.clock.getTime() + 31 * 86_400_000);
    told(((await failureOf(client.uploadStatus({}, patience))) as ClaraError).message);
  });

  it('refuses a certificate that its own authority signed but no journal knows', async () => {
    await fed.enrol('st-marys');
    const stray = await issueDirectly(fed.trust, siteIdentity(FEDERATION, 'st-marys'));
    const strange = await issueDirectly(fed.trust, operatorIdentity(FEDERATION, 'mallory'));
    for (const credentials of [stray, strange]) {
      assert.match(
        String(await failureOf(site(credentials).uploadStatus({}, patience))),
        /is not in the federation's register/,
      );
    }
  });

  it('ends the open stream of a revoked site and refuses it from then on, but no other site', async () => {
    const [revoked, other] = [site(await fed.enrol('st-marys')), site(await fed.enrol('charite'))];
    const open = [];
    // One after the other, so that the server's streams are in this order.
    for (const client of [revoked, other]) {
      const stream = received(client.connect())[Symbol.asyncIterator]();
      assert.equal((await stream.next()).value?.message.case, 'welcome');
      open.push(stream);
    }
    assert.equal(connections.size, 2);
    const cancelled = new Promise<void>((resolve) => streams[0].once('cancelled', resolve));
    await fed.trust.register.revoke('st-marys', 'left the consortium');
    await cancelled;
    assert.equal(((await failureOf(open[0].next())) as ClaraError).code, 'unavailable');
    assert.match(String(await failureOf(revoked.uploadStatus({}, patience))), /site st-marys has been revoked/);
    await other.uploadStatus({}, patience);
    assert.equal(streams[1].cancelled, false);
  });

  it('ends an open connection when its certificate ends', async () => {
    const brief = await CertificateAuthority.open(`${fed.folder}/trust`, { federation: FEDERATION, leafMillis: 6000 });
    const identity = siteIdentity(FEDERATION, 'st-marys');
    const credentials = await issueDirectly({ authority: brief }, identity);
    const session = http2.connect(`https://localhost:${server.port}`, {
      key: credentials.keyPem,
      cert: credentials.chainPem,
      ca: credentials.rootsPem,
    });
    session.on('error', () => {});
    await once(session, 'connect');
    await once(session, 'close');
    assert.equal(connections.size, 0);
    assert.ok(new Date() >= endOf(certificatesIn(credentials.chainPem, 'chain')[0]));
  });

  it('renews a certificate over the connection that the former one opened, and believes both', async () => {
    const credentials = await fed.enrol('st-marys');
    const keys = await makeKeyPair();
    const renewed = await site(credentials).renew({ csrDer: await makeCertificateRequest(keys) }, patience);
    const fresh = { keyPem: await privateKeyPem(keys), chainPem: renewed.chainPem, rootsPem: renewed.rootsPem };
    await site(fresh).uploadStatus({}, patience);
    await site(credentials).uploadStatus({}, patience);
  });

  it('renews for a site a few times an hour only, and goes on for others', async () => {
    const keys = await makeKeyPair();
    const request = { csrDer: new Uint8Array(await makeCertificateRequest(keys)) };
    const eager = site(await fed.enrol('st-marys'));
    for (let i = 0; i < 6; i++) await eager.renew(request, patience);
    const failure = await failureOf(eager.renew(request, patience));
    assert.equal((failure as ClaraError).code, 'resource-exhausted');
    assert.match(String(failure), /may renew certificates 6 times in 60 minutes/);
    await site(await fed.enrol('riverside')).renew(request, patience);
  });

  it('presents a rotated certificate to new connections while open ones go on', async () => {
    const credentials = await fed.enrol('st-marys');
    const client = site(credentials);
    const stream = received(client.connect())[Symbol.asyncIterator]();
    await stream.next();
    const serialOf = async () => {
      const { keyPem: key, chainPem: cert, rootsPem: ca } = credentials;
      const socket = tls.connect({ port: server.port, host: 'localhost', key, cert, ca, ALPNProtocols: ['h2'] });
      await once(socket, 'secureConnect');
      const { serialNumber } = socket.getPeerCertificate();
      const protocol = socket.getProtocol();
      socket.destroy();
      return { serialNumber, protocol };
    };
    const before = await serialOf();
    server.rotate(await material());
    const after = await serialOf();
    assert.notEqual(after.serialNumber, before.serialNumber);
    assert.deepEqual([before.protocol, after.protocol], ['TLSv1.3', 'TLSv1.3']);
    await client.uploadStatus({}, patience);
    assert.equal(streams[0].cancelled, false);
  });

  it('still asks for client certificates after a rotation', async () => {
    server.rotate(await material());
    const failure = await failureOf(site({ rootsPem: fed.trust.authority.rootsPem }).uploadStatus({}, patience));
    assert.equal((failure as ClaraError).code, 'unavailable');
  });

  it('speaks nothing older than TLS 1.3', async () => {
    const { keyPem: key, chainPem: cert, rootsPem: ca } = await fed.enrol('st-marys');
    const socket = tls.connect({ port: server.port, host: 'localhost', key, cert, ca, maxVersion: 'TLSv1.2' });
    const [error] = await once(socket, 'error');
    assert.match(String(error), /protocol version/i);
  });

  it('prefers AES with 128 bits, and takes 256 from a client that wants nothing else', async () => {
    const { keyPem: key, chainPem: cert, rootsPem: ca } = await fed.enrol('st-marys');
    const suiteWith = async (ciphers?: string) => {
      const own = { key, cert, ca, ...(ciphers && { ciphers }) };
      const socket = tls.connect({ port: server.port, host: 'localhost', ALPNProtocols: ['h2'], ...own });
      await once(socket, 'secureConnect');
      const { name } = socket.getCipher();
      socket.destroy();
      return name;
    };
    assert.equal(await suiteWith(), 'TLS_AES_128_GCM_SHA256');
    assert.equal(await suiteWith('TLS_AES_256_GCM_SHA384'), 'TLS_AES_256_GCM_SHA384');
  });

  it('bounds concurrent calls on a connection', async () => {
    const { keyPem: key, chainPem: cert, rootsPem: ca } = await fed.enrol('st-marys');
    const session = http2.connect(`https://localhost:${server.port}`, { key, cert, ca });
    const [settings] = await once(session, 'remoteSettings');
    session.destroy();
    assert.equal(settings.maxConcurrentStreams, 64);
  });

  it('refuses a message over the cap', async () => {
    const admin = await bootstrapOperator(fed.trust, {
      name: 'ann',
      role: 'admin',
      home: operatorInFolder(`${fed.folder}/admin`),
    });
    const failure = await failureOf(operator(admin).submitRun({ plan: 'x'.repeat(9 * 2 ** 20) }, patience));
    assert.equal((failure as ClaraError).code, 'resource-exhausted');
  });

  it('says that its address is taken', async () => {
    const again = startSecureServer({
      host: '127.0.0.1',
      port: server.port,
      material: await material(),
      register: () => {},
    });
    const failure = await failureOf(again);
    assert.match(String(failure), /127\.0\.0\.1:\d+ cannot be listened on/);
    assert.equal((failure as ClaraError).code, 'unavailable');
  });
});
