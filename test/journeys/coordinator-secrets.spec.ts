import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { EXIT } from '../../base/exit-codes';
import { formatCredentials, loadCredentials, saveCredentials } from '../../federation/credentials';
import { type Identity, operatorIdentity, siteIdentity } from '../../federation/identity';
import { FAULT_POINT_VARIABLE } from '../../fl-coordinator/fault-points';
import { CertificateAuthority } from '../../fl-coordinator/trust/certificate-authority';
import { issueDirectly } from '../fl-coordinator/trust/support/federation-fixture';
import { fault } from '../support/faults';
import { Program } from '../support/program';
import { S3_CREDENTIALS } from '../support/s3-server';
import { SecretsServer } from '../support/secrets-server';

const AREA = 'The secrets of the coordinators';

describe('coordinators that keep authority and operator in secrets', function () {
  this.timeout(180_000);
  let folder: string;
  let server: SecretsServer;
  let authority: string;
  let operator: string;
  let programs: Program[];

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-secrets-'));
    server = await SecretsServer.start();
    authority = server.make('authority');
    operator = server.make('operator');
    programs = [];
  });
  afterEach(async () => {
    await Promise.all(programs.map((program) => program.stop()));
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const start = (args: readonly string[], environment: Readonly<Record<string, string>> = {}): Program => {
    const aws = { ...S3_CREDENTIALS, AWS_ENDPOINT_URL: server.endpoint };
    const program = new Program(args, { environment: { ...aws, ...environment } });
    programs.push(program);
    return program;
  };
  const coordinator = (name: string): string[] => {
    const own = ['--workspace', path.join(folder, name), '--store', path.join(folder, 'store')];
    const secrets = ['--authority-secret', authority, '--operator-secret', operator];
    return ['coordinator', 'start', ...own, ...secrets, '--listen', '127.0.0.1:0', '--enrolment', '127.0.0.1:0'];
  };
  const launch = (name: string, faultPoint?: string): Program =>
    start([...coordinator(name), '--json'], faultPoint === undefined ? {} : { [FAULT_POINT_VARIABLE]: faultPoint });
  const serves = (program: Program) => program.record(({ event }) => event === 'ready', 'it serves');
  const standsBy = (program: Program) => program.record(({ event }) => event === 'standing-by', 'it stands by');
  const fetched = async (to: string) => {
    const { code, stdout, stderr } = await start([
      ...['operator', 'fetch', '--secret', operator, '--operator', path.join(folder, to), '--json'],
    ]).ended;
    assert.equal(code, EXIT.ok, stderr);
    return JSON.parse(stdout) as Record<string, unknown>;
  };
  const sites = (as: string) => start(['sites', 'list', '--operator', path.join(folder, as)]).ended;
  /** Nothing that any program has printed is of a key. */
  const nothingSecretWasTold = async () => {
    const keys = [authority, operator].flatMap((arn) =>
      [...(server.valueOf(arn) ?? '').matchAll(/BEGIN PRIVATE KEY-----\\n([^\\]+)/g)].map(([, line]) => line!),
    );
    for (const program of programs) {
      const { stdout, stderr } = await program.stop();
      for (const told of ['PRIVATE KEY', ...keys]) assert.ok(!(stdout + stderr).includes(told), program.args.join(' '));
    }
  };

  fault({
    area: AREA,
    fault: 'two coordinators start at once, and neither secret has a value',
    where: 'two processes, whose writes of the authority are answered together',
    ends: 'one authority; one leads, the other stands by; an operator fetches the credentials with a right to read them',
  }).it('make one authority when they start at once, and an operator comes in without a shell', async () => {
    server.holdPuts(2);
    const both = [launch('a'), launch('b')];
    const leader = await Promise.race(both.map((program) => serves(program).then(() => program)));
    await standsBy(both.find((program) => program !== leader)!);
    // One authority by each, and the operator by the leader.
    assert.equal(server.puts, 3);

    const found = await fetched('admin');
    assert.deepEqual([found.event, found.identity], ['fetched', 'spiffe://clara/operator/admin']);
    assert.equal(found.coordinator, leader.records.find((record) => record.event === 'ready')!.address);
    assert.deepEqual((await readdir(path.join(folder, 'admin'))).sort(), [
      ...['chain.pem', 'identity.json', 'key.pem', 'roots.pem'],
    ]);
    const { code, stderr } = await sites('admin');
    assert.equal(code, EXIT.ok, stderr);
    assert.deepEqual([await readdir(path.join(folder, 'a')), await readdir(path.join(folder, 'b'))], [[], []]);
    await nothingSecretWasTold();
  });

  fault({
    area: AREA,
    fault: 'kill -9 at `authority.made`, `authority.kept` and `operator.added`, at the first start',
    where: 'the process of the coordinator',
    ends: 'the next start goes on: one authority, and credentials that are admitted',
  }).it('go on after a kill at each step of the first start', async () => {
    for (const [point, isKept] of [
      ['authority.made', false],
      ['authority.kept', true],
      ['operator.added', true],
    ] as const) {
      assert.equal((await launch('a', point).ended).signal, 'SIGKILL', point);
      assert.equal(server.valueOf(authority) !== undefined, isKept, point);
      assert.equal(server.valueOf(operator), undefined, point);
    }
    const kept = server.valueOf(authority);
    await serves(launch('a'));
    assert.equal(server.valueOf(authority), kept);
    await fetched('admin');
    assert.equal((await sites('admin')).code, EXIT.ok);
    await nothingSecretWasTold();
  });

  fault({
    area: AREA,
    fault: 'the value of the secret of the authority is damaged',
    where: 'the secret',
    reads:
      'clara-fed: the secret {arn} does not hold a certificate authority, which is JSON with "v": 1, "root.pem", "issuer.pem", "issuer.key.pem"; put its last good value back',
    ends: 'the coordinator does not start, and nothing is written; it starts when the value is put back',
  }).it('refuse a damaged authority whole, and start when its value is back', async (told) => {
    const first = launch('a');
    await serves(first);
    await first.stop();
    const good = server.valueOf(authority)!;
    server.put(authority, good.slice(0, 200));
    const { puts } = server;
    const refused = await start(coordinator('a')).ended;
    assert.equal(refused.code, EXIT.badData, refused.stderr);
    told(refused.stderr.trim());
    assert.equal(server.puts, puts);
    server.put(authority, good);
    await serves(launch('a'));
    await nothingSecretWasTold();
  });

  fault({
    area: AREA,
    fault: 'the value of the secret of the operator is damaged',
    where: 'the secret',
    reads:
      'clara-fed: the secret {arn} does not hold credentials: JSON with "v": 1, an identity, and the certificates and the key that belong to it',
    ends: 'coordinators lead and say so; nothing is written over it; {} in its place has new ones made',
  }).it('lead with a damaged operator, whom nobody can fetch, and make new ones when told to', async (told) => {
    const first = launch('a');
    await serves(first);
    await fetched('earlier');
    await first.stop();
    server.put(operator, server.valueOf(operator)!.slice(0, 200));
    const second = launch('a');
    await serves(second);
    const { reason } = await second.record(({ event }) => event === 'problem', 'it says what is wrong');
    assert.match(String(reason), /does not hold credentials/);
    const refused = await start(['operator', 'fetch', '--secret', operator, '--operator', path.join(folder, 'no')])
      .ended;
    assert.equal(refused.code, EXIT.badData);
    told(refused.stderr.trim());
    await second.stop();

    server.put(operator, '{}');
    const { address } = await serves(launch('a'));
    assert.equal((await fetched('admin')).event, 'fetched');
    assert.equal((await sites('admin')).code, EXIT.ok);
    const earlier = await start([
      ...['sites', 'list', '--operator', path.join(folder, 'earlier'), '--coordinator', String(address)],
    ]).ended;
    assert.equal(earlier.code, EXIT.notPermitted, earlier.stderr);
    assert.match(earlier.stderr, /"clara-fed operator fetch" brings it out of a secret/);
    await nothingSecretWasTold();
  });

  it('refuse one secret for both', async () => {
    const own = ['coordinator', 'start', '--workspace', path.join(folder, 'a')];
    const same = await start([...own, '--authority-secret', authority, '--operator-secret', authority]).ended;
    assert.equal(same.code, EXIT.badInput);
    assert.match(same.stderr, /name the same secret; each needs its own/);
  });

  it('give an operator no credentials in the place of those of somebody else', async () => {
    const trust = { authority: await CertificateAuthority.open(path.join(folder, 'trust'), { federation: 'clara' }) };
    const of = (identity: Identity) => issueDirectly(trust, identity);
    await saveCredentials(path.join(folder, 'mary'), await of(siteIdentity('clara', 'mary')));
    server.put(operator, formatCredentials(await of(operatorIdentity('clara', 'admin'))));
    const fetch = ['operator', 'fetch', '--secret', operator, '--operator', path.join(folder, 'mary')];
    const { code, stderr } = await start(fetch).ended;
    assert.equal(code, EXIT.badInput);
    assert.match(stderr, /mary has the credentials of spiffe:\/\/clara\/site\/mary, .*; name another folder/);
    assert.equal((await loadCredentials(path.join(folder, 'mary'))).identity.kind, 'site');
  });
});
