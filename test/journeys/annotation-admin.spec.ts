import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PACKAGE_ROOT } from '../../base/own-program';
import { aboveLevel, levelConfig } from '../aiaa/support/onnx-models';
import { exchange, formRequest, jsonOf, PYTHON, plainRequest } from '../aiaa/support/raw-http';
import { eventually } from '../aiaa/support/server';
import { zipOf } from '../aiaa/support/zip';
import { Program } from '../support/program';

const MODEL = 'clara_ct_level';
const PAGE = path.join(PACKAGE_ROOT, 'docs', 'annotation-server.md');

/** The commands of the page that a server alone can answer, in order. */
async function commandsOfPage(): Promise<string[]> {
  const page = await readFile(PAGE, 'utf8');
  return [...page.matchAll(/^```bash\n(.*?)^```$/gms)].map(([, command]) => command);
}

describe('administration of a running annotation server', () => {
  let folder: string;
  let workspace: string;
  let server: Program | undefined;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'aiaa-admin-'));
    workspace = path.join(folder, 'aiaa');
    await writeFile(path.join(folder, 'config_aiaa.json'), JSON.stringify(levelConfig()));
    await writeFile(path.join(folder, 'model.onnx'), aboveLevel(50));
    await writeFile(
      path.join(folder, 'mmar.zip'),
      await zipOf({
        'level/config/config_aiaa.json': JSON.stringify(levelConfig({ version: 'mmar' })),
        'level/models/model.onnx': aboveLevel(70),
      }),
    );
  });
  after(async () => {
    server?.kill('SIGKILL');
    await server?.ended;
    await rm(folder, { recursive: true, force: true });
  });

  async function start(): Promise<number> {
    await server?.stop();
    server = new Program(['aiaa', 'start', '--workspace', workspace, '--port', '0', '--json']);
    const { port } = await server.record(({ event }) => event === 'ready', 'ready');
    return port as number;
  }

  const details = async (port: number) =>
    jsonOf(await exchange(port, plainRequest('GET', `/admin/model/${MODEL}`))) as {
      version: string;
      versions: { version: string; served: boolean }[];
    };

  it('does what the page for administrators says, command by command', async function () {
    if (spawnSync('curl', ['--version']).status !== 0) {
      console.log('skipped: there is no curl');
      this.skip();
    }
    const port = await start();
    const commands = await commandsOfPage();
    assert.equal(commands.length, 6);
    const answers: string[] = [];
    for (const command of commands) {
      const { status, stdout, stderr } = spawnSync(
        'bash',
        ['-euo', 'pipefail', '-c', command.replaceAll('127.0.0.1:5000', `127.0.0.1:${port}`)],
        {
          cwd: folder,
          encoding: 'utf8',
        },
      );
      assert.equal(status, 0, `${command}\n${stdout}${stderr}`);
      answers.push(stdout);
    }
    const versions = answers.slice(0, 5).map((answer) => (JSON.parse(answer) as { version: string }).version);
    assert.deepEqual(versions.slice(0, 2), ['1', 'mmar']);
    assert.match(versions[2], /^1-[0-9a-f]{12}$/, 'the same configuration for the network of the archive');
    assert.deepEqual(versions.slice(3), [versions[2], '1']);
    const { version, versions: left } = await details(port);
    assert.equal(version, '1');
    assert.deepEqual(
      left.map((one) => one.version),
      [versions[2], '1'],
      'one was deleted',
    );
  });

  it('lets in whom the page lets in: the machine itself, with the token', async () => {
    const page = await readFile(PAGE, 'utf8');
    const [, options] = /^clara-fed aiaa start --workspace \.\/aiaa (--host [\s\S]*?token\.txt)$/m.exec(page)!;
    const token = 'f0'.repeat(16);
    await writeFile(path.join(folder, 'token.txt'), `${token}\n`);
    const words = options
      .split(/[\s\\]+/)
      .map(
        (word) => ({ '0.0.0.0': '127.0.0.1', 5000: '0', 'token.txt': path.join(folder, 'token.txt') })[word] ?? word,
      );
    await server?.stop();
    server = new Program(['aiaa', 'start', '--workspace', workspace, ...words, '--json']);
    const { port } = await server.record(({ event }) => event === 'ready', 'ready');
    const asks = (...headers: string[]) =>
      exchange(port as number, plainRequest('GET', `/admin/model/${MODEL}`, headers));
    assert.equal((await asks()).status, 401);
    assert.equal((await asks(`Authorization: Bearer ${token}`)).status, 200);
  });

  it('serves the old version after it was killed in the middle of an upload, and of trying a model', async () => {
    let port = await start();
    const put = (parts: Parameters<typeof formRequest>[3]) =>
      formRequest(PYTHON, 'PUT', `/admin/model/${MODEL}`, parts);
    const config = (change: object) => ({
      name: 'config',
      filename: 'c',
      content: JSON.stringify(levelConfig(change)),
    });
    const first = await exchange(
      port,
      put([config({ version: 'old' }), { name: 'data', filename: 'm', content: aboveLevel(50) }]),
    );
    assert.equal(first.status, 200);

    const request = put([
      config({ version: 'new' }),
      { name: 'data', filename: 'm', content: Buffer.concat([aboveLevel(90), Buffer.alloc(1_000_000)]) },
    ]);
    const upload = connect(port, '127.0.0.1');
    upload.on('error', () => {});
    upload.write(request.subarray(0, request.length / 2));
    const scratch = path.join(workspace, 'scratch');
    await eventually('the upload lies on disk', async () => {
      const found = await readdir(scratch, { recursive: true }).catch(() => []);
      return found.some((name) => name.includes('upload-'));
    });
    port = await killedAndStartedAgain();
    assert.equal((await details(port)).version, 'old');

    // A window of this size takes seconds to try, so that the kill comes in the middle.
    const { inference } = levelConfig() as { inference: { AIAA: { args: object } } };
    const large = { ...inference, AIAA: { ...inference.AIAA, args: { ...inference.AIAA.args, roi: [320, 320, 320] } } };
    const trying = connect(port, '127.0.0.1');
    trying.on('error', () => {});
    trying.write(
      put([config({ version: 'newer', inference: large }), { name: 'data', filename: 'm', content: aboveLevel(90) }]),
    );
    const home = path.join(workspace, 'models', MODEL);
    await eventually('the model is being tried', async () =>
      (await readdir(home)).some((name) => name.startsWith('.publishing-')),
    );
    port = await killedAndStartedAgain();
    const { version, versions } = await details(port);
    assert.equal(version, 'old');
    assert.ok(versions.every((one) => !one.version.startsWith('new')));
    assert.ok(
      (await readdir(home)).some((name) => name.startsWith('.publishing-')),
      'it was killed in the middle',
    );
    for (const socket of [upload, trying]) socket.destroy();
  });

  async function killedAndStartedAgain(): Promise<number> {
    const old = server!;
    old.kill('SIGKILL');
    await old.ended;
    return start();
  }

  it('shows and moves versions from the command line too', async () => {
    const command = async (...args: string[]) => {
      const { code, stdout, stderr } = await new Program(['aiaa', ...args, '--workspace', workspace]).ended;
      assert.equal(code, 0, stderr);
      return stdout;
    };
    assert.match(await command('rollback', '--name', MODEL, '--to', '1'), /clara_ct_level version 1 is served/);
    const listed = await command('models');
    assert.match(listed, /^\* clara_ct_level {2}1 {2}onnx {2}spleen/m);
    assert.match(listed, /^ {2}clara_ct_level {2}old {2}onnx/m);
  });
});
