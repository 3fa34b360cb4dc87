import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import path from 'node:path';
import type { ClaraError } from '../../base/errors';
import { identityOf } from '../../base/process-identity';
import type { StackResult } from '../../fleet/conduct';
import { type FleetRequest, runFleet } from '../../fleet/fleet';
import type { FleetVerb } from '../../fleet/stacks-port';
import { FakeStacks, type TemporaryProject, temporaryProject } from './support';

describe('a fleet', () => {
  let at: TemporaryProject;
  let stacks: FakeStacks;
  let onEnd: (result: StackResult) => void;
  beforeEach(() => {
    at = temporaryProject(['a', 'b', 'c', 'd']);
    stacks = new FakeStacks();
    onEnd = () => {};
  });
  afterEach(() => at.remove());

  const run = async (verb: FleetVerb, request: Partial<FleetRequest> = {}, signal = new AbortController().signal) => {
    const wanted = { verb, environment: 'dev', sites: ['a', 'b', 'c', 'd'], parallel: 2, ...request };
    const results = await runFleet(wanted, { project: at.reopen(), stacks, signal, onEnd });
    return Object.fromEntries(results.map(({ stack, state }) => [stack, state]));
  };
  const began = (): string[] => stacks.began.splice(0).map((call) => call.split(' ')[1]!);

  it('begins with the canary alone and has never more under way than it may', async () => {
    const alone: number[] = [];
    stacks.hold = async (stack) => {
      if (stack === 'dev-c') alone.push(stacks.began.length);
      await new Promise((resolve) => setImmediate(resolve));
    };
    await run('up', { canary: 'c' });
    const [canary, ...others] = began();
    assert.equal(canary, 'dev-c');
    assert.deepEqual(alone, [1]);
    assert.deepEqual(others.sort(), ['dev-a', 'dev-b', 'dev-d']);
    assert.equal(stacks.most, 2);
  });

  it('takes the coordinator, and the organisation when it has a file, with --all', async () => {
    await run('up', { sites: 'all', parallel: 1 });
    assert.deepEqual(began(), ['dev', 'dev-a', 'dev-b', 'dev-c', 'dev-d']);
    at.write('Pulumi.org.yaml', 'config: {}\n');
    await run('up', { sites: 'all', parallel: 1 });
    assert.deepEqual(began(), ['org', 'dev', 'dev-a', 'dev-b', 'dev-c', 'dev-d']);
    await run('destroy', { sites: 'all', parallel: 1 });
    assert.deepEqual(began(), ['dev-a', 'dev-b', 'dev-c', 'dev-d', 'dev']);
  });

  it('begins nothing after a failure of the canary', async () => {
    stacks.failing.set('dev-a', 'AccessDenied');
    assert.deepEqual(await run('up'), {
      'dev-a': 'failed',
      'dev-b': 'waiting',
      'dev-c': 'waiting',
      'dev-d': 'waiting',
    });
    assert.deepEqual(began(), ['dev-a']);
  });

  it('finishes what is under way when another one fails', async () => {
    stacks.failing.set('dev-b', 'AccessDenied');
    let [cBegins, bEnds] = [() => {}, () => {}];
    const cBegan = new Promise<void>((resolve) => {
      cBegins = resolve;
    });
    const bEnded = new Promise<void>((resolve) => {
      bEnds = resolve;
    });
    stacks.hold = async (stack) => {
      if (stack === 'dev-b') await cBegan;
      if (stack === 'dev-c') {
        cBegins();
        await bEnded;
      }
    };
    onEnd = ({ stack }) => {
      if (stack === 'dev-b') bEnds();
    };
    assert.deepEqual(await run('up'), { 'dev-a': 'done', 'dev-b': 'failed', 'dev-c': 'done', 'dev-d': 'waiting' });
  });

  it('goes on where it was when the same call comes again, and begins anew when all is done', async () => {
    stacks.failing.set('dev-c', 'AccessDenied');
    await run('up', { parallel: 1 });
    assert.deepEqual(began(), ['dev-a', 'dev-b', 'dev-c']);
    stacks.failing.clear();
    const states = await run('up', { parallel: 1 });
    assert.deepEqual(began(), ['dev-c', 'dev-d']);
    assert.deepEqual(states, { 'dev-a': 'done-before', 'dev-b': 'done-before', 'dev-c': 'done', 'dev-d': 'done' });
    await run('up', { parallel: 1 });
    assert.equal(began().length, 4);
  });

  it('works again on stacks whose configuration or program has changed since they were done', async () => {
    stacks.failing.set('dev-d', 'AccessDenied');
    await run('up', { parallel: 1 });
    began();
    at.write('Pulumi.dev-b.yaml', 'config:\n  p:siteId: b\n  p:more: 1\n');
    await run('up', { parallel: 1 });
    assert.deepEqual(began(), ['dev-b', 'dev-d']);
    mkdirSync(path.join(at.folder, 'stacks'));
    at.write('stacks/index.ts', 'program');
    await run('up', { parallel: 1 });
    assert.deepEqual(began(), ['dev-a', 'dev-b', 'dev-c', 'dev-d']);
  });

  it('takes a stack file that the CLI has rewritten for the same one', async () => {
    at.write('Pulumi.dev-a.yaml', 'config:\n  p:days: 7\n  p:keep: true\n');
    stacks.failing.set('dev-b', 'AccessDenied');
    await run('up', { parallel: 1 });
    began();
    at.write('Pulumi.dev-a.yaml', 'config:\n  p:keep: "true"\n  p:days: "7"\nencryptionsalt: v1:abc\n');
    await run('up', { parallel: 1 });
    assert.deepEqual(began(), ['dev-b']);
  });

  it('keeps the records of verbs and of selections apart', async () => {
    stacks.failing.set('dev-b', 'AccessDenied');
    await run('up', { parallel: 1 });
    stacks.failing.clear();
    began();
    await run('refresh', { parallel: 1 });
    assert.equal(began().length, 4);
    await run('up', { sites: ['a', 'b'], parallel: 1 });
    assert.deepEqual(began(), ['dev-a', 'dev-b']);
  });

  it('forgets what was done when it is told to', async () => {
    stacks.failing.set('dev-b', 'AccessDenied');
    await run('up', { parallel: 1 });
    began();
    await run('up', { parallel: 1, restart: true });
    assert.deepEqual(began(), ['dev-a', 'dev-b']);
  });

  it('shows every failure of a preview, and remembers nothing', async () => {
    stacks.failing.set('dev-a', 'AccessDenied').set('dev-c', 'AccessDenied');
    assert.deepEqual(await run('preview'), { 'dev-a': 'failed', 'dev-b': 'done', 'dev-c': 'failed', 'dev-d': 'done' });
    assert.ok(!existsSync(path.join(at.folder, '.clara-fed')));
  });

  it('counts a stack that was never made as refreshed and destroyed', async () => {
    stacks.absent.add('dev-b');
    assert.equal((await run('destroy'))['dev-b'], 'absent');
    assert.ok(!existsSync(path.join(at.folder, '.clara-fed/fleet/dev-destroy.json')));
  });

  it('begins nothing after an interruption, and goes on later with what was interrupted', async () => {
    const controller = new AbortController();
    stacks.hold = async (stack, signal) => {
      if (stack !== 'dev-b' || signal !== controller.signal) return;
      controller.abort();
    };
    const states = await run('up', { parallel: 1 }, controller.signal);
    assert.deepEqual(states, { 'dev-a': 'done', 'dev-b': 'interrupted', 'dev-c': 'waiting', 'dev-d': 'waiting' });
    began();
    await run('up', { parallel: 1 });
    assert.deepEqual(began(), ['dev-b', 'dev-c', 'dev-d']);
  });

  it('refuses every wrong site at once, before anything is begun', async () => {
    at.write('Pulumi.dev.yaml', 'config:\n  p:sites: [{id: a}, {id: b}, {id: new}]\n');
    const refused = run('up', { sites: ['a', 'a', 'ghost', 'new'], canary: 'b' });
    await assert.rejects(refused, ({ code, faults }: ClaraError) => {
      assert.equal(code, 'invalid-input');
      assert.deepEqual(
        faults.map(({ path, value }) => [path, value]),
        [
          ['--sites', '"a"'],
          ['--sites', '"ghost"'],
          ['--sites', '"new"'],
          ['--canary', '"b"'],
        ],
      );
      return true;
    });
    assert.deepEqual(stacks.began, []);
  });

  it('refuses an environment that is a path', async () => {
    await assert.rejects(run('up', { environment: '../dev' }), /cannot be a stack/);
  });

  describe('of which another operator is at work', () => {
    const locks = () => readdirSync(path.join(at.folder, '.clara-fed/fleet')).filter((name) => name.includes('.lock.'));
    const hold = (environment: string, holder: object) => {
      const folder = path.join(at.folder, '.clara-fed/fleet');
      mkdirSync(folder, { recursive: true });
      writeFileSync(path.join(folder, `${environment}.lock.7`), JSON.stringify(holder));
    };

    it('is refused with who it is, since when and the way out, and nothing is begun', async () => {
      let second: Promise<unknown> | undefined;
      stacks.hold = async (stack) => {
        if (stack === 'dev-a') second = run('refresh').catch((error: unknown) => error);
        await second;
      };
      await run('up', { parallel: 1 });
      const error = (await second) as ClaraError;
      assert.equal(error.code, 'precondition-failed');
      const { username } = userInfo();
      const who = `${username} has worked on it since 20\\d\\d-.*Z \\(process ${process.pid} on ${hostname()}\\)`;
      assert.match(error.message, new RegExp(`^refresh of dev cannot begin: ${who}; wait for its end, or stop`));
      assert.deepEqual(began(), ['dev-a', 'dev-b', 'dev-c', 'dev-d']);
      // Given back: the next call is let in.
      await run('refresh');
      assert.equal(locks().length, 1);
    });

    it('may be previewed, and other environments may be worked on', async () => {
      hold('prod', { ...identityOf(process.pid), host: hostname(), user: 'ada', since: '2026-11-27T22:00:00.000Z' });
      await run('up');
      hold('dev', { ...identityOf(process.pid), host: hostname(), user: 'ada', since: '2026-11-27T22:00:00.000Z' });
      await assert.rejects(
        run('up'),
        /^ClaraError: up of dev cannot begin: ada has worked on it since 2026-11-27T22:00/,
      );
      assert.equal((await run('preview'))['dev-a'], 'done');
    });

    it('is free when that operator was killed', async () => {
      const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
      hold('dev', { ...identityOf(child.pid!), host: hostname(), user: 'ada', since: '2026-11-27T22:00:00.000Z' });
      await assert.rejects(run('up'), /ada/);
      child.kill('SIGKILL');
      await once(child, 'exit');
      assert.equal((await run('up'))['dev-d'], 'done');
    });

    it('stays refused where only another machine could tell that it was', async () => {
      hold('dev', { pid: 1, started: 'ticks 1', host: 'jump-host-2', user: 'ada', since: '2026-11-27T22:00:00.000Z' });
      await assert.rejects(run('up'), /if jump-host-2 is gone remove .*dev\.lock\.7$/);
      rmSync(path.join(at.folder, '.clara-fed/fleet/dev.lock.7'));
      assert.equal((await run('up'))['dev-d'], 'done');
    });
  });

  it('refuses a damaged record and says what to do', async () => {
    mkdirSync(path.join(at.folder, '.clara-fed/fleet'), { recursive: true });
    at.write('.clara-fed/fleet/dev-up.json', '{"version":1,');
    await assert.rejects(run('up'), (error: ClaraError) => error.code === 'corrupt' && /remove it/.test(error.message));
  });
});
