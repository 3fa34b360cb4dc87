import assert from 'node:assert/strict';
import path from 'node:path';
import { ClaraError } from '../../base/errors';
import { makeCertificateRequest, makeKeyPair, privateKeyPem } from '../../federation/certificates';
import { openChannel } from '../../federation/channel';
import { type Credentials, loadCredentials, saveCredentials } from '../../federation/credentials';
import { Federation as FederationService } from '../../federation/gen/federation/v1/federation_pb';
import { clientOf } from '../../federation/services';
import { received } from '../../federation/stream-flow';
import { CertificateAuthority } from '../../fl-coordinator/trust/certificate-authority';
import { fault } from '../support/faults';
import { Federation } from '../support/federation';

describe('a peer that is not to be believed', () => {
  let federation: Federation;
  let run: string;

  before(async () => {
    federation = await Federation.start(['a', 'b']);
    run = await federation.submit({ rounds: 1 });
    await federation.outcomeOf(run);
  });
  after(() => federation?.stop());

  const credentialsOf = (site: string) => loadCredentials(path.join(federation.siteFolder(site), 'credentials'));

  /** Credentials for the identity of site a, signed by the authority in `folder` at a time of its own. */
  const forged = async (folder: string, issuedAt: Date): Promise<Credentials> => {
    const genuine = await credentialsOf('a');
    const options = { federation: 'clara', leafMillis: 3600e3, now: () => issuedAt };
    const authority = await CertificateAuthority.open(folder, options);
    const keys = await makeKeyPair();
    const { chainPem } = await authority.issue(await makeCertificateRequest(keys), genuine.identity);
    return { ...genuine, chainPem, keyPem: await privateKeyPem(keys) };
  };

  /** What an upload is answered with, after checking that it changed nothing. */
  const refusalOf = async (credentials: Credentials, task: string): Promise<ClaraError> => {
    const before = await federation.journal(run);
    const channel = openChannel({ address: `localhost:${federation.port}`, credentials });
    try {
      const question = { task, size: 10n, sha256: new Uint8Array(32) };
      const error = await clientOf(FederationService, channel)
        .uploadStatus(question)
        .then(
          () => assert.fail('it was not refused'),
          (thrown: unknown) => thrown,
        );
      assert.ok(error instanceof ClaraError, String(error));
      assert.ok(!error.message.includes('\n'), error.message);
      assert.deepEqual(await federation.journal(run), before);
      return error;
    } finally {
      channel.close();
    }
  };

  fault({
    area: 'Who may not: certificates, roles, invitations',
    fault: 'a peer has a certificate of another authority',
    where: 'TLS',
    reads:
      'coordinator cannot be reached: it closed the connection; it may not accept our certificate (ended, or of another federation), or be stopping',
    ends: 'nothing is read or written',
  }).it('with a certificate of another authority is refused in one sentence', async (told) => {
    const stranger = await forged(path.join(federation.folder, 'another-authority'), new Date());
    const error = await refusalOf(stranger, `${run}/train/1/a`);
    assert.equal(error.code, 'unavailable');
    assert.match(error.message, /certificate/);
    told(error.message);
  });

  fault({
    area: 'Who may not: certificates, roles, invitations',
    fault: 'a peer has a certificate that has ended',
    where: 'TLS',
    reads:
      'coordinator cannot be reached: it closed the connection; it may not accept our certificate (ended, or of another federation), or be stopping',
    ends: 'nothing is read or written',
  }).it('with a certificate that has ended is refused in one sentence', async (told) => {
    const own = path.join(federation.folder, 'coordinator', 'trust');
    const error = await refusalOf(await forged(own, new Date(Date.now() - 86400e3)), `${run}/train/1/a`);
    assert.match(error.message, /certificate/);
    told(error.message);
  });

  fault({
    area: 'Who may not: certificates, roles, invitations',
    fault: 'a peer has a certificate of the right authority that nobody enrolled',
    where: 'a call',
    reads:
      "this certificate of site a is not in the federation's register, or was replaced by a later enrolment; use the newer one or enrol again",
    ends: 'nothing is read or written',
  }).it('with a certificate of the right authority that nobody enrolled is refused', async (told) => {
    const own = path.join(federation.folder, 'coordinator', 'trust');
    const error = await refusalOf(await forged(own, new Date()), `${run}/train/1/a`);
    assert.ok(['permission-denied', 'unauthenticated'].includes(error.code), error.message);
    told(error.message);
  });

  fault({
    area: 'Who may not: certificates, roles, invitations',
    fault: 'a site asks for the task of another site',
    where: 'a call',
    reads: 'task {task} is not a task of b',
    ends: 'nothing is read or written',
  }).it('that asks for the task of another site is refused', async (told) => {
    const error = await refusalOf(await credentialsOf('b'), `${run}/train/1/a`);
    assert.equal(error.code, 'permission-denied');
    assert.match(error.message, /is not a task of b/);
    told(error.message);
  });

  fault({
    area: 'Who may not: certificates, roles, invitations',
    fault: 'a site asks for an object that no task of its own refers to',
    where: 'a call',
    reads: 'no open task of b refers to {object}',
    ends: 'nothing is read or written',
  }).it('that asks for an object that no task of its own refers to is refused', async (told) => {
    const channel = openChannel({ address: `localhost:${federation.port}`, credentials: await credentialsOf('b') });
    try {
      for (const object of [`runs/${run}/rounds/0001/model.safetensors`, '../../../etc/passwd', '']) {
        const chunks = received(clientOf(FederationService, channel).download({ object }));
        const error: unknown = await chunks.next().then(
          () => assert.fail('it was not refused'),
          (thrown: unknown) => thrown,
        );
        assert.ok(error instanceof ClaraError && error.code === 'permission-denied', String(error));
        assert.match(error.message, /^no open task of b refers to [^\n]*$/);
        told(error.message);
      }
    } finally {
      channel.close();
    }
  });

  fault({
    area: 'Who may not: certificates, roles, invitations',
    fault: 'a site acts as an operator',
    where: '`clara-fed` with the credentials of a site',
    reads: 'clara-fed: role site may not call operations.{verb}; it is for: {roles}',
    ends: 'exit code 77; nothing is read or written',
  }).it('that uses the certificate of a site for operations is refused with exit code 77', async (told) => {
    const folder = path.join(federation.siteFolder('b'), 'credentials');
    const verbs = [
      ['run', 'list'],
      ['sites', 'revoke', 'a'],
      ['run', 'submit', await federation.planFile({})],
      ['model', 'fetch', run, '-o', path.join(federation.folder, 'stolen')],
    ];
    for (const verb of verbs) {
      const { code, stderr } = await federation.cli(...verb, '--operator', folder);
      assert.equal(code, 77, stderr);
      assert.match(stderr, /^clara-fed: role site may not call operations\.[^\n]*\n$/);
      told(stderr.trimEnd());
    }
    const { sites } = await federation.operate((client) => client.listSites({}));
    assert.deepEqual(
      sites.map(({ site, state }) => [site, state]),
      [
        ['a', 'enrolled'],
        ['b', 'enrolled'],
      ],
    );
    assert.equal((await federation.operate((client) => client.listRuns({}))).runs.length, 1);
  });

  it('with credentials of a stranger cannot operate, and is told so in one sentence', async () => {
    const folder = path.join(federation.folder, 'stranger');
    await saveCredentials(folder, await forged(path.join(federation.folder, 'another-authority'), new Date()));
    const { code, stderr } = await federation.cli('run', 'list', '--operator', folder);
    assert.equal(code, 69);
    assert.match(stderr, /^clara-fed: [^\n]*certificate[^\n]*\n$/);
  });

  fault({
    area: 'Who may not: certificates, roles, invitations',
    fault: 'a site is revoked while it is connected',
    where: '`sites revoke`',
    reads: "site b has been revoked; ask the coordinator's operator for a new invitation",
    ends: 'its connection ends, and it is not let in again',
  }).it('that is revoked loses its open connection and cannot come back', async (told) => {
    const site = federation.sites.get('b')!;
    const revoked = await federation.verb('sites', 'revoke', 'b', '--reason', 'left the consortium');
    assert.equal(revoked.code, 0, revoked.stderr);
    await site.record(({ event }) => event === 'disconnected', 'the connection of b has ended');
    await site.record(
      ({ event, reason }) => event === 'disconnected' && /revoked/.test(String(reason)),
      'b is told that it is revoked',
    );
    told(
      String(
        site.records.findLast(({ event, reason }) => event === 'disconnected' && /revoked/.test(String(reason)))!
          .reason,
      ),
    );
    const listed = await federation.verb('sites', 'list', '--json');
    const records = listed.program.records.map(({ site: name, state, connected }) => ({ name, state, connected }));
    assert.deepEqual(records, [
      { name: 'a', state: 'enrolled', connected: true },
      { name: 'b', state: 'revoked', connected: false },
    ]);
    assert.ok(!site.isOver, 'the agent of a revoked site waits; its hospital may enrol it again');
  });
});
