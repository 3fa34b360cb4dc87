import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { makeChunk, type WireChunk } from '../../../federation/chunk-codec';
import { checkPlan } from '../../../federation/plan';
import { Dispatcher } from '../../../fl-coordinator/api/dispatcher';
import { federationService } from '../../../fl-coordinator/api/federation-service';
import { PromotionDesk } from '../../../fl-coordinator/api/promotion-desk';
import { SiteHub } from '../../../fl-coordinator/api/site-hub';
import { Uploads } from '../../../fl-coordinator/api/uploads';
import { ModelRegistry } from '../../../fl-coordinator/registry/model-registry';
import { LiveBoard } from '../../../fl-coordinator/runs/live-board';
import { RunRegister } from '../../../fl-coordinator/runs/run-register';
import type { RunState } from '../../../fl-coordinator/runs/run-state';
import { viewOf } from '../../../fl-coordinator/runs/run-view';
import { Traffic } from '../../../fl-coordinator/runs/traffic';
import { openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { until } from '../../support/until';
import { rejectsWith } from './support/rejects';
import { contextOf, SiteLine } from './support/site-line';

/** One float32 tensor of two elements. */
function modelOf(...values: readonly [number, number]): Buffer {
  const json = Buffer.from('{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}');
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([prefix, json, Buffer.from(Float32Array.from(values).buffer)]);
}

const MODEL = modelOf(1, 2);
const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();

async function* asStream(bytes: Buffer): AsyncGenerator<WireChunk> {
  yield makeChunk(0, bytes, { size: bytes.length, sha256: sha256(bytes) });
}

describe('the service that sites call', () => {
  let folder: string;
  let store: Awaited<ReturnType<typeof openDirectoryStore>>;
  let hub: SiteHub;
  let runs: RunRegister;
  let registry: ModelRegistry;
  let service: ReturnType<typeof federationService>;
  let run: string;
  let traffic: Traffic;
  let board: LiveBoard;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-service-'));
    store = await openDirectoryStore(folder);
    [traffic, board] = [new Traffic(), new LiveBoard()];
    hub = new SiteHub({ livenessMillis: 60_000 }, () => undefined);
    const dispatcher = new Dispatcher(hub);
    registry = await ModelRegistry.open(store);
    runs = new RunRegister({
      store,
      traffic,
      makeModel: async () => ({ digest: `sha256:${sha256(MODEL).toString('hex')}`, bytes: MODEL.length }),
      onChange: (state) => dispatcher.runChanged(state),
      onFatal: (error) => assert.fail(error),
    });
    const uploads = new Uploads({
      store,
      layoutFor: async () => undefined,
      onBytes: () => undefined,
      maxBytes: 1 << 20,
    });
    service = federationService({
      runs,
      hub,
      dispatcher,
      uploads,
      promotions: new PromotionDesk(registry, hub),
      store,
      board,
      traffic,
      software: 'coordinator 1.0',
      heartbeatMillis: 5000,
      onProgress: () => undefined,
      renew: async () => ({ chainPem: '', rootsPem: '' }),
    });
    const plan = checkPlan({ name: 'plan', trainer: { name: 'shift' }, rounds: 1, evaluation: { everyRound: false } });
    const submission = { plan, operator: 'admin', submitToken: 'token-of-the-test', enrolledSites: ['a', 'b'] };
    ({ run } = await runs.submit(submission));
  });
  afterEach(async () => {
    hub.close();
    await runs.close();
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  const state = (): RunState => runs.get(run).state;
  /** Of the first stage, open or closed. */
  const resultOf = (site: string) => (state().closed[0] ?? state().open)?.results.get(site);
  const connected = async (site: string) => {
    const line = new SiteLine(service, site);
    line.hello();
    await line.hears('welcome');
    return line;
  };
  /** Sites a and b have approved; a was asked for the first weights. */
  const initialising = async () => {
    const [a, b] = [await connected('a'), await connected('b')];
    for (const line of [a, b]) line.say({ case: 'proposalAnswer', value: { run, approved: true } });
    const { value } = await a.hears('task');
    return { a, b, task: value.id };
  };
  const done = (task: string, more: object = {}) =>
    ({
      case: 'taskResult',
      value: {
        task,
        outcome: { case: 'done', value: { samples: 3n, steps: 1n, seconds: 1, updateSha256: sha256(MODEL), ...more } },
      },
    }) as const;
  const upload = (site: string, task: string, bytes = MODEL) => service.upload(asStream(bytes), contextOf(site, task));

  it('welcomes a site with the interval of its heartbeat, and proposes the run', async () => {
    const a = await connected('a');
    const { value } = await a.hears('welcome');
    assert.deepEqual([value.software, value.heartbeatMillis], ['coordinator 1.0', 5000]);
    assert.equal((await a.hears('proposal')).value.run, run);
    assert.equal(hub.get('a')?.software, 'test 1.0');
  });

  it('lets people see what a site says that it waits for, in one line', async () => {
    const { a, task } = await initialising();
    const note = `until Mon 19:00 Europe/London\u001b[2J\n${'x'.repeat(500)}`;
    a.say({ case: 'heartbeat', value: { progress: [{ task, activity: 'waiting', note }] } });
    const seen = () =>
      viewOf(state(), { board, traffic, isConnected: () => true }).sites.find(({ site }) => site === 'a')!;
    await until(() => seen().reason !== '', 'what the site waits for is seen');
    assert.equal(seen().state, 'waiting');
    assert.match(seen().reason, /^until Mon 19:00 Europe\/London \[2J x+$/);
    assert.equal(seen().reason.length, 200);
    a.say({ case: 'heartbeat', value: { progress: [{ task, activity: 'initialising' }] } });
    await until(() => seen().state === 'initialising', 'the site is seen at work');
    assert.equal(seen().reason, '');
  });

  it('forgets a connection that has ended', async () => {
    const a = await connected('a');
    a.close();
    await a.ended;
    assert.equal(hub.get('a'), undefined);
  });

  it('refuses a site that does not say hello first, or says it twice', async () => {
    const rude = new SiteLine(service, 'a');
    rude.say({ case: 'heartbeat', value: {} });
    await rejectsWith('invalid-input', rude.ended, 'must be hello');
    const twice = await connected('a');
    twice.hello();
    await rejectsWith('invalid-input', twice.ended, 'once only');
    assert.equal(hub.get('a'), undefined);
  });

  it('refuses a site of another protocol, naming both', async () => {
    const line = new SiteLine(service, 'a');
    line.hello(2);
    await rejectsWith('unsupported', line.ended, 'speaks protocol 1, the site (test 1.0) speaks 2');
  });

  it('takes an update and its result into the journal, and settles the task', async () => {
    const { a, task } = await initialising();
    const receipt = await upload('a', task);
    assert.deepEqual([Number(receipt.size), receipt.sha256], [MODEL.length, sha256(MODEL)]);
    a.say(done(task, { metrics: { loss: 0.5 } }));
    assert.equal((await a.hears('taskSettled')).value.task, task);
    const result = resultOf('a');
    assert.ok(result?.kind === 'update');
    assert.deepEqual(
      [result.digest, result.samples, result.metrics],
      [`sha256:${sha256(MODEL).toString('hex')}`, 3, { loss: 0.5 }],
    );
  });

  it('settles a result that is told again, although its receipt is forgotten', async () => {
    const { a, task } = await initialising();
    await upload('a', task);
    a.say(done(task));
    // The run then waits for the first round.
    await a.hears('task', 1);
    const { seq } = state();
    a.say(done(task));
    await a.hears('taskSettled', 1);
    assert.equal(state().seq, seq);
  });

  it('refuses a result whose update it does not have, and writes nothing', async () => {
    const { a, task } = await initialising();
    const { seq } = state();
    a.say(done(task));
    await rejectsWith('precondition-failed', a.ended, 'upload it first');
    assert.equal(state().seq, seq);
  });

  it('refuses a result that names another update than the one it has', async () => {
    const { a, task } = await initialising();
    await upload('a', task);
    a.say(done(task, { updateSha256: sha256(Buffer.from('another')) }));
    await rejectsWith('precondition-failed', a.ended, 'upload it first');
    assert.equal(resultOf('a'), undefined);
  });

  it('refuses a result that names no update', async () => {
    const { a, task } = await initialising();
    await upload('a', task);
    a.say(done(task, { updateSha256: new Uint8Array(0) }));
    await rejectsWith('precondition-failed', a.ended, 'upload it first');
    assert.equal(resultOf('a'), undefined);
  });

  it('refuses the result of another site', async () => {
    const { b, task } = await initialising();
    const { seq } = state();
    b.say(done(task));
    await rejectsWith('permission-denied', b.ended, `is not a task of b`);
    assert.equal(state().seq, seq);
  });

  it('refuses an upload for the task of another site, or for one that is not open', async () => {
    const { task } = await initialising();
    await rejectsWith('permission-denied', upload('b', task), 'is not a task of b');
    await rejectsWith('precondition-failed', upload('b', `${run}/train/1/b`), 'not open any more');
    await rejectsWith('precondition-failed', upload('b', 'other-run/train/1/b'), 'not open any more');
    for (const odd of ['', 'a/b', `${run}/train/x/b`, `${run}/dance/1/b`, `${run}/train/1/b/c`]) {
      await rejectsWith('invalid-input', upload('b', odd), 'is not a task id');
    }
  });

  for (const [what, more, reason] of [
    ['a metric that is no number', { metrics: { loss: Number.NaN } }, /metric/],
    ['an incredible number of samples', { samples: 2n ** 60n }, /2\^48/],
    ['endless warnings', { warnings: ['x'.repeat(1001)] }, /warnings/],
    ['an endless time', { seconds: Number.POSITIVE_INFINITY }, /seconds/],
  ] as const) {
    it(`rejects a result with ${what}, with the reason`, async () => {
      const { a, task } = await initialising();
      await upload('a', task);
      a.say(done(task, more));
      await a.hears('taskCancelled');
      const result = resultOf('a');
      assert.ok(result?.kind === 'rejected');
      assert.match(result.reason, reason);
    });
  }

  it('rejects evaluations of other models than those of the task', async () => {
    const plan = checkPlan({ name: 'judged', trainer: { name: 'shift' }, rounds: 1, cohort: ['a'] });
    const submission = { plan, operator: 'admin', submitToken: 'token-of-the-other', enrolledSites: ['a', 'b'] };
    ({ run } = await runs.submit(submission));
    const a = await connected('a');
    a.say({ case: 'proposalAnswer', value: { run, approved: true } });
    for (const round of [0, 1]) {
      const { id } = (await a.hears('task', round)).value;
      await upload('a', id);
      a.say(done(id));
    }
    const { id } = (await a.hears('task', 2)).value;
    a.say(done(id, { evaluations: ['global', 'foreign'].map((model) => ({ model, metrics: {} })) }));
    await a.hears('runFinished');
    const result = state().closed.at(-1)?.results.get('a');
    assert.ok(result?.kind === 'rejected');
    assert.match(result.reason, /one evaluation for each model of the task/);
  });

  it('rejects an update with NaN, with the name of the tensor, and asks the next site', async () => {
    const { a, b, task } = await initialising();
    await rejectsWith('invalid-input', upload('a', task, modelOf(1, Number.NaN)), 'tensor w element 1 is NaN');
    await a.hears('taskCancelled');
    const result = resultOf('a');
    assert.ok(result?.kind === 'rejected' && result.reason.includes('tensor w element 1 is NaN'));
    assert.equal((await b.hears('task')).value.id, `${run}/initialise/0/b`);
  });

  it('takes a failure with its reason', async () => {
    const { a, b, task } = await initialising();
    const value = { code: 'trainer-failed', message: 'the GPU is on fire' };
    a.say({ case: 'taskResult', value: { task, outcome: { case: 'failed', value } } });
    await b.hears('task');
    assert.deepEqual(resultOf('a'), { kind: 'lost', reason: 'the GPU is on fire' });
  });

  it('tells a site that works on something else that this is not wanted', async () => {
    const { a } = await initialising();
    const task = `${run}/train/7/a`;
    a.say({ case: 'heartbeat', value: { progress: [{ task, activity: 'training', fraction: 0.5 }] } });
    assert.equal((await a.hears('taskCancelled')).value.task, task);
  });

  it('says that it has heard each heartbeat', async () => {
    const { a } = await initialising();
    for (let i = 0; i < 3; i++) {
      a.say({ case: 'heartbeat', value: {} });
      await a.hears('heartbeatHeard', i);
    }
  });

  it('refuses a heartbeat that names more tasks than a site can have, and answers none of them', async () => {
    const { a } = await initialising();
    const progress = Array.from({ length: 101 }, (_, round) => ({ task: `${run}/train/${round}/a` }));
    a.say({ case: 'heartbeat', value: { progress } });
    await rejectsWith('invalid-input', a.ended, 'names 101 tasks; at most 100');
    assert.ok(!a.heard.some(({ case: kind }) => kind === 'taskCancelled'));
  });

  it('tells nothing more to a site that does not read, and ends its connection', async () => {
    const { a } = await initialising();
    a.unread = 1000;
    const before = a.heard.length;
    await runs.get(run).dispatch({ kind: 'abort', operator: 'ada', reason: 'enough' });
    assert.equal(a.heard.length, before);
    a.say({ case: 'heartbeat', value: {} });
    await rejectsWith('resource-exhausted', a.ended, 'does not read');
    assert.equal(hub.get('a'), undefined);
  });

  it('does not listen to answers of sites that were not asked, or for runs that it does not know', async () => {
    const stranger = await connected('stranger');
    stranger.say({ case: 'proposalAnswer', value: { run, approved: true } });
    stranger.say({ case: 'proposalAnswer', value: { run: 'no-such-run', approved: true } });
    stranger.say({ case: 'heartbeat', value: { progress: [{ task: 'x/train/1/stranger' }] } });
    await stranger.hears('taskCancelled');
    assert.equal(state().answers.size, 0);
  });

  it('counts what it sends, and sends only what an open task refers to', async () => {
    const { a, task } = await initialising();
    await upload('a', task);
    const object = `runs/${run}/rounds/0000/model.safetensors`;
    const read = async (site: string) => {
      for await (const _ of service.download(
        { object, offset: 0n, $typeName: 'federation.v1.DownloadRequest' },
        contextOf(site),
      ));
    };
    await rejectsWith('permission-denied', read('a'), 'no open task of a refers to');
    await store.put(object, MODEL);
    a.say(done(task));
    await a.hears('task', 1);
    await read('a');
    await rejectsWith('permission-denied', read('stranger'), 'no open task of stranger refers to');
  });
});
