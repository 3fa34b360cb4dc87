import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import fc from 'fast-check';
import { preflightTable } from '../../../cli/preflight-table';
import { DAYS, type Hours } from '../../../fl-site/hours';
import { certificateCheck } from '../../../fl-site/preflight/credentials-checks';
import { hoursCheck } from '../../../fl-site/preflight/hours-check';
import { clockVerdict } from '../../../fl-site/preflight/network-checks';
import { PREFLIGHT_CHECKS } from '../../../fl-site/preflight/preflight';
import { routeTo } from '../../../fl-site/preflight/route';
import { gpuCheck } from '../../../fl-site/preflight/trainer-checks';
import { bounded, ok } from '../../../fl-site/preflight/verdict';
import { selfSigned } from '../support/site';

// What the agent really does with the environment.
const { mapProxyName } = require('@grpc/grpc-js/build/src/http_proxy') as {
  mapProxyName(
    target: { scheme: string; path: string },
    options: object,
  ): { target: { path: string }; extraOptions: Record<string, string> };
};

const DAY = 86400e3;

describe('the checks of a preflight', () => {
  it('take the way that grpc-js takes, for any environment', () => {
    const url = fc.constantFrom(
      undefined,
      'http://proxy:3128',
      'http://a:b@[::1]:80',
      'https://proxy:1',
      'nonsense',
      'http://p',
    );
    const exempt = fc.constantFrom(
      undefined,
      'example.org',
      'other.org,fl.example.org',
      '10.1.0.0/16',
      '10.1.2.3',
      'x',
    );
    const environment = fc.record({
      grpc_proxy: url,
      https_proxy: url,
      http_proxy: url,
      no_grpc_proxy: exempt,
      no_proxy: exempt,
    });
    const names = ['grpc_proxy', 'https_proxy', 'http_proxy', 'no_grpc_proxy', 'no_proxy'] as const;
    // It says much about environments that make no sense.
    setLogVerbosity(logVerbosity.NONE);
    const before = names.map((name) => process.env[name]);
    const set = (values: readonly (string | undefined)[]) =>
      names.forEach((name, index) => {
        if (values[index] === undefined) delete process.env[name];
        else process.env[name] = values[index];
      });
    try {
      fc.assert(
        fc.property(environment, fc.constantFrom('fl.example.org', '10.1.2.3', '10.2.0.1'), (values, host) => {
          set(names.map((name) => values[name]));
          const { target, extraOptions } = mapProxyName({ scheme: 'dns', path: `${host}:8443` }, {});
          const { proxy } = routeTo(`${host}:8443`, values);
          const [address, login] = proxy ? [`${proxy.host}:${proxy.port}`, proxy.login] : [`${host}:8443`, undefined];
          assert.equal(address.replace('::1', '[::1]'), target.path);
          assert.equal(login, extraOptions['grpc.http_connect_creds']);
        }),
        { numRuns: 500 },
      );
    } finally {
      set(before);
      setLogVerbosity(logVerbosity.ERROR);
    }
  });

  it('say which variables the agent does not heed', () => {
    assert.deepEqual(routeTo('h:1', { HTTPS_PROXY: 'http://p:1' }).ignored, ['HTTPS_PROXY']);
    assert.deepEqual(routeTo('h:1', { HTTPS_PROXY: 'http://p:1', https_proxy: 'http://p:1' }).ignored, []);
  });

  it('give the skew of the clock with its sign, and warn beyond a minute', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1e9, max: 1e9 }), fc.integer({ min: 0, max: 5000 }), (skew, trip) => {
        // Asked at 1e12 here; the coordinator reads its clock half way.
        const { outcome, found } = clockVerdict(1e12 + trip / 2 - skew, 1e12, 1e12 + trip);
        assert.equal(outcome, Math.abs(skew) > 60_000 ? 'warning' : 'ok');
        const [, seconds, side] = /is ([\d.]+) s (behind|ahead of)/.exec(found)!;
        assert.ok(Math.abs(Number(seconds) - Math.abs(skew) / 1000) <= 0.0501);
        if (skew !== 0) assert.equal(side, skew < 0 ? 'behind' : 'ahead of');
      }),
    );
  });

  it('follow a certificate from its first to its last day', async () => {
    const credentials = await selfSigned('st-marys', 30 * DAY);
    const at = (days: number, site = 'st-marys') => certificateCheck(credentials, site, () => Date.now() + days * DAY);
    assert.equal(at(-1).outcome, 'failed');
    assert.match(at(-1).mend, /clock/);
    assert.deepEqual([at(1).outcome, at(19.9).outcome], ['ok', 'ok']);
    assert.match(at(1).found, /, 28 days left|, 29 days left/);
    assert.equal(at(20.1).outcome, 'warning');
    assert.match(at(20.1).mend, /start the agent/);
    assert.equal(at(30.1).outcome, 'failed');
    assert.match(at(30.1).mend, /invitation/);
    assert.equal(at(1, 'northern').outcome, 'failed');
  });

  it('report graphics cards, none, and a driver that does not work', async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'clara-gpu-'));
    const program = (text: string): string => {
      const file = path.join(folder, `smi-${Math.random()}`);
      writeFileSync(file, `#!/bin/sh\n${text}\n`);
      chmodSync(file, 0o755);
      return file;
    };
    const { signal } = new AbortController();
    try {
      const two = await gpuCheck(signal, program('echo "T4, 15360 MiB, 550.54"; echo "T4, 15360 MiB, 550.54"'));
      assert.deepEqual([two.outcome, two.found], ['ok', 'T4, 15360 MiB, 550.54; T4, 15360 MiB, 550.54']);
      const broken = await gpuCheck(signal, program('echo "Driver/library version mismatch"; exit 18'));
      assert.equal(broken.outcome, 'warning');
      assert.match(broken.found, /Driver\/library version mismatch/);
      const none = await gpuCheck(signal, path.join(folder, 'missing'));
      assert.equal(none.outcome, 'ok');
      assert.match(none.found, /no nvidia-smi/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('never wait for a check that does not end, and tell it to', async () => {
    let told: AbortSignal | undefined;
    const verdict = await bounded(5, 'pull the plug', (signal) => {
      told = signal;
      return new Promise(() => undefined);
    });
    assert.deepEqual(verdict, { outcome: 'failed', found: 'not done after 0.005 s', mend: 'pull the plug' });
    assert.equal(told?.aborted, true);
    assert.deepEqual(await bounded(5000, '', async () => ok('fine')), ok('fine'));
  });

  it('are those of the table in docs/operations.md, in its order', () => {
    const page = readFileSync(path.resolve(__dirname, '../../../docs/operations.md'), 'utf8');
    const [, table] = /^\| check +\|.*\n\| -.*\n((?:\|.*\n)+)/m.exec(page)!;
    const told = [...table.matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name);
    assert.deepEqual(told, [...PREFLIGHT_CHECKS]);
  });

  it('show the hours of the site, and whether they are open now', () => {
    const hours: Hours = { timeZone: 'Europe/London', open: [{ days: ['fri', 'sat'], from: '19:00', to: '07:00' }] };
    const found = (time: string, when = hours) => hoursCheck(when, Date.parse(time)).found;
    const all = 'fri sat 19:00-07:00 Europe/London';
    assert.equal(found('2026-11-27T12:00Z'), `${all}; now closed, until Fri 19:00 Europe/London`);
    assert.equal(found('2026-11-27T19:00Z'), `${all}; now open, until Sat 07:00 Europe/London`);
    const always: Hours = { timeZone: 'UTC', open: [{ days: [...DAYS], from: '00:00', to: '24:00' }] };
    assert.match(found('2026-11-27T12:00Z', always), /00:00-24:00 UTC: at any time$/);
    assert.deepEqual(hoursCheck(undefined, 0), ok('trainers may work at any time: policy.hours is not set'));
  });

  it('are one table, with what to do below what was found', () => {
    const lines = preflightTable([
      { name: 'port', outcome: 'failed', found: 'nothing answers', mend: 'open it' },
      { name: 'gpu', outcome: 'ok', found: 'none', mend: '' },
    ]);
    assert.deepEqual(lines, [
      'check  outcome  found',
      'port   FAILED   nothing answers',
      '                -> open it',
      'gpu    ok       none',
    ]);
  });
});
