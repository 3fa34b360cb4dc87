import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { hasSystemCode } from '../../../base/system-codes';
import {
  makeCertificateRequest,
  makeKeyPair,
  privateKeyPem,
  SIGNING_ALGORITHM,
} from '../../../federation/certificates';
import { type Credentials, loadCredentials } from '../../../federation/credentials';
import { enrol } from '../../../federation/enrol';
import { Enrolment } from '../../../federation/gen/federation/v1/federation_pb';
import { parseInvitation } from '../../../federation/invitation';
import { serve } from '../../../federation/service-handlers';
import { clientOf } from '../../../federation/services';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  X509Certificate as PeculiarCertificate,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '../../../federation/x509';
import { startSecureServer } from '../../../fl-coordinator/transport/mtls-server';
import { enrolSite } from '../../../fl-coordinator/trust/enrolment';
import { COORDINATOR, FederationFixture, failureOf, issueDirectly } from './support/federation-fixture';

describe('enrolment', () => {
  let fed: FederationFixture;
  beforeEach(async () => {
    fed = await FederationFixture.open();
  });
  afterEach(() => fed.close());

  const tokenClient = (port: number) =>
    clientOf(Enrolment, fed.channel(port, { rootsPem: fed.trust.authority.rootsPem }));

  it('turns an invitation into credentials whose key was made by the site', async () => {
    const credentials = await fed.enrol('st-marys');
    assert.deepEqual(credentials.identity, { kind: 'site', federation: 'fed.example.org', id: 'st-marys' });
    assert.equal(credentials.coordinator, COORDINATOR);
    const folder = path.join(fed.folder, 'sites', 'st-marys');
    assert.deepEqual(await loadCredentials(folder), credentials);
    assert.equal(statSync(path.join(folder, 'key.pem')).mode & 0o777, 0o600);
    assert.ok(!existsSync(path.join(folder, 'key.next.pem')));
    const leaf = new X509Certificate(credentials.chainPem);
    assert.equal(leaf.subjectAltName, 'URI:spiffe://fed.example.org/site/st-marys');
    assert.equal(fed.trust.register.site('st-marys')?.state, 'enrolled');
    assert.ok(fed.trust.register.site('st-marys')?.admitted.has(leaf.fingerprint256.replaceAll(':', '').toLowerCase()));
  });

  it('makes chains that OpenSSL verifies for their purpose, and for no other', async function () {
    const credentials = await fed.enrol('st-marys');
    const server = await fed.trust.authority.issueForServer(['localhost', '127.0.0.1']);
    const file = (name: string, pem: string) => {
      writeFileSync(path.join(fed.folder, name), pem);
      return path.join(fed.folder, name);
    };
    const verify = ({ chainPem }: Pick<Credentials, 'chainPem'>, purpose: string): boolean => {
      const [leaf, issuer] = chainPem.split(/(?<=-----END CERTIFICATE-----\n)/);
      const roots = file('roots.pem', credentials.rootsPem);
      const chain = ['-untrusted', file('issuer.pem', issuer), file('leaf.pem', leaf)];
      try {
        execFileSync('openssl', ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', roots, ...chain], {
          stdio: 'pipe',
        });
        return true;
      } catch (error) {
        if (hasSystemCode(error, 'ENOENT')) {
          console.log('      skipped: there is no openssl program on this machine');
          this.skip();
        }
        return false;
      }
    };
    assert.deepEqual(
      ['sslclient', 'sslserver'].map((purpose) => [verify(credentials, purpose), verify(server, purpose)]),
      [
        [true, false],
        [false, true],
      ],
    );
  });

  it('refuses a token that was used, mistyped, cut short or never made', async () => {
    const server = await fed.enrolmentServer();
    const { token } = parseInvitation(await fed.invite('st-marys', server.port));
    const csrDer = await makeCertificateRequest(await makeKeyPair());
    const client = tokenClient(server.port);
    const flipped = `${token.slice(0, -2)}${token.at(-2) === 'A' ? 'B' : 'A'}${token.at(-1)}`;
    const unknown = `0000000000000000${token.slice(16)}`;
    for (const wrong of [flipped, unknown, token.slice(0, 30), '', 'x'.repeat(5000)]) {
      assert.match(String(await failureOf(client.enrol({ token: wrong, csrDer }))), /the token is not valid; copy/);
    }
    const reply = await client.enrol({ token, csrDer });
    assert.equal(reply.identity, 'spiffe://fed.example.org/site/st-marys');
    const again = await failureOf(client.enrol({ token, csrDer }));
    assert.match(String(again), /token of site st-marys has been used/);
    assert.equal((again as { code?: string }).code, 'unauthenticated');
  });

  it('refuses a token that has expired, by the clock of the coordinator', async () => {
    const server = await fed.enrolmentServer();
    const { token } = parseInvitation(await fed.invite('st-marys', server.port, 10));
    fed.clock = new Date(fed.clock.getTime() + 10 * 60_000);
    const csrDer = await makeCertificateRequest(await makeKeyPair());
    const failure = await failureOf(tokenClient(server.port).enrol({ token, csrDer }));
    assert.match(String(failure), /token of site st-marys expired at .*; ask for a new invitation/);
  });

  it('lets one of many concurrent uses of a token win', async () => {
    const server = await fed.enrolmentServer();
    const { token } = parseInvitation(await fed.invite('st-marys', server.port));
    const csrDer = await makeCertificateRequest(await makeKeyPair());
    const client = tokenClient(server.port);
    const results = await Promise.allSettled(Array.from({ length: 6 }, () => client.enrol({ token, csrDer })));
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const result of results)
      if (result.status === 'rejected') assert.match(String(result.reason), /has been used/);
  });

  describe('whose coordinator dies with the token spent', () => {
    /** As a kill between the two writes: the marker is there, the register never heard of it. */
    const cutShort = async (token: string, csrDer: Uint8Array) => {
      const { register } = fed.trust;
      const dying = Object.create(register, { enrolled: { value: () => Promise.reject(new Error('killed')) } });
      await failureOf(enrolSite({ ...fed.trust, register: dying }, token, csrDer));
      fed.trust = await fed.reopen();
      assert.equal(fed.trust.register.site('st-marys')?.state, 'invited');
    };

    it('is completed for the same key, once', async () => {
      const { token } = parseInvitation(await fed.invite('st-marys', 1));
      const keys = await makeKeyPair();
      await cutShort(token, await makeCertificateRequest(keys));
      await enrolSite(fed.trust, token, await makeCertificateRequest(keys));
      assert.equal(fed.trust.register.site('st-marys')?.state, 'enrolled');
      const again = await failureOf(enrolSite(fed.trust, token, await makeCertificateRequest(keys)));
      assert.match(String(again), /has been used/);
    });

    it('is refused to another key', async () => {
      const { token } = parseInvitation(await fed.invite('st-marys', 1));
      await cutShort(token, await makeCertificateRequest(await makeKeyPair()));
      const thief = await failureOf(enrolSite(fed.trust, token, await makeCertificateRequest(await makeKeyPair())));
      assert.match(String(thief), /has been used/);
      assert.equal(fed.trust.register.site('st-marys')?.state, 'invited');
    });

    it('is refused to every key when an earlier release spent the token', async () => {
      const { token } = parseInvitation(await fed.invite('st-marys', 1));
      const marker = Buffer.from(JSON.stringify({ v: 1, at: new Date().toISOString() }));
      await fed.store.putIfAbsent(`federation/tokens/${token.slice(0, 16)}.used.json`, marker);
      const failure = await failureOf(enrolSite(fed.trust, token, await makeCertificateRequest(await makeKeyPair())));
      assert.match(String(failure), /has been used/);
    });
  });

  it('voids earlier invitations of a site by a later one, and all of them by revocation', async () => {
    const server = await fed.enrolmentServer();
    const invitations = [await fed.invite('st-marys', server.port), await fed.invite('st-marys', server.port)];
    const [first, second] = invitations.map((line) => parseInvitation(line).token);
    const csrDer = await makeCertificateRequest(await makeKeyPair());
    const client = tokenClient(server.port);
    assert.match(
      String(await failureOf(client.enrol({ token: first, csrDer }))),
      /withdrawn or replaced by a later one/,
    );
    await fed.trust.register.revoke('st-marys', 'lost laptop');
    assert.match(String(await failureOf(client.enrol({ token: second, csrDer }))), /withdrawn or replaced/);
  });

  it('ignores every name and extension that a certificate request asks for', async () => {
    const server = await fed.enrolmentServer();
    const { token } = parseInvitation(await fed.invite('st-marys', server.port));
    const keys = await makeKeyPair();
    const request = await Pkcs10CertificateRequestGenerator.create({
      name: 'CN=operator root',
      keys,
      signingAlgorithm: SIGNING_ALGORITHM,
      extensions: [
        new SubjectAlternativeNameExtension([{ type: 'url', value: 'spiffe://fed.example.org/operator/root' }]),
        new BasicConstraintsExtension(true, 3, true),
      ],
    });
    const reply = await tokenClient(server.port).enrol({ token, csrDer: new Uint8Array(request.rawData) });
    const leaf = new X509Certificate(reply.credentials?.chainPem ?? '');
    assert.equal(leaf.subject, 'CN=site st-marys');
    assert.equal(leaf.subjectAltName, 'URI:spiffe://fed.example.org/site/st-marys');
    assert.equal(leaf.ca, false);
  });

  it('refuses a malformed, foreign-signed or oversized request without spending the token', async () => {
    const server = await fed.enrolmentServer({ limits: { perAddress: 1000, total: 1000 } });
    const { token } = parseInvitation(await fed.invite('st-marys', server.port));
    const good = await makeCertificateRequest(await makeKeyPair());
    const badSignature = Uint8Array.from(good);
    badSignature[badSignature.length - 1] ^= 1;
    const client = tokenClient(server.port);
    for (const csrDer of [
      new Uint8Array(0),
      Uint8Array.of(0x30, 0x84, 255, 255, 255, 255),
      badSignature,
      new Uint8Array(5000),
    ]) {
      const failure = await failureOf(client.enrol({ token, csrDer }));
      assert.match(String(failure), /the certificate request /);
      assert.equal((failure as { code?: string }).code, 'invalid-input');
    }
    await client.enrol({ token, csrDer: good });
  });

  it('answers too many attempts from one address with the limit, whatever they carry', async () => {
    const server = await fed.enrolmentServer({ limits: { perAddress: 3, total: 100, clock: () => 0 } });
    const { token } = parseInvitation(await fed.invite('st-marys', server.port));
    const csrDer = await makeCertificateRequest(await makeKeyPair());
    const client = tokenClient(server.port);
    for (let i = 0; i < 3; i++) await failureOf(client.enrol({ token: 'guess', csrDer }));
    const failure = await failureOf(client.enrol({ token, csrDer }));
    assert.match(String(failure), /this address may try to enrol 3 times a minute; wait a minute/);
  });

  describe('as the site sees it', () => {
    const folderOf = (): string => path.join(fed.folder, 'site');

    it('refuses a coordinator that does not present the pinned root, before sending the token', async () => {
      const refusals: unknown[] = [];
      const server = await fed.enrolmentServer({ onFailure: (thrown) => refusals.push(thrown) });
      const invitation = parseInvitation(await fed.invite('st-marys', server.port));
      const tampered = { ...invitation, rootFingerprint: '0'.repeat(64) };
      const failure = await failureOf(enrol(tampered, { folder: folderOf() }));
      assert.match(
        String(failure),
        /does not present the root certificate 0000000000000000\.\.\. that the invitation pins/,
      );
      assert.ok(!existsSync(folderOf()));
      assert.deepEqual(refusals, []);
      await enrol(invitation, { folder: folderOf() }); // the token is unspent
    });

    it('refuses an impostor whose certificate only claims to descend from the pinned root', async () => {
      const real = await fed.trust.authority.issueForServer(['localhost']);
      const [, issuerPem, rootPem] = real.chainWithRootPem.split(/(?<=-----END CERTIFICATE-----\n)/);
      const issuer = new PeculiarCertificate(issuerPem);
      const keys = await makeKeyPair();
      const forged = await X509CertificateGenerator.create({
        subject: 'CN=coordinator',
        issuer: issuer.subjectName,
        publicKey: keys.publicKey,
        signingKey: keys.privateKey, // not the issuer's
        signingAlgorithm: SIGNING_ALGORITHM,
        extensions: [
          new SubjectAlternativeNameExtension([{ type: 'dns', value: 'localhost' }]),
          await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
        ],
      });
      const chainPem = `${forged.toString('pem')}\n${issuerPem}${rootPem}`;
      const received: string[] = [];
      const server = await startSecureServer({
        host: '127.0.0.1',
        port: 0,
        material: { keyPem: await privateKeyPem(keys), chainPem },
        register: (grpc) =>
          serve(
            grpc,
            Enrolment,
            {
              enrol: async ({ token }) => {
                received.push(token);
                return {};
              },
            },
            { admit: () => undefined },
          ),
      });
      fed.later(() => server.stop(0));
      const invitation = parseInvitation(await fed.invite('st-marys', server.port));
      const failure = await failureOf(enrol(invitation, { folder: folderOf(), timeoutMillis: 5000 }));
      assert.match(String(failure), /its certificate is not signed by a root that we know/);
      assert.deepEqual(received, []);
      assert.ok(!existsSync(folderOf()));
    });

    it('does not dial for an invitation that has expired', async () => {
      const server = await fed.enrolmentServer();
      const invitation = parseInvitation(await fed.invite('st-marys', server.port, 10));
      const now = () => new Date(Date.now() + 11 * 60_000);
      assert.match(
        String(await failureOf(enrol(invitation, { folder: folderOf(), now }))),
        /expired at .*ask the coordinator/,
      );
    });

    it('says in one sentence that nobody listens', async () => {
      const server = await fed.enrolmentServer();
      const invitation = parseInvitation(await fed.invite('st-marys', server.port));
      await server.stop(0);
      const failure = await failureOf(enrol(invitation, { folder: folderOf() }));
      assert.match(String(failure), /localhost:\d+ cannot be reached for enrolment/);
      assert.equal((failure as { code?: string }).code, 'unavailable');
    });

    it('refuses a certificate of another key or another site', async () => {
      for (const [answerFor, expected] of [
        ['other-key', /certificate of another key/],
        ['other-site', /certificate of spiffe:\/\/fed\.example\.org\/site\/elsewhere instead of/],
      ] as const) {
        const material = await fed.trust.authority.issueForServer(['localhost']);
        const server = await startSecureServer({
          host: '127.0.0.1',
          port: 0,
          material: { keyPem: material.keyPem, chainPem: material.chainWithRootPem },
          register: (grpc) =>
            serve(
              grpc,
              Enrolment,
              {
                enrol: async ({ csrDer }) => {
                  const identity = { kind: 'site', federation: 'fed.example.org', id: 'elsewhere' } as const;
                  const issued =
                    answerFor === 'other-key'
                      ? await issueDirectly(fed.trust, identity)
                      : await fed.trust.authority.issue(csrDer, identity);
                  return { credentials: { chainPem: issued.chainPem, rootsPem: issued.rootsPem } };
                },
              },
              { admit: () => undefined },
            ),
        });
        fed.later(() => server.stop(0));
        const invitation = parseInvitation(await fed.invite('st-marys', server.port));
        assert.match(String(await failureOf(enrol(invitation, { folder: folderOf() }))), expected);
        assert.ok(!existsSync(folderOf()));
      }
    });
  });

  it('keeps no secret of a token in the store', async () => {
    const { token } = parseInvitation(await fed.invite('st-marys', 1));
    const stored = fed.store.dump();
    assert.ok(stored.includes(token.slice(0, 16)) && !stored.includes(token.slice(17)));
  });

  it('writes keys that other users cannot read', async () => {
    assert.match(await privateKeyPem(await makeKeyPair()), /BEGIN PRIVATE KEY/);
    for (const name of ['root.key.pem', 'issuer.key.pem']) {
      assert.equal(statSync(path.join(fed.folder, 'trust', 'authority', name)).mode & 0o777, 0o600);
    }
  });
});
