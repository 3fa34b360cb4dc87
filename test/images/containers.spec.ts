import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { CreateSecretCommand, PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { EXIT } from '../../base/exit-codes';
import { writePhantomDataset } from '../../imaging/phantom-dataset';
import type { ProgramRun } from '../engine/run-program';
import { containers, ofType, planOf } from '../stacks/plans';
import { AwsServer } from '../support/aws-server';
import { ContainerHost, type StartedContainer } from '../support/container-host';
import { Program, type ProgramEnd, type ProgramRecord } from '../support/program';
import { S3_CREDENTIALS } from '../support/s3-server';
import { tarOf } from '../support/tar-of';

const SITE = 'st-marys';
const DATASET = 'Task09_Spleen';
const COORDINATOR_HOST = 'fl.spleen-consortium.org';
const REGION = 'eu-west-2';
const CREDENTIALS = {
  accessKeyId: S3_CREDENTIALS.AWS_ACCESS_KEY_ID,
  secretAccessKey: S3_CREDENTIALS.AWS_SECRET_ACCESS_KEY,
};
/** Longest time from SIGTERM to the end; ECS gives our tasks 120 s, and its default is 30. */
const STOP_MILLIS = 30_000;

/**
 * Every container of ours in the plans of prod and of a hospital, started as the plan says from the tree of its image: a flag,
 * a variable, a volume or a right file that does not fit ends a program here, and not in a hospital.
 */
describe('the containers of coordinator and site', function () {
  this.timeout(180_000);

  let moto: AwsServer;
  let host: ContainerHost;
  let prod: ProgramRun;
  let site: ProgramRun;
  let madeFiles: readonly string[];
  let operator: string;
  let leader: StartedContainer;
  let standby: StartedContainer;
  let agent: StartedContainer;
  let annotation: StartedContainer;

  before(async function () {
    process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
    moto = await AwsServer.start(this);
    [prod, site] = await Promise.all([planOf('prod'), planOf(`prod-${SITE}`)]);
    const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = S3_CREDENTIALS;
    host = new ContainerHost({ AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL: moto.endpoint });
    host.standIn(COORDINATOR_HOST, 'localhost');
    for (const image of ['coordinator', 'agent', 'aiaa'] as const) host.tree(image);
    madeFiles = host.treeFiles();
    operator = mkdtempSync(path.join(os.tmpdir(), 'clara-operator-'));
  });
  after(async () => {
    await host?.stop();
    await moto?.stop();
    if (operator) rmSync(operator, { recursive: true, force: true });
  });

  /** A one-shot task: where one is needed its configuration is written, then its own container runs to its end. */
  const bootstrap = async (step: string): Promise<ProgramEnd & { readonly records: readonly ProgramRecord[] }> => {
    const task = `${SITE}-bootstrap-${step}`;
    if (step === 'preflight') {
      const { program: writer } = await host.start(site, task, 'configure', 'agent');
      const { code, stderr } = await writer.ended;
      assert.equal(code, 0, stderr);
    }
    const { program } = await host.start(site, task, step, 'agent');
    return { ...(await program.ended), records: program.records };
  };

  it('are two coordinators on the store of the plan: one leads, the other stands by, both are well', async () => {
    await withBucket(moto.endpoint, wordAfter(prod, 'prod-coordinator-a', '--store').split('/')[2]);
    for (const option of ['--authority-secret', '--operator-secret']) {
      host.standIn(wordAfter(prod, 'prod-coordinator-a', option), await secretOf(moto.endpoint, option));
    }
    leader = await host.start(prod, 'prod-coordinator-a', 'coordinator', 'coordinator');
    await leader.program.record(({ event }) => event === 'ready', 'the first coordinator serves');
    standby = await host.start(prod, 'prod-coordinator-b', 'coordinator', 'coordinator');
    await standby.program.record(({ event }) => event === 'standing-by', 'the second stands by');
    assert.match(await healthOf(leader), /^The coordinator leads\.$/);
    assert.match(await healthOf(standby), /^The coordinator stands by for localhost:\d+\.$/);
  });

  it('are an agent that is well before there is an invitation in its secret, and enrols itself and connects once there is', async () => {
    const planned = wordAfter(site, `${SITE}-agent`, '--invitation-secret');
    const { arn, put } = await emptySecret(moto.endpoint);
    host.standIn(planned, arn);
    const { program: writer } = await host.start(site, `${SITE}-agent`, 'configure', 'agent');
    assert.equal((await writer.ended).code, 0);
    agent = await host.start(site, `${SITE}-agent`, 'agent', 'agent');
    await agent.program.record(({ event }) => event === 'enrolment-waits', 'the agent waits');
    assert.match(await healthOf(agent), /^Waits for an invitation in secret [\w-]+\.$/);

    // With the command that the stack answers, on a machine of an administrator; then as in the coordinator's own image.
    const { fetchOperator } = prod.outputs!.Commands as Record<string, string>;
    const [, ...fetch] = host.text(fetchOperator).split(' ');
    const fetched = await new Program([...fetch.slice(0, -1), path.join(operator, 'admin')], { environment: host.aws })
      .ended;
    assert.equal(fetched.code, 0, fetched.stderr);
    const invite = ['sites', 'invite', SITE, '--operator', path.join(operator, 'admin'), '--json'];
    const invited = await new Program(invite).ended;
    assert.equal(invited.code, 0, invited.stderr);
    await put((JSON.parse(invited.stdout) as { invitation: string }).invitation);
    await agent.program.record(({ event }) => event === 'ready', 'the agent is connected');
    assert.match(await healthOf(agent), /^Connected to localhost:\d+\.$/);
  });

  it('bring the dataset of the bucket to where the agent reads it', async () => {
    const [, , bucket, key] = wordAfter(site, `${SITE}-bootstrap-prepare`, '--dataset').split('/');
    const put = new PutObjectCommand({ Bucket: bucket, Key: key, Body: await archiveOf(DATASET) });
    await withBucket(moto.endpoint, bucket, (client) => client.send(put));
    const { code, stderr, records } = await bootstrap('prepare');
    assert.equal(code, 0, stderr);
    assert.deepEqual(records.at(-1), { event: 'prepared', changed: true });
  });

  it('look ahead: what the stack brought is all right, and the cluster that is not there is named', async () => {
    const { code, stderr, records } = await bootstrap('preflight');
    assert.equal(code, EXIT.badData, stderr);
    const checks = records.filter(({ event }) => event === 'check');
    const failed = checks.filter(({ outcome }) => outcome === 'failed').map(({ name }) => name);
    assert.deepEqual(failed, ['trainer'], JSON.stringify(checks));
    for (const name of ['certificate', 'tls', 'admission', 'workspace', 'dataset']) {
      assert.equal(checks.find((check) => check.name === name)?.outcome, 'ok', name);
    }
  });

  it('are an annotation server that answers below the path of its secret alone', async () => {
    const task = `${SITE}-annotation`;
    const prefix = '/st-marys/4f1c2a7de9';
    host.standIn(wordAfter(site, task, '--prefix-secret'), await secretOf(moto.endpoint, 'prefix', prefix));
    annotation = await host.start(site, task, 'aiaa', 'aiaa');
    await annotation.program.record(({ event }) => event === 'ready', 'the annotation server listens');
    const status = async (at: string) => (await fetch(`http://127.0.0.1:${annotation.port(5000)}${at}`)).status;
    assert.equal(await status('/v1/models'), 404);
    assert.equal(await status(`${prefix}/v1/models`), 200);
    assert.equal(await status('/health'), 200, 'as the load balancer asks');
    // What the command `administration` forwards comes from the task itself.
    assert.equal(await status('/logs/'), 200);
    assert.notEqual(await healthOf(annotation), '');
    const { stdout, stderr } = await annotation.exec('aiaa', 'models', '--workspace', '/workspace');
    assert.deepEqual([stdout, stderr], ['', '']);
    assert.ok(!JSON.stringify(annotation.program.records).includes(prefix), 'the log does not have it');
  });

  it('have nothing secret in their environment', () => {
    for (const run of [prod, site]) {
      for (const { inputs } of ofType(run, 'aws:ecs/taskDefinition:TaskDefinition')) {
        for (const { name, secrets } of JSON.parse(inputs.containerDefinitions as string)) {
          assert.deepEqual(secrets, [], name);
        }
      }
    }
  });

  it('print lines of JSON, end in order when ECS stops them, and are not well any more', async () => {
    for (const [name, container] of Object.entries({ agent, annotation, standby, leader })) {
      const began = performance.now();
      const { code, signal, stdout, stderr } = await container.program.stop();
      assert.deepEqual([code, signal], [EXIT.ok, null], `${name}: ${stderr}`);
      assert.ok(performance.now() - began < STOP_MILLIS, name);
      const lines = `${stdout}${stderr}`.split('\n').filter((line) => line !== '');
      for (const line of lines) assert.equal(typeof JSON.parse(line), 'object', `${name}: ${line}`);
      assert.notEqual(lines.length, 0);
      const { code: health, stderr: why } = await container.health();
      assert.equal(health, EXIT.unavailable);
      assert.match(why, /does not answer: connect ECONNREFUSED/);
    }
  });

  it('wrote nothing into their images', () => assert.deepEqual(host.treeFiles(), madeFiles));
});

/** The sentence of a container that is well. */
async function healthOf(container: StartedContainer): Promise<string> {
  const { code, stdout, stderr } = await container.health();
  assert.equal(code, EXIT.ok, stderr);
  return stdout.trim();
}

/** The argument after an option, in the only container of ours that has it. */
function wordAfter(run: ProgramRun, definition: string, option: string): string {
  const commands = containers(run, definition).map(({ command }) => command as readonly string[]);
  const command = commands.find((words) => words.includes(option));
  assert.ok(command, `${definition} has no ${option}`);
  return command[command.indexOf(option) + 1];
}

async function withBucket(
  endpoint: string,
  bucket: string,
  then: (client: S3Client) => Promise<unknown> = async () => {},
) {
  const client = new S3Client({ endpoint, region: REGION, credentials: CREDENTIALS, forcePathStyle: true });
  const CreateBucketConfiguration = { LocationConstraint: REGION } as const;
  await client.send(new CreateBucketCommand({ Bucket: bucket, CreateBucketConfiguration }));
  await then(client);
  client.destroy();
}

/** A secret, with this text if there is one. @returns its ARN */
async function secretOf(endpoint: string, name: string, text?: string): Promise<string> {
  const client = new SecretsManagerClient({ endpoint, region: REGION, credentials: CREDENTIALS });
  const { ARN } = await client.send(new CreateSecretCommand({ Name: name.replace(/^-+/, ''), SecretString: text }));
  client.destroy();
  return ARN!;
}

/** A secret without a value, as the stack makes it. */
async function emptySecret(endpoint: string) {
  const client = () => new SecretsManagerClient({ endpoint, region: REGION, credentials: CREDENTIALS });
  const { ARN } = await client().send(new CreateSecretCommand({ Name: 'invitation' }));
  return {
    arn: ARN!,
    put: (SecretString: string) => client().send(new PutSecretValueCommand({ SecretId: ARN, SecretString })),
  };
}

/** A small Decathlon dataset as one tar. */
async function archiveOf(name: string): Promise<Buffer> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'clara-archive-'));
  try {
    // The catalogue holds nine of this hospital's cases out.
    await writePhantomDataset(folder, { cases: 10, heldOut: 1, seed: 3, shape: [16, 24, 24] });
    return await tarOf(folder, name);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
