import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CreateSecretCommand, PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { EcsBench, TRAINING_LOGS } from '../support/ecs-bench';
import type { EcsDouble } from '../support/ecs-double';
import { parseExposition, seriesValue } from '../support/exposition';
import { Federation } from '../support/federation';
import { shiftModel } from '../support/shift-model';
import { until } from '../support/until';

const SITES = ['a', 'b'];
const ECS = { cluster: 'site', taskDefinition: 'trainer', container: 'trainer', capacityProvider: 'gpu-g5' };

/**
 * Site a enrols itself with what lies in its secret and trains in containers of its cluster, site b does both on its own machine;
 * both as `clara-fed site start`.
 */
describe('a site whose trainer is an ECS task', () => {
  let bench: EcsBench;
  let double: EcsDouble;
  let federation: Federation;
  let secrets: SecretsManagerClient;

  before(async function () {
    this.timeout(120_000);
    bench = await EcsBench.start(this);
    secrets = new SecretsManagerClient({ endpoint: bench.endpoint });
    federation = await Federation.start(['b']);
    double = await bench.openDouble(path.join(federation.siteFolder('a'), 'workspace'));
  });
  after(async () => {
    secrets?.destroy();
    await federation?.stop();
    await bench?.stop();
  });

  const configure = async (capacityTimeout?: string) => {
    await federation.stopSite('a');
    const ecs = { ...ECS, workspace: '/workspace', logs: TRAINING_LOGS, ...(capacityTimeout && { capacityTimeout }) };
    await federation.configureSite('a', { ecs });
  };
  const invitationOf = async (site: string) => {
    const { invitation } = await federation.operate((client) => client.inviteSite({ site, validMinutes: 60 }));
    return invitation;
  };
  const kill = async () => {
    const site = federation.sites.get('a')!;
    site.kill('SIGKILL');
    await site.ended;
  };
  /** First weights are made by a container too; then training is. */
  const containers = (count: number) =>
    until(() => double.tasks.length === count, `${count} containers were asked for, not ${double.tasks.length}`);
  const gateFor = async (name: string) => {
    const gate = path.join(federation.folder, name);
    await mkdir(gate);
    double.environment = { GATE: gate };
    return {
      reached: async () =>
        existsSync(path.join(gate, 'reached'))
          ? (await readFile(path.join(gate, 'reached'), 'utf8')).trim().split('\n').length
          : 0,
      open: () => writeFile(path.join(gate, 'open'), ''),
    };
  };

  it('is healthy before anybody has invited it, enrols itself a moment after its secret has an invitation, and never asks again', async () => {
    const { ARN: SecretId, Name } = await secrets.send(new CreateSecretCommand({ Name: 'a-agent-invitation-1a2b3c4' }));
    federation.siteOptions.set('a', ['--invitation-secret', SecretId!, '--metrics', '127.0.0.1:0']);
    await configure();
    // More often than the client of AWS tries by itself.
    const throttled = new Array<'throttle'>(4).fill('throttle');
    double.spoil('GetSecretValue', { type: 'AccessDeniedException', message: 'not yet' }, ...throttled);
    const agent = federation.launchSite('a');
    const { address } = await agent.record(({ event }) => event === 'metrics', 'the agent serves figures');
    const waits = await agent.record(({ event }) => event === 'enrolment-waits', 'the agent waits');
    assert.equal(waits.message, `waits for an invitation in secret ${Name}`);
    const figures = async () => parseExposition(await (await fetch(`http://${address}/metrics`)).text());
    const health = async () => {
      const { code, stdout, stderr } = await federation.cli('health', '--url', `http://${address}/health`);
      assert.equal(code, 0, stderr);
      return stdout.trim();
    };
    await agent.record(({ message }) => /Rate exceeded/.test(String(message)), 'AWS does not answer');
    assert.match(
      await health(),
      new RegExp(`^Waits for an invitation in secret ${Name}\\. Last problem: .*Rate exceeded`),
    );
    const waiting = await figures();
    assert.equal(seriesValue(waiting, 'clara_site_enrolled'), 0);
    assert.ok(!waiting.has('clara_site_connected'), 'no alarm takes it for a site that lost its coordinator');

    await secrets.send(new PutSecretValueCommand({ SecretId, SecretString: await invitationOf('c') }));
    await agent.record(({ message }) => /it is for site c, and this is site a/.test(String(message)), 'a wrong one');
    await secrets.send(new PutSecretValueCommand({ SecretId, SecretString: await invitationOf('a') }));
    await agent.record(({ event }) => event === 'ready', 'the agent has enrolled itself and is connected');
    assert.match(await health(), /^Connected to localhost:\d+\.$/);
    const connected = await figures();
    assert.equal(seriesValue(connected, 'clara_site_enrolled'), 1);
    assert.equal(seriesValue(connected, 'clara_site_connected'), 1);
    const problems = agent.records.filter(({ event }) => event === 'problem').map(({ message }) => String(message));
    assert.equal(problems.length, 3, problems.join('\n'));
    assert.match(problems[0]!, /may not be read by this program; its role needs secretsmanager:GetSecretValue/);

    const asked = double.calls.filter((call) => call === 'GetSecretValue').length;
    await federation.stopSite('a');
    await federation.startSite('a');
    assert.equal(double.calls.filter((call) => call === 'GetSecretValue').length, asked);
  });

  it('waits from no machine at all, and its agent, killed while it waits and while it trains, finds the one container again', async () => {
    double.hasMachine = false;
    const gate = await gateFor('gate-kill');
    const run = await federation.submit({ rounds: 1, deadline: '10m' });
    await containers(1);
    await kill();
    await federation.startSite('a');
    double.provide();
    await until(async () => (await gate.reached()) === 1, 'the container trains');
    const asked = double.tasks.length;
    await kill();
    await federation.startSite('a');
    // Not before: a question of the one that was killed may still be on its way.
    const watched = double.calls.length;
    // A report that is there already is taken without looking at the container, which is then ended in its last moment.
    await until(() => double.calls.slice(watched).includes('DescribeTasks'), 'the agent watches its container again');
    await gate.open();
    const { summary, rounds } = await federation.outcomeOf(run);
    assert.equal(summary!.state, 'completed', summary!.reason);
    assert.deepEqual(rounds[0]!.contributors, SITES);
    assert.equal(summary!.modelDigest, shiftModel({ strategy: 'fedavg', elements: 1000, rounds: [SITES] }).digest);
    assert.equal(await gate.reached(), 1, 'trained once');
    assert.equal(double.tasks.length, asked, 'no container was asked for again');
    assert.equal(new Set(double.tasks.map(({ order }) => order.clientToken)).size, asked);
    assert.ok(!double.calls.includes('StopTask'));
  });

  it('ends its container when the run is aborted', async () => {
    await double.reset();
    const gate = await gateFor('gate-abort');
    const run = await federation.submit({ rounds: 1, deadline: '10m' });
    await until(async () => (await gate.reached()) >= 1, 'the container trains');
    const { code, stderr } = await federation.verb('run', 'abort', run);
    assert.equal(code, 0, stderr);
    await until(() => double.tasks.every(({ status }) => status === 'STOPPED'), 'no container is left');
    assert.equal(double.tasks.at(-1)!.stopCode, 'UserInitiated');
    assert.equal((await federation.outcomeOf(run)).summary!.state, 'aborted');
  });

  it('without a machine in time costs the run that site and no more; run show says why, and no container is left waiting', async () => {
    await double.reset();
    await configure('1s');
    await federation.startSite('a');
    double.hasMachine = false;
    const run = await federation.submit({ rounds: 1, quorum: 1, deadline: '10m' });
    const { summary, rounds } = await federation.outcomeOf(run);
    assert.equal(summary!.state, 'completed', summary!.reason);
    assert.deepEqual(rounds[0]!.contributors, ['b']);
    const shown = await federation.verb('run', 'show', run);
    assert.match(shown.stdout, /^a lost: .*gpu-g5 gave the trainer no machine within 1 s of ecs\.capacityTimeout/m);
    await until(() => double.tasks.every(({ status }) => status === 'STOPPED'), 'no container waits');
  });
});
