import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { Program, type ProgramEnd } from '../support/program';
import { CloudError } from './provider/cloud';
import { PASSPHRASE, RealEngine, withoutCli } from './real-engine';

const FIRST = '111122223333';
const SECOND = '444455556666';

/** `clara-fed fleet` as an operator calls it, on the real engine. */
describe('a fleet of two hospitals', function () {
  this.timeout(300_000);
  let engine: RealEngine;
  before(async function () {
    const opened = await RealEngine.open();
    if (opened === undefined) {
      withoutCli();
      return this.skip();
    }
    engine = opened;
    engine.addSite('dev-st-marys', { stack: 'dev-charite', siteId: 'charite', accountId: SECOND });
  });
  after(() => engine?.close());
  afterEach(() => {
    if (engine) engine.cloud.before = () => {};
  });

  const start = (verb: string, sites: string): Program =>
    new Program(['fleet', verb, '--env', 'dev', '--sites', sites, '--project', engine.project, '--json'], {
      environment: engine.environment,
    });
  const states = ({ stdout, stderr }: ProgramEnd): Record<string, unknown> => {
    assert.ok(!(stdout + stderr).includes(PASSPHRASE));
    const records = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    return Object.fromEntries(
      records.filter(({ event }) => event === 'stack').map(({ stack, state }) => [stack, state]),
    );
  };
  const inAccount = (account: string) => engine.cloud.objects.filter((object) => object.account === account);
  const record = () => path.join(engine.project, '.clara-fed/fleet/dev-up.json');

  it('stops at a failure with exit code 75, and the same call goes on with what is not done', async () => {
    engine.cloud.before = ({ account, urn }) => {
      if (account === SECOND && urn.endsWith('charite-workspace-key')) throw new CloudError('AccessDeniedException');
    };
    const stopped = await start('up', 'st-marys,charite').ended;
    assert.equal(stopped.code, 75, stopped.stderr);
    assert.deepEqual(states(stopped), { 'dev-st-marys': 'done', 'dev-charite': 'failed' });
    assert.match(stopped.stdout, /AccessDeniedException/);
    assert.ok(existsSync(record()));

    engine.cloud.before = ({ account, operation }) => {
      assert.ok(account === SECOND || operation === 'read', 'a stack that was done is worked on again');
    };
    const goneOn = await start('up', 'st-marys,charite').ended;
    assert.equal(goneOn.code, 0, goneOn.stdout + goneOn.stderr);
    assert.deepEqual(states(goneOn), { 'dev-st-marys': 'done-before', 'dev-charite': 'done' });
    assert.ok(!existsSync(record()));
    assert.equal(inAccount(FIRST).length, inAccount(SECOND).length);
  });

  it('destroys one hospital and touches nothing of the other', async () => {
    const before = JSON.stringify(inAccount(FIRST));
    const ended = await start('destroy', 'charite').ended;
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual(inAccount(SECOND), []);
    assert.equal(JSON.stringify(inAccount(FIRST)), before);
  });

  it('ends in order on Ctrl-C: what AWS was doing is finished and known, and the next call completes it', async () => {
    let program: Program | undefined;
    const cancelled = new Promise<void>((resolve) => {
      engine.cloud.onCancel = resolve;
    });
    engine.cloud.before = async ({ operation, urn }) => {
      if (operation !== 'create' || !urn.endsWith('charite-workspace')) return;
      program!.kill('SIGINT');
      await cancelled;
    };
    program = start('up', 'charite');
    const ended = await program.ended;
    assert.equal(ended.code, 130, ended.stdout + ended.stderr);
    assert.deepEqual(states(ended), { 'dev-charite': 'interrupted' });
    const made = inAccount(SECOND)
      .map(({ urn }) => urn)
      .sort();
    const known = engine.state('dev-charite').filter(({ custom, type }) => custom && type.startsWith('aws:'));
    assert.ok(made.some((urn) => urn.endsWith('FileSystem::charite-workspace')));
    assert.deepEqual(known.map(({ urn }) => urn).sort(), made);

    engine.cloud.before = () => {};
    assert.deepEqual(states(await start('up', 'charite').ended), { 'dev-charite': 'done' });
    assert.equal(inAccount(SECOND).length, inAccount(FIRST).length);
  });
});
