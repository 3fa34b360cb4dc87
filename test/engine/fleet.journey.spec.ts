import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { Program, type ProgramEnd } from '../support/program';
import { CloudError } from './provider/cloud';
import { CALLER_ACCOUNT, PASSPHRASE, RealEngine } from './real-engine';

const FIRST = '111122223333';
const SECOND = '444455556666';

const PLATFORM = '333344445555';

/** `clara-fed fleet` as an operator calls it, on the real engine: organisation, coordinator, two hospitals. */
describe('a fleet of two hospitals', function () {
  this.timeout(300_000);
  let engine: RealEngine;
  before(async function () {
    engine = await RealEngine.open(this);
  });
  after(() => engine?.close());
  afterEach(() => {
    if (engine) engine.cloud.before = () => {};
  });

  const start = (verb: string, ...which: readonly string[]): Program =>
    new Program(['fleet', verb, '--env', 'dev', ...which, '--project', engine.project, '--json'], {
      environment: engine.environment,
    });
  const madeBy = (stack: string): string[] =>
    engine.cloud.objects
      .map(({ urn }) => urn)
      .filter((urn) => urn.startsWith(`urn:pulumi:${stack}::`))
      .sort();
  const knownOf = (stack: string): string[] =>
    engine
      .state(stack)
      .filter(({ custom, type }) => custom && type.startsWith('aws:'))
      .map(({ urn }) => urn)
      .sort();
  const whole = (stack: string): void => {
    assert.ok(knownOf(stack).length > 50, stack);
    assert.deepEqual(knownOf(stack), madeBy(stack));
  };
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

  it('deploys in order, stops at a failure with exit code 75, and the same call goes on with what is not done', async () => {
    engine.cloud.before = ({ account, urn }) => {
      if (account === SECOND && urn.endsWith('charite-workspace-key')) throw new CloudError('AccessDeniedException');
    };
    const stopped = await start('up', '--all').ended;
    assert.equal(stopped.code, 75, stopped.stdout + stopped.stderr);
    const done = { org: 'done', dev: 'done', 'dev-st-marys': 'done' };
    assert.deepEqual(states(stopped), { ...done, 'dev-charite': 'failed' });
    assert.match(stopped.stdout, /AccessDeniedException/);
    assert.ok(existsSync(record()));
    const stacks = engine.cloud.calls.map(({ urn }) => urn.split(':')[2]);
    assert.deepEqual([...new Set(stacks)], ['org', 'dev', 'dev-st-marys', 'dev-charite']);

    engine.cloud.before = ({ account }) => {
      assert.equal(account, SECOND, 'a stack that was done is worked on again');
    };
    const goneOn = await start('up', '--all').ended;
    assert.equal(goneOn.code, 0, goneOn.stdout + goneOn.stderr);
    const before = { org: 'done-before', dev: 'done-before', 'dev-st-marys': 'done-before' };
    assert.deepEqual(states(goneOn), { ...before, 'dev-charite': 'done' });
    assert.ok(!existsSync(record()));
    for (const stack of Object.keys({ ...done, 'dev-charite': '' })) whole(stack);
    assert.ok(inAccount(CALLER_ACCOUNT).length > 10);
    assert.ok(inAccount(PLATFORM).length > 50);
  });

  it('destroys one hospital and touches nothing of the other', async () => {
    const before = JSON.stringify(inAccount(FIRST));
    const ended = await start('destroy', '--sites', 'charite').ended;
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual(madeBy('dev-charite'), []);
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
    program = start('up', '--sites', 'charite');
    const ended = await program.ended;
    assert.equal(ended.code, 130, ended.stdout + ended.stderr);
    assert.deepEqual(states(ended), { 'dev-charite': 'interrupted' });
    assert.ok(madeBy('dev-charite').some((urn) => urn.endsWith('FileSystem::charite-workspace')));
    assert.deepEqual(knownOf('dev-charite'), madeBy('dev-charite'));

    engine.cloud.before = () => {};
    assert.deepEqual(states(await start('up', '--sites', 'charite').ended), { 'dev-charite': 'done' });
    whole('dev-charite');
  });
});
