import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DescribeTasksCommand, ECSClient } from '@aws-sdk/client-ecs';
import { fromTemporaryCredentials } from '@aws-sdk/credential-providers';
import type { Pacing } from '../../../fl-site/backoff';
import { checkSiteConfiguration, type SiteConfigurationInput } from '../../../fl-site/configuration';
import { awsCluster } from '../../../fl-site/trainers/ecs/ecs-cluster';
import { EcsTrainer } from '../../../fl-site/trainers/ecs/ecs-trainer';
import { MmarInContainer } from '../../../fl-site/trainers/mmar/mmar-trainer';
import { AgentEnds, OutsideHours, type TrainerWork } from '../../../fl-site/trainers/trainer';
import { WorkingHours } from '../../../fl-site/working-hours';
import { failureOf, fromNow, startsIn, TASK, trainerContract, workOn } from '../../contract/trainer.contract';
import { EcsBench, TRAINING_LOGS } from '../../support/ecs-bench';
import { makeCluster } from '../../support/ecs-cluster';
import type { EcsDouble } from '../../support/ecs-double';
import { makeMmar, STAND_IN, shifted, WEIGHTS } from '../support/mmar/stand-in';
import { decodeModel } from '../support/model-bytes';
import { scriptedTrainer } from '../support/scripted-trainer';

const HOSPITAL_ROLE = 'arn:aws:iam::210987654321:role/clara-fed-training';

type EcsInput = Extract<SiteConfigurationInput['trainer'], { adapter: 'ecs-task' }>;

/** Short waits, and the signal is heeded. */
const BRISK: Pacing = {
  random: () => 0.5,
  wait: (millis: number, signal: AbortSignal) => delay(Math.min(millis, 15), undefined, { signal }),
};

describe('a trainer as an ECS task', () => {
  let bench: EcsBench;
  let double: EcsDouble;
  let workspace: string;
  let folder: string;
  let mode = 'good';

  before(async function () {
    this.timeout(120_000);
    bench = await EcsBench.start(this);
    workspace = mkdtempSync(path.join(os.tmpdir(), 'clara-ecs-'));
    double = await bench.openDouble(workspace);
  });
  after(async () => {
    await bench?.stop();
    if (workspace) rmSync(workspace, { recursive: true, force: true });
  });

  beforeEach(() => {
    mode = 'good';
    folder = newFolder();
    mkdirSync(path.join(folder, 'state'));
    writeFileSync(path.join(folder, 'task.json'), JSON.stringify(TASK));
  });
  afterEach(() => double.reset());

  const newFolder = () => {
    mkdirSync(path.join(workspace, 'runs', 'spleen-1'), { recursive: true });
    return mkdtempSync(path.join(workspace, 'runs', 'spleen-1', 'task-'));
  };

  const trainer = (more: Partial<EcsInput> = {}, ecs: Partial<EcsInput['ecs']> = {}, pacing = BRISK) => {
    const { command, args } = scriptedTrainer(mode);
    const site = checkSiteConfiguration(
      {
        id: 'st-marys',
        coordinator: 'localhost:8443',
        credentials: 'c',
        workspace,
        dataset: { kind: 'none' },
        trainer: {
          name: 'scripted',
          adapter: 'ecs-task',
          command: [command, ...args],
          ...more,
          ecs: {
            cluster: 'site',
            taskDefinition: 'trainer',
            container: 'trainer',
            capacityProvider: 'gpu-g5',
            workspace: '/workspace',
            logs: TRAINING_LOGS,
            ...ecs,
          },
        },
      },
      '/',
    );
    assert.ok(site.trainer.adapter === 'ecs-task');
    return new EcsTrainer({
      site: site.id,
      trainer: site.trainer,
      workspace: site.workspace,
      cluster: awsCluster(site.trainer.ecs, site.id, pacing),
      pacing,
      pollMillis: 20,
      seenMillis: 500,
    });
  };
  const run = (more: Partial<TrainerWork> = {}) => trainer().run(workOn(folder, more));

  describe('keeps the contract of trainers:', () => {
    trainerContract(() => ({
      folder: newFolder,
      trainer: (wanted, { pacing } = {}) => {
        mode = wanted;
        return trainer({}, {}, pacing ?? BRISK);
      },
      killed: /exit code 137/,
    }));
  });

  it('may be an MMAR of Clara Train, in a container of an image that has no program of ours', async () => {
    const root = mkdtempSync(path.join(os.tmpdir(), 'clara-ecs-mmar-'));
    try {
      const { mmar, dataset } = makeMmar(root);
      const model = path.join(folder, 'global.safetensors');
      writeFileSync(model, WEIGHTS);
      const task = { ...TASK, kind: 'train', dataset: { kind: 'decathlon', path: dataset }, parameters: { epochs: 2 } };
      const named = { input: path.basename(model), output: 'update.safetensors' };
      writeFileSync(path.join(folder, 'task.json'), JSON.stringify({ ...task, model: named }));
      const { ecs } = configured('site', 'gpu-g5');
      await new MmarInContainer({
        site: 'st-marys',
        trainer: {
          environment: { PYTHONPATH: STAND_IN, PYTHONDONTWRITEBYTECODE: '1' },
          mmar: { folder: mmar, launch: 'script', python: 'python3', set: {}, allow: [] },
          ecs: { ...ecs, workspace: '/workspace', logs: TRAINING_LOGS },
        },
        workspace,
        cluster: awsCluster(ecs, 'st-marys', BRISK),
        pacing: BRISK,
        pollMillis: 20,
        seenMillis: 500,
      }).run(workOn(folder));
      const [, , , program] = double.tasks[0]!.order.overrides.containerOverrides[0]!.command;
      assert.match(program!, /^\/workspace\/trainers\/clara-mmar-[0-9a-f]{12}\/clara_mmar_trainer\.py$/);
      assert.deepEqual(
        decodeModel(readFileSync(path.join(folder, 'update.safetensors'))),
        shifted(WEIGHTS, { seed: TASK.seed, epochs: 2, rate: 0.0002 }),
      );
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });

  it('is asked of the capacity provider, with its folder under the path of the container, and what tells people whose it is', async () => {
    mode = 'show-environment';
    await trainer({ threads: 3, environment: { CUDA_VISIBLE_DEVICES: '1' } }, { tags: { team: 'radiology' } }).run(
      workOn(folder),
    );
    const [task] = double.tasks;
    assert.deepEqual(task!.order.capacityProviderStrategy, [{ capacityProvider: 'gpu-g5', weight: 1 }]);
    assert.ok(!('launchType' in task!.order), 'a launch type does not scale from zero');
    assert.equal(task!.order.group, 'clara-fed');
    const tags = Object.fromEntries(task!.order.tags.map(({ key, value }) => [key, value]));
    assert.deepEqual(tags, { team: 'radiology', 'clara-fed:site': 'st-marys', 'clara-fed:run': 'spleen-1' });
    const there = `/workspace/runs/spleen-1/${path.basename(folder)}`;
    const [container] = task!.order.overrides.containerOverrides;
    assert.equal(container!.command.at(-1), there);
    assert.deepEqual(Object.fromEntries(container!.environment.map(({ name, value }) => [name, value])), {
      TMPDIR: `${there}/tmp`,
      OMP_NUM_THREADS: '3',
      CUDA_VISIBLE_DEVICES: '1',
      CLARA_FED_TASK_DIR: there,
    });
    const seen = JSON.parse(readFileSync(path.join(folder, 'environment.json'), 'utf8'));
    assert.equal(seen.argv.at(-1), folder);
  });

  it('waits for a machine while the group scales from zero, and says so', async () => {
    double.hasMachine = false;
    const waited: string[] = [];
    const done = run({
      onWaiting: (what) => {
        waited.push(what);
        // The next look finds it still waiting, or running.
        double.provide();
      },
    });
    await done;
    assert.equal(waited[0], 'waits for a machine of gpu-g5');
    assert.equal(double.tasks.length, 1);
  });

  it('gives up when no machine came in time, ends its task, and says where to look', async () => {
    double.hasMachine = false;
    const error = await failureOf(trainer({}, { capacityTimeout: '1s' }).run(workOn(folder)));
    assert.equal(error.code, 'resource-exhausted');
    assert.match(
      error.message,
      /gpu-g5 gave the trainer no machine.*PROVISIONING.*InsufficientInstanceCapacity.*VcpuLimitExceeded/s,
    );
    assert.equal(double.tasks[0]!.status, 'STOPPED');
    assert.equal(double.calls.filter((name) => name === 'RunTask').length, 1);
  });

  it('asks again, with another token, while ECS refuses to place it', async () => {
    double.spoil('RunTask', { refuse: 'RESOURCE:GPU' }, { refuse: 'Capacity is unavailable at this time.' });
    const waited: string[] = [];
    await run({ onWaiting: (what) => waited.push(what) });
    assert.deepEqual(waited.slice(0, 2), [
      'waits for a machine of gpu-g5: RESOURCE:GPU',
      'waits for a machine of gpu-g5: Capacity is unavailable at this time.',
    ]);
    assert.equal(double.tasks.length, 1);
  });

  it('tells a used-up quota, a missing image and too little memory apart', async () => {
    const ends = [
      [
        { stopCode: 'TaskFailedToStart', stoppedReason: 'VcpuLimitExceeded: quota of G instances' },
        'resource-exhausted',
        /ask AWS to raise/,
        1,
      ],
      [
        {
          stopCode: 'TaskFailedToStart',
          stoppedReason: 'CannotPullContainerError: arn:aws:ecr:eu-west-2:123456789012:repository/x not found',
        },
        'trainer-failed',
        /image of the trainer cannot be fetched \(CannotPullContainerError: <ecr> not found\)/,
        2,
      ],
      [
        {
          stopCode: 'EssentialContainerExited',
          containerReason: 'OutOfMemoryError: Container killed due to memory usage',
          exitCode: 137,
        },
        'trainer-failed',
        /used more memory than its task definition gives it/,
        2,
      ],
    ] as const;
    for (const [how, code, message, starts] of ends) {
      double.hasMachine = false;
      rmSync(folder, { recursive: true });
      mkdirSync(folder);
      const ending = setInterval(() => {
        for (const task of double.tasks) if (task.status === 'PROVISIONING') double.end(task, how);
      }, 5);
      const error = await failureOf(run()).finally(() => clearInterval(ending));
      assert.equal(error.code, code);
      assert.match(error.message, message);
      assert.equal(double.tasks.length, starts);
      await double.reset();
    }
  });

  it('is started again when its machine was taken away, and that is no failure of the trainer', async () => {
    mode = 'hang';
    const taken = { stopCode: 'SpotInterruption', stoppedReason: 'Your Spot Task was interrupted.' };
    const cancel = new AbortController();
    const error = await failureOf(
      run({
        signal: cancel.signal,
        onProgress: () => {
          if (double.tasks.length === 3) cancel.abort();
          else double.end(double.tasks.at(-1)!, taken);
        },
      }),
    );
    assert.equal(error.code, 'cancelled', 'a failed trainer would have been started twice at most');
    assert.equal(double.tasks.length, 3);
  });

  it('is asked for again when it is throttled, or when an answer is lost, and is started once', async () => {
    double.spoil('RunTask', 'throttle', 'throttle', 'lose-answer');
    double.spoil('DescribeTasks', 'throttle', 'throttle', 'throttle');
    await run();
    assert.equal(double.tasks.length, 1);
    assert.equal(double.calls.filter((name) => name === 'RunTask').length, 4);
    assert.equal(startsIn(folder), 1);
  });

  it('goes on when the agent ends, and the next agent finds it', async () => {
    mode = 'hang';
    const agent = new AbortController();
    const first = run({ signal: agent.signal, onProgress: () => agent.abort(new AgentEnds('the agent ends')) });
    assert.equal((await failureOf(first)).code, 'cancelled');
    assert.equal(double.tasks[0]!.status, 'RUNNING');
    const cancel = new AbortController();
    const second = run({ signal: cancel.signal, onProgress: () => cancel.abort() });
    assert.equal((await failureOf(second)).code, 'cancelled');
    assert.equal(double.tasks.length, 1, 'adopted, not started again');
    assert.equal(double.tasks[0]!.status, 'STOPPED');
    assert.equal(double.tasks[0]!.stopCode, 'UserInitiated');
  });

  it('is not started twice by an agent that was killed between its request and the answer', async () => {
    // All that such an agent leaves is its token, and a task of that token.
    const agent = new AbortController();
    const lost = new Promise<void>((resolve) => {
      double.spoil('RunTask', 'lose-answer');
      const timer = setInterval(() => {
        if (double.tasks.length === 0) return;
        clearInterval(timer);
        agent.abort(new AgentEnds('the agent ends'));
        resolve();
      }, 1);
    });
    await failureOf(run({ signal: agent.signal }));
    await lost;
    await run();
    assert.equal(double.tasks.length, 1);
  });

  it('is ended when the next agent learns that nobody wants it', async () => {
    mode = 'hang';
    const agent = new AbortController();
    await failureOf(run({ signal: agent.signal, onProgress: () => agent.abort(new AgentEnds('the agent ends')) }));
    await trainer().abandon(folder);
    assert.equal(double.tasks[0]!.status, 'STOPPED');
    await trainer().abandon(folder);
    assert.equal(double.calls.filter((name) => name === 'StopTask').length, 1);
  });

  it('is ended when the hours of the site are over, and another goes on with its state in the next ones', async () => {
    const open = [{ days: ['mon' as const], from: '19:00', to: '20:00' }];
    let time = Date.parse('2026-11-23T19:30Z');
    const hours = new WorkingHours({ hours: { timeZone: 'UTC', open }, now: () => time, pacing: BRISK });
    mode = 'hang';
    const close = () => {
      time += 3600e3;
    };
    await assert.rejects(hours.run(trainer(), workOn(folder, { onProgress: close })), OutsideHours);
    assert.equal(double.tasks[0]!.status, 'STOPPED');
    assert.equal(double.tasks[0]!.stopCode, 'UserInitiated');
    await assert.rejects(hours.run(trainer(), workOn(folder)), OutsideHours);
    assert.equal(double.tasks.length, 1, 'nothing is started outside of them');
    time = Date.parse('2026-11-30T19:00Z');
    mode = 'good';
    await hours.run(trainer(), workOn(folder));
    assert.equal(double.tasks.length, 2);
    assert.equal(startsIn(folder), 2);
  });

  it('is ended outside of the hours when an agent that ended had left it at work', async () => {
    mode = 'hang';
    const agent = new AbortController();
    await failureOf(run({ signal: agent.signal, onProgress: () => agent.abort(new AgentEnds('the agent ends')) }));
    const open = [{ days: ['mon' as const], from: '19:00', to: '20:00' }];
    const noon = () => Date.parse('2026-11-23T12:00Z');
    const hours = new WorkingHours({ hours: { timeZone: 'UTC', open }, now: noon, pacing: BRISK });
    double.spoil('StopTask', 'throttle');
    await assert.rejects(hours.admit(trainer(), workOn(folder)), OutsideHours);
    assert.equal(double.tasks[0]!.status, 'STOPPED');
  });

  it('never touches a task that it did not start', async () => {
    mode = 'hang';
    const agent = new AbortController();
    await failureOf(run({ signal: agent.signal, onProgress: () => agent.abort(new AgentEnds('the agent ends')) }));
    const file = path.join(folder, 'ecs-task.json');
    const note = JSON.parse(readFileSync(file, 'utf8'));
    writeFileSync(file, JSON.stringify({ ...note, token: '00000000-0000-4000-8000-000000000000' }));
    const error = await failureOf(run());
    assert.equal(error.code, 'corrupt');
    assert.equal(double.tasks[0]!.status, 'RUNNING');
    // The note is the trainer's word only, so ending the task is nobody's business either.
    await assert.rejects(() => trainer().abandon(folder), { code: 'corrupt' });
    assert.equal(double.tasks[0]!.status, 'RUNNING');
  });

  it('runs in the account of another role, which alone sees its cluster', async () => {
    const credentials = fromTemporaryCredentials({
      params: { RoleArn: HOSPITAL_ROLE, RoleSessionName: 'set-up' },
      clientConfig: { endpoint: bench.endpoint },
    });
    await makeCluster(new ECSClient({ endpoint: bench.endpoint, credentials }), 'other');
    const elsewhere = { cluster: 'other', role: HOSPITAL_ROLE };
    const without = await failureOf(trainer({}, { cluster: 'other' }).run(workOn(folder)));
    assert.equal(without.code, 'invalid-input');
    assert.match(without.message, /trainer\.ecs\.cluster.*trainer\.ecs\.role/);
    await trainer({}, { ...elsewhere, logs: undefined }).run(workOn(folder));
    assert.equal(double.tasks.length, 1);
    assert.match(double.tasks[0]!.arn, /:210987654321:/);
    const { tasks } = await new ECSClient({ endpoint: bench.endpoint }).send(
      new DescribeTasksCommand({ cluster: 'site', tasks: [double.tasks[0]!.arn] }),
    );
    assert.deepEqual(tasks, [], 'nothing of it is in the own account');
  });

  it('refuses what ECS would refuse, with a sentence about the setting', async () => {
    const long = await failureOf(trainer({ environment: { NOTE: 'x'.repeat(9000) } }).run(workOn(folder)));
    assert.equal(long.code, 'invalid-input');
    assert.match(long.message, /ECS takes 8192; shorten trainer\.command/);
    const denied = {
      type: 'AccessDeniedException',
      message: 'User: arn:aws:sts::123456789012:assumed-role/agent is not authorized',
    };
    double.spoil('RunTask', denied);
    const refused = await failureOf(run({ deadline: fromNow(5000) }));
    assert.equal(refused.code, 'permission-denied');
    assert.match(refused.message, /docs\/operations\.md/);
    assert.doesNotMatch(refused.message, /123456789012/, 'messages leave the hospital');
    assert.equal(double.tasks.length, 0);
  });

  it('says before the first run whether its cluster and its capacity provider are there', async () => {
    const signal = AbortSignal.timeout(10_000);
    const look = (cluster: string, capacityProvider: string) => {
      const { ecs } = configured(cluster, capacityProvider);
      return awsCluster(ecs, 'st-marys', BRISK).look(signal);
    };
    assert.match(await look('site', 'gpu-g5'), /tasks go to gpu-g5 of the ECS cluster site, which has 1 machines now/);
    await assert.rejects(() => look('site', 'gpu-p3'), /has no capacity provider gpu-p3, but gpu-g5/);
    await assert.rejects(() => look('elsewhere', 'gpu-g5'), { code: 'not-found' });
  });

  function configured(cluster: string, capacityProvider: string) {
    const ecs = { cluster, capacityProvider, taskDefinition: 'trainer', container: 'trainer' };
    const { trainer: parsed } = checkSiteConfiguration(
      {
        id: 'st-marys',
        coordinator: 'localhost:8443',
        credentials: 'c',
        workspace,
        dataset: { kind: 'none' },
        trainer: { name: 'scripted', adapter: 'ecs-task', ecs },
      },
      '/',
    );
    assert.ok(parsed.adapter === 'ecs-task');
    return parsed;
  }
});
