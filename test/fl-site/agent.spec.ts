import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ClaraError } from '../../base/errors';
import { loadCredentials, saveCredentials } from '../../federation/credentials';
import { checkPlan } from '../../federation/plan';
import { type SiteAgent, startSiteAgent } from '../../fl-site/agent';
import { REAL_PACING } from '../../fl-site/backoff';
import type { SiteConfigurationInput } from '../../fl-site/configuration';
import type { SiteEvent } from '../../fl-site/site-events';
import { dialInsecure, FakeCoordinator, sha256Of } from './support/fake-coordinator';
import { decodeModel, encodeModel, MODEL } from './support/model-bytes';
import { scriptedTrainer } from './support/scripted-trainer';
import { issueFor, makeSite, selfSigned, type TestSite } from './support/site';
import { until } from './support/until';

const RUN = 'run-1';
const OBJECT = `runs/${RUN}/rounds/0000/model.safetensors`;
/** Real waits, but short ones. */
const PACING = { ...REAL_PACING, random: () => 0.05 };

describe('a site agent', () => {
  let coordinator: FakeCoordinator;
  let site: TestSite | undefined;
  let agent: SiteAgent | undefined;
  let events: SiteEvent[];

  beforeEach(async () => {
    coordinator = await FakeCoordinator.start();
    events = [];
  });
  afterEach(async () => {
    await agent?.close();
    agent = undefined;
    coordinator.kill();
    site?.remove();
    site = undefined;
  });

  const start = async (mode = 'good', more: Partial<SiteConfigurationInput> = {}) => {
    site ??= await makeSite('a', coordinator.port, scriptedTrainer(mode));
    return resume(more);
  };
  const resume = async (more: Partial<SiteConfigurationInput> = {}) => {
    agent = await startSiteAgent(site!.configuration(more), {
      dial: dialInsecure,
      pacing: PACING,
      graceMillis: 2000,
      onEvent: (event) => events.push(event),
    });
    return agent;
  };
  const propose = async (plan = {}) => {
    await coordinator.until(() => coordinator.connected);
    const trainer = { name: 'scripted', parameters: { steps: 4 } };
    const checked = checkPlan({ name: 'p', trainer, rounds: 5, cohort: ['a'], ...plan });
    coordinator.push({ case: 'proposal', value: { run: RUN, planJson: JSON.stringify(checked) } });
    return coordinator.heard((message) => (message.case === 'proposalAnswer' ? message.value : undefined));
  };
  const train = (round = 1, more = {}) => {
    const id = `${RUN}/train/${round}/a`;
    const model = coordinator.addModel(OBJECT, MODEL);
    const task = { id, kind: 'train', run: RUN, round, rounds: 5, seed: 11, trainer: 'scripted', track: 'federated' };
    coordinator.open({ ...task, remainingMillis: 60_000n, parametersJson: '{"steps":4}', models: [model], ...more });
    return id;
  };
  const done = async (id: string) => {
    const outcome = await coordinator.result(id);
    assert.equal(
      outcome.case,
      'done',
      JSON.stringify(outcome.value, (_, value) => (typeof value === 'bigint' ? `${value}` : value)),
    );
    return outcome.value as Extract<typeof outcome, { case: 'done' }>['value'];
  };
  const failed = async (id: string) => {
    const outcome = await coordinator.result(id);
    assert.equal(outcome.case, 'failed');
    return outcome.value as Extract<typeof outcome, { case: 'failed' }>['value'];
  };
  const workspace = (...names: string[]) => path.join(site!.folder, 'workspace', ...names);
  const taskFolders = () => readdirSync(workspace('runs', RUN)).filter((entry) => entry.includes('-train-'));
  const taskFolder = () => {
    const [name] = taskFolders();
    return workspace('runs', RUN, name);
  };
  const gate = () => path.join(site!.folder, 'gate');

  it('says hello, trains, uploads what the trainer made, and forgets the task when it is settled', async () => {
    await start();
    assert.equal((await propose()).approved, true);
    assert.equal(coordinator.hellos[0].trainer, 'scripted');
    assert.ok(coordinator.hellos[0].freeBytes > 0n);
    const id = train();
    const result = await done(id);
    const update = coordinator.uploads.get(id)!;
    assert.deepEqual(Buffer.from(result.updateSha256), sha256Of(update.bytes));
    assert.equal(result.samples, 7n);
    assert.equal(result.steps, 4n);
    assert.deepEqual(result.metrics, { loss: 0.25 });
    assert.ok(result.peakRssBytes > 10_000_000n);
    const before = decodeModel(MODEL);
    const after = decodeModel(update.bytes);
    assert.deepEqual(Object.keys(after), Object.keys(before));
    assert.notDeepEqual(after['enc.w'].values, before['enc.w'].values);
    assert.deepEqual(after['bn.count'].values, [4]);

    assert.ok(existsSync(path.join(taskFolder(), 'report.json')));
    const task = JSON.parse(readFileSync(path.join(taskFolder(), 'task.json'), 'utf8'));
    assert.ok(task.task.startsWith(`${id}#`));
    assert.deepEqual([task.kind, task.site, task.seed, task.round, task.rounds], ['train', 'a', 11, 1, 5]);
    coordinator.settle(id);
    await until(() => taskFolders().length === 0 && readdirSync(workspace('runs', RUN, 'journal')).length === 0);
  });

  it('initialises a model and judges models', async () => {
    await start();
    await propose();
    const init = `${RUN}/initialise/0/a`;
    const common = {
      run: RUN,
      round: 0,
      rounds: 5,
      seed: 3,
      trainer: 'scripted',
      remainingMillis: 60_000n,
      parametersJson: '{"steps":4}',
    };
    coordinator.open({ id: init, kind: 'initialise', ...common });
    await done(init);
    assert.deepEqual(Object.keys(decodeModel(coordinator.uploads.get(init)!.bytes)), ['enc.w', 'enc.b', 'bn.count']);
    coordinator.settle(init);

    const evaluate = `${RUN}/evaluate/1/a`;
    const other = encodeModel({ only: { shape: [2], values: [3, 5] } });
    const models = [coordinator.addModel(OBJECT, MODEL), { ...coordinator.addModel('other', other), name: 'site:b' }];
    coordinator.open({ id: evaluate, kind: 'evaluate', ...common, models });
    const result = await done(evaluate);
    assert.deepEqual(
      result.evaluations.map(({ model }) => model),
      ['global', 'site:b'],
    );
    assert.equal(result.evaluations[1].metrics.mean, 4);
    assert.equal(result.updateSha256.length, 0);
    assert.equal(coordinator.uploads.has(evaluate), false);
  });

  it('keeps the private state of a run between rounds, and apart on another track', async () => {
    await start();
    await propose();
    const first = train(1);
    await done(first);
    coordinator.settle(first);
    const second = train(2);
    await done(second);
    const alone = train(3, { track: 'alone' });
    await done(alone);
    const steps = (track: string) =>
      readFileSync(workspace('runs', RUN, 'state', track, 'steps.log'), 'utf8').split('\n').length - 1;
    assert.equal(steps('federated'), 8);
    assert.equal(steps('alone'), 4);
  });

  it('downloads a model of the run once', async () => {
    await start();
    await propose();
    const first = train(1);
    await done(first);
    coordinator.settle(first);
    await done(train(2));
    assert.equal(coordinator.downloads.length, 1);
  });

  it('downloads a model again that a trainer has written to', async () => {
    await start();
    await propose();
    await done(train(1));
    const [cached] = readdirSync(workspace('runs', RUN, 'models'));
    writeFileSync(workspace('runs', RUN, 'models', cached), Buffer.alloc(MODEL.length));
    await done(train(2));
    assert.equal(coordinator.downloads.length, 2);
  });

  it('never lets excluded tensors or metadata of the trainer leave', async () => {
    site = await makeSite('a', coordinator.port, scriptedTrainer('with-metadata'));
    await resume();
    await propose({ excludedTensors: ['^bn\\.', '\\.b$'] });
    const id = train(1, { excludedTensors: ['^bn\\.', '\\.b$'] });
    await done(id);
    const { bytes } = coordinator.uploads.get(id)!;
    const sent = decodeModel(bytes);
    const before = decodeModel(MODEL);
    assert.deepEqual(sent['bn.count'], before['bn.count']);
    assert.deepEqual(sent['enc.b'], before['enc.b']);
    assert.notDeepEqual(sent['enc.w'], before['enc.w']);
    assert.equal(bytes.includes('patient'), false);
    assert.equal(bytes.length, MODEL.length);
  });

  const beyondThePlan: [string, object, RegExp][] = [
    ['other parameters', { parametersJson: '{"steps":4000}' }, /parametersJson .*must be \{"steps":4\}, as approved/],
    ['fewer rounds', { rounds: 4 }, /round \(.*\): must be one of the 5 rounds that were approved/],
    [
      'more excluded tensors',
      { excludedTensors: ['^bn', '^enc'] },
      /excludedTensors .*must be \["\^bn"\], as approved/,
    ],
    ['fewer excluded tensors', { excludedTensors: [] }, /excludedTensors .*must be \["\^bn"\], as approved/],
    ['another trainer', { trainer: 'other' }, /trainer .*must be "?scripted"?, as approved/],
  ];
  for (const [what, more, message] of beyondThePlan) {
    it(`refuses a task with ${what} than the plan that was approved`, async () => {
      await start();
      await propose({ excludedTensors: ['^bn'] });
      const failure = await failed(train(1, { excludedTensors: ['^bn'], ...more }));
      assert.equal(failure.code, 'invalid-input');
      assert.match(failure.message, message);
    });
  }

  const badOutputs: [string, string, RegExp][] = [
    ['nan', 'invalid-input', /enc\.w.*element 4 is NaN/],
    ['wrong-shape', 'invalid-input', /enc\.w \(shape \[3,2\]\): must have the shape \[2,3\]/],
    ['missing-tensor', 'invalid-input', /enc\.b: is missing/],
    ['unknown-tensor', 'invalid-input', /extra: is unknown/],
    ['truncated', 'corrupt', /update\.safetensors/],
    ['no-update', 'trainer-failed', /left no file/],
    ['update-is-link', 'trainer-failed', /left no file/],
    ['no-report', 'trainer-failed', /left no report\.json/],
    ['garbage-report', 'trainer-failed', /report\.json is not JSON/],
    ['wrong-report', 'trainer-failed', /report\.json breaks the contract: samples \(-3\)/],
    ['many-metrics', 'trainer-failed', /report\.json breaks the contract: metrics .*must be 100 metrics at most/],
    ['exit-1', 'trainer-failed', /the loss exploded/],
    ['exit-64', 'invalid-input', /divide by 8/],
  ];
  for (const [mode, code, message] of badOutputs) {
    it(`reports a trainer with ${mode} as failed, in a sentence without paths`, async () => {
      await start(mode);
      await propose();
      const failure = await failed(train());
      assert.equal(failure.code, code);
      assert.match(failure.message, message);
      assert.equal(failure.message.includes(site!.folder), false, failure.message);
    });
  }

  it('refuses an update over its limit', async () => {
    await start('oversize', { limits: { updateBytes: '1MiB' } });
    await propose();
    const failure = await failed(train());
    assert.equal(failure.code, 'resource-exhausted');
    assert.match(failure.message, /limits\.updateBytes/);
  });

  it('refuses tasks of a run that it did not approve', async () => {
    await start();
    await coordinator.until(() => coordinator.connected);
    const failure = await failed(train());
    assert.equal(failure.code, 'permission-denied');
    assert.match(failure.message, /a has not approved run/);
  });

  it('refuses a plan by its policy, and then does nothing for the run', async () => {
    await start('good', { limits: { maxRounds: 2 } });
    const answer = await propose();
    assert.equal(answer.approved, false);
    assert.match(answer.reason, /limits\.maxRounds/);
    assert.equal((await failed(train())).code, 'permission-denied');
  });

  it('refuses a task beyond what it approved, with every fault', async () => {
    await start('good', { limits: { modelBytes: 100 } });
    await propose({ excludedTensors: ['^bn'] });
    const failure = await failed(train(7, { rounds: 9, trainer: 'other', parametersJson: '[1]' }));
    assert.equal(failure.code, 'invalid-input');
    for (const fault of ['round', 'trainer', 'excludedTensors', 'models.0.size', 'parametersJson']) {
      assert.ok(failure.message.includes(fault), `${fault} in: ${failure.message}`);
    }
  });

  it('refuses a model that does not fit its disk', async () => {
    await start('good', { limits: { modelBytes: '4000TiB' } });
    await propose();
    const model = coordinator.addModel(OBJECT, MODEL);
    const failure = await failed(train(1, { models: [{ ...model, size: 2n ** 51n }] }));
    assert.equal(failure.code, 'out-of-space');
    assert.match(failure.message, /needs \d+ bytes in <workspace>, where \d+ are free/);
  });

  it('stops a cancelled task and forgets it', async () => {
    await start();
    mkdirSync(gate());
    await propose();
    const id = train();
    await until(() => existsSync(path.join(gate(), 'reached')));
    coordinator.openTasks.delete(id);
    coordinator.push({ case: 'taskCancelled', value: { task: id, reason: 'the round has closed' } });
    await until(() => readdirSync(workspace('runs', RUN, 'journal')).length === 0);
    assert.deepEqual(taskFolders(), []);
    assert.equal(
      coordinator.messages.some((message) => message.case === 'taskResult'),
      false,
    );
  });

  it('fails a task whose deadline passes', async () => {
    await start();
    mkdirSync(gate());
    await propose();
    const failure = await failed(train(1, { remainingMillis: 700n }));
    assert.equal(failure.code, 'deadline-exceeded');
  });

  it('beats with the progress of its tasks', async () => {
    await start();
    mkdirSync(gate());
    await propose();
    const id = train();
    const beat = await coordinator.heard((message) =>
      message.case === 'heartbeat' ? message.value.progress.find(({ activity }) => activity === 'training') : undefined,
    );
    assert.equal(beat.task, id);
    await coordinator.heard((message) =>
      message.case === 'heartbeat' ? message.value.progress.find(({ step }) => step === 2n) : undefined,
    );
    writeFileSync(path.join(gate(), 'open'), '');
    await done(id);
  });

  it('goes on training while the coordinator is away, and tells the result when it is back', async () => {
    await start();
    mkdirSync(gate());
    await propose();
    const id = train();
    await until(() => existsSync(path.join(gate(), 'reached')));
    const { port, objects, openTasks } = coordinator;
    coordinator.kill();
    await until(() => events.some(({ kind }) => kind === 'disconnected'));
    writeFileSync(path.join(gate(), 'open'), '');
    await until(() => existsSync(path.join(taskFolder(), 'report.json')));
    coordinator = await FakeCoordinator.start({ port });
    for (const [name, bytes] of objects) coordinator.objects.set(name, bytes);
    for (const task of openTasks.values()) coordinator.openTasks.set(task.id!, task);
    await done(id);
    assert.equal(readFileSync(path.join(taskFolder(), 'starts.log'), 'utf8'), '.');
  });

  it('tells a result again after every reconnect until it is settled', async () => {
    await start();
    await propose();
    const id = train();
    await done(id);
    const { port } = coordinator;
    coordinator.kill();
    coordinator = await FakeCoordinator.start({ port });
    await done(id);
    coordinator.settle(id);
    await until(() => readdirSync(workspace('runs', RUN, 'journal')).length === 0);
  });

  it('tells a failure again after every reconnect, however many there are', async () => {
    await start('exit-64');
    await propose();
    const id = train();
    await failed(id);
    const { port } = coordinator;
    for (let restart = 0; restart < 3; restart++) {
      coordinator.kill();
      coordinator = await FakeCoordinator.start({ port });
      assert.match((await failed(id)).message, /divide by 8/);
    }
  });

  it('drops an unfinished task that the coordinator does not ask for any more', async () => {
    await start();
    mkdirSync(gate());
    await propose();
    const old = train(1);
    await until(() => existsSync(path.join(gate(), 'reached')));
    const { port } = coordinator;
    coordinator.kill();
    writeFileSync(path.join(gate(), 'open'), '');
    coordinator = await FakeCoordinator.start({ port });
    coordinator.onUploadChunk = () => undefined;
    const id = train(2);
    await done(id);
    assert.notEqual(old, id);
  });

  it('forgets a finished run', async () => {
    await start();
    await propose();
    await done(train());
    coordinator.push({ case: 'runFinished', value: { run: RUN, state: 'completed' } });
    await until(() => events.some((event) => event.kind === 'run-finished' && event.state === 'completed'));
    assert.equal(existsSync(workspace('runs', RUN)), false);
  });

  it('starts afresh for another attempt under the same id', async () => {
    await start();
    await propose();
    const id = train(1);
    await done(id);
    const first = coordinator.uploads.get(id)!.bytes;
    coordinator.messages.length = 0;
    train(1, { seed: 12 });
    await done(id);
    assert.notDeepEqual(coordinator.uploads.get(id)!.bytes, first);
  });

  it('closed politely in training, goes on later from its state and makes the same update', async () => {
    await start();
    await propose();
    const reference = train(1);
    await done(reference);
    const expected = coordinator.uploads.get(reference)!.bytes;
    await agent!.close();
    site!.remove();
    site = undefined;
    coordinator.openTasks.clear();
    coordinator.messages.length = 0;
    coordinator.uploads.clear();

    await start();
    mkdirSync(gate());
    await propose();
    const id = train(1);
    await until(() => existsSync(path.join(gate(), 'reached')));
    await agent!.close();
    writeFileSync(path.join(gate(), 'open'), '');
    assert.equal(
      coordinator.messages.some((message) => message.case === 'taskResult'),
      false,
    );
    await resume();
    await done(id);
    assert.deepEqual(coordinator.uploads.get(id)!.bytes, expected);
    assert.equal(readFileSync(path.join(taskFolder(), 'starts.log'), 'utf8'), '..');
  });

  it('asks what the coordinator holds before it tells a result again, and forgets what is not wanted', async () => {
    await start();
    await propose();
    const id = train();
    await done(id);
    const { port } = coordinator;
    coordinator.kill();
    coordinator = await FakeCoordinator.start({ port });
    coordinator.refuseUploads = new ClaraError('precondition-failed', 'the task is not open any more');
    await until(() => taskFolders().length === 0);
    assert.equal(
      coordinator.messages.some((message) => message.case === 'taskResult'),
      false,
    );
  });

  it('renews its certificate without a restart and goes on over a new connection', async () => {
    site = await makeSite('a', coordinator.port, scriptedTrainer('good'));
    const credentials = path.join(site.folder, 'credentials');
    await saveCredentials(credentials, await selfSigned('a', 30 * 86400e3, 25 * 86400e3));
    const old = await loadCredentials(credentials);
    coordinator.renew = (request) => issueFor(request, 'a');
    const dialled: string[] = [];
    agent = await startSiteAgent(site.configuration(), {
      dial: (address, { chainPem }) => {
        dialled.push(chainPem);
        return dialInsecure(address);
      },
      pacing: PACING,
      onEvent: (event) => events.push(event),
    });
    await until(() => events.some(({ kind }) => kind === 'certificate-renewed'));
    await coordinator.until(() => coordinator.hellos.length >= 1 && coordinator.connected);
    const renewed = await loadCredentials(credentials);
    assert.notEqual(renewed.keyPem, old.keyPem);
    assert.deepEqual(dialled, [old.chainPem, renewed.chainPem]);
    await propose();
    await done(train());
  });

  it('does not share its workspace', async () => {
    await start();
    await assert.rejects(
      startSiteAgent(site!.configuration(), { dial: dialInsecure }),
      /in use by process \d+; stop that agent/,
    );
  });

  it('does not start with the credentials of another site', async () => {
    site = await makeSite('b', coordinator.port, scriptedTrainer('good'));
    await assert.rejects(
      startSiteAgent(site!.configuration({ id: 'a' }), { dial: dialInsecure }),
      /are of spiffe:.*site\/b/,
    );
  });

  it('does not start with the reference trainer where there is none', async () => {
    site = await makeSite('a', coordinator.port, scriptedTrainer('good'));
    const trainer = { name: 'unet3d', adapter: 'reference' as const };
    await assert.rejects(startSiteAgent(site!.configuration({ trainer }), { dial: dialInsecure }), /adapter: process/);
  });
});
