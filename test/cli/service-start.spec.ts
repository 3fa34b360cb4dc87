import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net, { type AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { EXIT } from '../../base/exit-codes';
import { CLARA_FED, Program } from '../support/program';

describe('a coordinator started by hand', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-start-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const start = (...more: readonly string[]): readonly string[] => {
    const options = new Map([
      ['--workspace', folder],
      ['--listen', '127.0.0.1:0'],
      ['--enrolment', '127.0.0.1:0'],
    ]);
    for (let i = 0; i < more.length; i += 2) options.set(more[i]!, more[i + 1]!);
    return ['coordinator', 'start', ...[...options].flat(), '--host-name', '127.0.0.1', '--json'];
  };

  for (const option of ['--listen', '--enrolment']) {
    it(`ends with one sentence when the port of ${option} is taken`, async () => {
      const other = net.createServer().listen(0, '127.0.0.1');
      await once(other, 'listening');
      try {
        const { port } = other.address() as AddressInfo;
        const { code, stderr } = await new Program(start(option, `127.0.0.1:${port}`)).ended;
        assert.equal(code, EXIT.unavailable);
        assert.match(stderr, new RegExp(`127.0.0.1:${port} cannot be listened on`));
      } finally {
        other.close();
      }
    });
  }

  it('goes on when whoever read its output has gone', async () => {
    const child = spawn(process.execPath, [CLARA_FED, ...start(), '--parent-pipe'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const ended = once(child, 'exit');
    const [ready] = (await once(child.stdout, 'data')) as [Buffer];
    assert.equal(JSON.parse(ready.toString()).event, 'ready');
    child.stdout.destroy();
    // A refused call is a line of output.
    const { operator } = JSON.parse(ready.toString());
    const { code } = await new Program(['run', 'show', 'no-such-run', '--operator', operator]).ended;
    assert.equal(code, EXIT.notFound);
    child.stdin.end();
    assert.deepEqual(await ended, [EXIT.ok, null]);
  });
});
