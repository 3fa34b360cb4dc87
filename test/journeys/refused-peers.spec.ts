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

  it('with a certificate of another authority is refused in one sentence', async () => {
    const stranger = await forged(path.join(federation.folder, 'another-authority'), new Date());
    const error = await refusalOf(stranger, `${run}/train/1/a`);
    assert.equal(error.code, 'unavailable');
    assert.match(error.message, /certificate/);
  });

  it('with a certificate that has ended is refused in one sentence', async () => {
    const own = path.join(federation.folder, 'coordinator', 'trust');
    const error = await refusalOf(await forged(own, new Date(Date.now() - 86400e3)), `${run}/train/1/a`);
    assert.match(error.message, /certificate/);
  });

  it('with a certificate of the right authority that nobody enrolled is refused', async () => {
    const own = path.join(federation.folder, 'coordinator', 'trust');
    const error = await refusalOf(await forged(own, new Date()), `${run}/train/1/a`);
    assert.ok(['permission-denied', 'unauthenticated'].includes(error.code), error.message);
  });

  it('that asks for the task of another site is refused', async () => {
    const error = await refusalOf(await credentialsOf('b'), `${run}/train/1/a`);
    assert.equal(error.code, 'permission-denied');
    assert.match(error.message, /is not a task of b/);
  });

  it('that asks for an object that no task of its own refers to is refused', async () => {
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
      }
    } finally {
      channel.close();
    }
  });

  it('that uses the certificate of a site for operations is refused with exit code 77', async () => {
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

  it('that is revoked loses its open connection and cannot come back', async () => {
    const site = federation.sites.get('b')!;
    const revoked = await federation.verb('sites', 'revoke', 'b', '--reason', 'left the consortium');
    assert.equal(revoked.code, 0, revoked.stderr);
    await site.record(({ event }) => event === 'disconnected', 'the connection of b has ended');
    await site.record(
      ({ event, reason }) => event === 'disconnected' && /revoked/.test(String(reason)),
      'b is told that it is revoked',
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
