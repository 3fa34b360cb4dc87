import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { asOperator } from '../../../cli/operator';
import { enrol } from '../../../federation/enrol';
import { parseInvitation } from '../../../federation/invitation';
import { startCoordinator } from '../../../fl-coordinator/coordinator';
import type { RunningCoordinator } from '../../../fl-coordinator/coordinator-options';
import {
  checkSiteConfiguration,
  type SiteConfiguration,
  type SiteConfigurationInput,
} from '../../../fl-site/configuration';
import { type PreflightCheck, preflight } from '../../../fl-site/preflight/preflight';
import { writePhantomDataset } from '../../../imaging/phantom-dataset';
import { Program } from '../../support/program';
import { scriptedTrainer } from '../support/scripted-trainer';

const CHECKS = [
  'proxy name port credentials certificate tls admission clock workspace disk dataset trainer gpu hours',
].flatMap((names) => names.split(' '));
const PROXY_VARIABLES = ['grpc_proxy', 'https_proxy', 'http_proxy', 'no_grpc_proxy', 'no_proxy'];

describe('preflight of a site', () => {
  let folder: string;
  let coordinator: RunningCoordinator;
  const saved = new Map<string, string | undefined>();

  const input = (more: Partial<SiteConfigurationInput> = {}): SiteConfigurationInput => ({
    id: 'st-marys',
    coordinator: coordinator.address,
    credentials: 'credentials',
    workspace: 'workspace',
    dataset: { kind: 'decathlon', path: 'data' },
    trainer: { name: 'scripted', adapter: 'reference' },
    limits: { diskBytes: '1MiB', modelBytes: '1MiB', updateBytes: '1MiB' },
    ...more,
  });
  const site = (more?: Partial<SiteConfigurationInput>): SiteConfiguration =>
    checkSiteConfiguration(input(more), folder);

  async function look(
    configuration: SiteConfiguration,
    { mode = 'good', checkMillis = 30_000 }: { mode?: string; checkMillis?: number } = {},
  ): Promise<(name: string) => PreflightCheck> {
    const told: string[] = [];
    const checks = await preflight(configuration, {
      referenceTrainer: scriptedTrainer(mode),
      limits: { checkMillis },
      onCheck: ({ name }) => told.push(name),
    });
    assert.deepEqual(
      checks.map(({ name }) => name),
      CHECKS,
    );
    assert.deepEqual(told.sort(), [...CHECKS].sort(), 'each check is told once');
    return (name) => checks.find((check) => check.name === name)!;
  }

  before(async () => {
    for (const name of PROXY_VARIABLES) saved.set(name, process.env[name]);
    for (const name of PROXY_VARIABLES) delete process.env[name];
    folder = mkdtempSync(path.join(os.tmpdir(), 'clara-preflight-'));
    coordinator = await startCoordinator({
      workspace: path.join(folder, 'coordinator'),
      federation: 'spleen',
      listen: { host: '127.0.0.1', port: 0 },
      enrolmentListen: { host: '127.0.0.1', port: 0 },
      hostNames: ['localhost'],
      software: 'clara-fed test',
    });
    for (const id of ['st-marys', 'northern']) {
      const { invitation } = await asOperator({ operator: coordinator.operatorPlace }, (client) =>
        client.inviteSite({ site: id, validMinutes: 5 }),
      );
      await enrol(parseInvitation(invitation), {
        folder: path.join(folder, id === 'st-marys' ? 'credentials' : 'northern'),
      });
    }
    const small = { cases: 2, heldOut: 1, seed: 3, shape: [24, 24, 12] as const };
    await writePhantomDataset(path.join(folder, 'data'), small);
  });

  after(async () => {
    for (const [name, value] of saved) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    await coordinator?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('finds a site ready, says what it saw, and leaves nothing behind', async () => {
    const check = await look(site());
    for (const name of CHECKS) {
      assert.ok(['ok', 'warning'].includes(check(name).outcome), JSON.stringify(check(name)));
      assert.notEqual(check(name).found, '');
    }
    assert.match(check('certificate').found, /^spiffe:\/\/spleen\/site\/st-marys, valid until .*, (29|30) days left$/);
    assert.match(check('tls').found, /^TLSv1\.3, chain and name localhost are right/);
    assert.equal(check('admission').found, 'clara-fed test admits this site');
    assert.match(check('clock').found, /^this clock is 0\.\d s (behind|ahead of) the coordinator's/);
    assert.match(check('dataset').found, /^2 training and 1 held-out cases; training case 1 is \d+ x \d+ x \d+ voxels/);
    assert.match(check('trainer').found, /^scripted starts and makes first weights/);
    assert.deepEqual(readdirSync(path.join(folder, 'workspace')), []);
  });

  it('names the lowest layer that is broken, and judges nothing above it', async () => {
    const unknown = await look(site({ coordinator: 'no-such-host.invalid:8443' }));
    assert.equal(unknown('name').outcome, 'failed');
    assert.match(unknown('name').mend, /name servers/);
    for (const name of ['port', 'tls', 'admission', 'clock']) assert.equal(unknown(name).outcome, 'skipped', name);
    const closed = await withTcpServer(
      () => undefined,
      async (port, server) => {
        await new Promise((resolve) => server.close(resolve));
        return look(site({ coordinator: `localhost:${port}` }));
      },
    );
    assert.equal(closed('name').outcome, 'ok');
    assert.equal(closed('port').outcome, 'failed');
    assert.match(closed('port').mend, /whether the coordinator runs/);
    assert.equal(closed('tls').outcome, 'skipped');
    assert.equal(closed('dataset').outcome, 'ok', 'the machine itself is judged all the same');
  });

  it('tells a coordinator by another name, and one of another federation', async () => {
    const { port } = new URL(`tcp://${coordinator.address}`);
    const misnamed = await look(site({ coordinator: `127.0.0.1:${port}` }));
    assert.equal(misnamed('tls').outcome, 'failed');
    assert.match(misnamed('tls').found, /is for .*localhost.*, not for 127\.0\.0\.1/);
    assert.match(misnamed('tls').mend, /--host-name/);
    assert.equal(misnamed('admission').outcome, 'skipped');

    const other = await startCoordinator({
      workspace: path.join(folder, 'other'),
      federation: 'other',
      listen: { host: '127.0.0.1', port: 0 },
      enrolmentListen: { host: '127.0.0.1', port: 0 },
      hostNames: ['localhost'],
      software: 'clara-fed test',
    });
    try {
      const foreign = await look(site({ coordinator: other.address }));
      assert.equal(foreign('tls').outcome, 'failed');
      assert.match(foreign('tls').found, /was issued by .*, not by the federation/);
      assert.match(foreign('tls').mend, /inspects TLS/);
    } finally {
      await other.close();
    }
  });

  it('says that the coordinator admits the site no more', async () => {
    await asOperator({ operator: coordinator.operatorPlace }, (client) =>
      client.revokeSite({ site: 'northern', reason: 'end of the trial' }),
    );
    const check = await look(site({ id: 'northern', credentials: 'northern' }));
    assert.equal(check('certificate').outcome, 'ok');
    assert.equal(check('admission').outcome, 'failed');
    assert.match(check('admission').found, /revoked|not admitted|not known/);
    assert.match(check('admission').mend, /ask the operator/);
  });

  it('refuses a key that others may read, and credentials of another site', async () => {
    const key = path.join(folder, 'credentials', 'key.pem');
    chmodSync(key, 0o644);
    try {
      const open = await look(site());
      assert.match(open('credentials').found, /has mode 0644.*chmod 600/);
      assert.equal(open('certificate').outcome, 'skipped');
      assert.equal(open('tls').outcome, 'skipped');
      assert.equal(open('port').outcome, 'ok');
    } finally {
      chmodSync(key, 0o600);
    }
    const foreign = await look(site({ id: 'riverside' }));
    assert.match(foreign('certificate').found, /st-marys, but the configuration is of site riverside/);
  });

  it('says what is wrong with disk, dataset and trainer without naming a case', async () => {
    writeFileSync(path.join(folder, 'file'), '');
    const bad = path.join(folder, 'bad-data');
    await writePhantomDataset(bad, { cases: 1, seed: 4, shape: [24, 24, 12] });
    writeFileSync(path.join(bad, 'imagesTr', 'phantom_000.nii.gz'), 'no volume');
    const check = await look(
      site({
        workspace: 'file/workspace',
        dataset: { kind: 'decathlon', path: 'bad-data' },
        limits: { diskBytes: '900TiB' },
      }),
      { mode: 'exit-1' },
    );
    assert.equal(check('workspace').outcome, 'failed');
    assert.equal(check('disk').outcome, 'warning');
    assert.match(check('disk').mend, /limits\.diskBytes/);
    assert.equal(check('dataset').outcome, 'failed');
    assert.match(check('dataset').found, /image of training case 1/);
    assert.ok(!JSON.stringify(check('dataset')).includes('phantom_000'));
    assert.equal(check('trainer').outcome, 'failed');
    assert.match(check('trainer').found, /"makes first weights" does not hold: .*exit code 1: the loss exploded/);
  });

  it('ends, with exit code 65, when nothing that it asks ever answers', async function () {
    if (process.platform === 'win32') this.skip();
    mkdirSync(path.join(folder, 'hanging'), { recursive: true });
    // Opening a pipe that nobody writes to blocks for ever, as a lost network share does.
    execFileSync('mkfifo', [path.join(folder, 'hanging', 'dataset.json')]);
    await withTcpServer(
      () => undefined, // accepts, and never says a word
      async (port) => {
        const file = path.join(folder, 'hanging.yaml');
        const trainer = scriptedTrainer('good');
        const configuration = input({
          coordinator: `localhost:${port}`,
          dataset: { kind: 'decathlon', path: 'hanging' },
          trainer: { name: 'scripted', adapter: 'process', command: [trainer.command, ...trainer.args] },
        });
        writeFileSync(file, stringify(configuration));
        const program = new Program(['site', 'preflight', '--config', file, '--timeout', '15', '--json']);
        const { code, stderr } = await program.ended;
        const found = (name: string) => program.records.find((record) => record.name === name)?.found;
        assert.equal(code, 65, stderr);
        assert.equal(found('tls'), 'not done after 15 s');
        assert.equal(found('dataset'), 'not done after 15 s');
        assert.match(String(found('trainer')), /^scripted starts/);
        const { passed, failed } = program.records.find(({ event }) => event === 'preflight')!;
        assert.deepEqual([passed, failed], [false, 2]);
      },
    );
  });

  it('goes through the proxy that the agent would take', async () => {
    const asked: string[] = [];
    let refuses = false;
    const proxy: Server = createServer().on('connect', ({ url }, client) => {
      asked.push(url!);
      if (refuses) {
        client.end('HTTP/1.1 403 Forbidden\r\n\r\n');
        return;
      }
      const { hostname, port } = new URL(`tcp://${url}`);
      const onward = connect(Number(port), hostname, () => {
        client.write('HTTP/1.1 200 Connection established\r\n\r\n');
        onward.pipe(client).pipe(onward);
      });
      for (const end of [onward, client])
        end.on('error', () => void [onward, client].map((socket) => socket.destroy()));
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const { port } = proxy.address() as AddressInfo;
    process.env.https_proxy = `http://127.0.0.1:${port}`;
    try {
      const open = await look(site());
      assert.match(open('proxy').found, new RegExp(`https_proxy names the proxy 127\\.0\\.0\\.1:${port}`));
      assert.equal(open('name').outcome, 'skipped');
      for (const name of ['port', 'tls', 'admission']) assert.equal(open(name).outcome, 'ok', name);
      assert.ok(asked.length >= 3 && asked.every((target) => target === coordinator.address), asked.join());
      refuses = true;
      const closed = await look(site());
      assert.match(closed('port').found, /the proxy .* answered 403 to CONNECT localhost:\d+/);
    } finally {
      delete process.env.https_proxy;
      proxy.closeAllConnections();
      proxy.close();
    }
  });
});

async function withTcpServer<T>(
  onConnection: () => void,
  work: (port: number, server: TcpServer) => Promise<T>,
): Promise<T> {
  const sockets = new Set<{ destroy(): void }>();
  const server = createTcpServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    onConnection();
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  try {
    return await work((server.address() as AddressInfo).port, server);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}
