import assert from 'node:assert/strict';
import { once } from 'node:events';
import { appendFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import path from 'node:path';
import { BoundedQueue } from '../../aiaa/inference/bounded-queue';
import { parseExposition, seriesValue } from '../support/exposition';
import { ORDER } from './support/fake-engine';
import { niftiBytes, volumeThat } from './support/nifti-bytes';
import {
  exchange,
  formRequest,
  jsonOf,
  PYTHON,
  parseReply,
  plainRequest,
  replyParts,
  sentenceOf,
} from './support/raw-http';
import { eventually, figure, Site, SPLEEN } from './support/server';
import { type ServerProcess, startServerProcess } from './support/server-process';

const segmentation = (content: Buffer, params = '{}') =>
  formRequest(PYTHON, 'POST', `/v1/inference?model=${SPLEEN}`, [
    { name: 'params', content: params },
    { name: 'datapoint', filename: 'Doe^John.nii', content },
  ]);
const requestThat = (order: number) => segmentation(volumeThat(order));

describe('AIAA operations', () => {
  let site: Site;
  beforeEach(async () => {
    site = await Site.make();
    await site.publish();
  });
  afterEach(() => site.clear());

  const segment = ({ port }: { readonly port: number }, order: number = ORDER.threshold) =>
    exchange(port, requestThat(order));
  const get = ({ port }: { readonly port: number }, target: string) => exchange(port, plainRequest('GET', target));

  /** A client that sends its request and waits. */
  function waiting({ port }: { readonly port: number }, request = requestThat(ORDER.waitUntilCancelled)): Socket {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(request);
    return socket;
  }

  it('runs as many segmentations at one time as there are slots, and one more waits', async () => {
    const server = await site.serve({ limits: { slots: 2 } });
    assert.equal(new Set(server.workers).size, 2);
    const clients = [waiting(server), waiting(server)];
    await eventually('two run', async () => (await figure(server, 'clara_aiaa_running')) === 2);
    clients.push(waiting(server));
    await eventually('one waits', async () => (await figure(server, 'clara_aiaa_waiting')) === 1);
    assert.equal(await figure(server, 'clara_aiaa_running'), 2);
    clients[0].destroy();
    await eventually('the third runs', async () => (await figure(server, 'clara_aiaa_waiting')) === 0);
    assert.equal(await figure(server, 'clara_aiaa_running'), 2);
    for (const client of clients) client.destroy();
    await eventually('nothing runs', async () => (await figure(server, 'clara_aiaa_running')) === 0);
    assert.equal(await figure(server, 'clara_aiaa_inferences_total', { model: SPLEEN, outcome: 'cancelled' }), 3);
    assert.equal((await segment(server)).status, 200);
  });

  it('tells a client whose process was killed in mid-inference, and starts another one', async () => {
    const server = await site.serve();
    const [before] = server.workers;
    const socket = waiting(server);
    const reply = new Promise<Buffer>((resolve) => socket.once('data', resolve));
    await eventually('it runs', async () => (await figure(server, 'clara_aiaa_running')) === 1);
    process.kill(before, 'SIGKILL');
    const killed = parseReply(await reply);
    assert.equal(killed.status, 500);
    assert.match(sentenceOf(killed), /inference process was killed .*a new one is started, try again/);
    socket.destroy();
    assert.equal((await segment(server)).status, 200);
    assert.notEqual(server.workers[0], before);
    assert.equal(await figure(server, 'clara_aiaa_worker_restarts_total', { reason: 'died' }), 1);
  });

  it('segments after its idle process was killed', async () => {
    const server = await site.serve();
    assert.equal((await segment(server)).status, 200);
    process.kill(server.workers[0], 'SIGKILL');
    await eventually('its death is known', async () => (await segment(server)).status === 200);
  });

  it('replaces a process that holds too much after a job, and one that has done enough', async () => {
    for (const [limits, reason] of [
      [{ workerBytes: 1 }, 'memory'],
      [{ workerJobs: 1 }, 'jobs'],
    ] as const) {
      const server = await site.serve({ limits });
      const [before] = server.workers;
      assert.equal((await segment(server)).status, 200);
      await eventually('it is replaced', async () => server.workers[0] !== before);
      assert.equal((await segment(server)).status, 200);
      assert.ok((await figure(server, 'clara_aiaa_worker_restarts_total', { reason })) >= 1, reason);
    }
  });

  it('does not take a process for one that hangs because the server itself got no time', async () => {
    const server = await site.serve({ limits: { cancelGraceMs: 1500 } });
    const { workers } = server;
    const client = waiting(server, requestThat(ORDER.threshold));
    await once(client, 'data');
    // What the process says behind its answer comes while nobody can hear it.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);
    client.destroy();
    await eventually('the worker is idle', async () => (await figure(server, 'clara_aiaa_worker_resident_bytes')) > 0);
    assert.deepEqual(server.workers, workers);
  });

  it('is live whatever the models do, and ready when one answers', async () => {
    const server = await site.serve({ limits: { healthCacheMs: 0 } });
    assert.equal((await get(server, '/health/ready')).status, 200);
    const { file } = await site.publish('2');
    await appendFile(file, 'x');
    const ready = await get(server, '/health/ready/');
    assert.equal(ready.status, 503);
    assert.match((jsonOf(ready) as { detail: string }).detail, /model cannot be loaded/);
    assert.equal((await get(server, '/health/live')).status, 200);
  });

  it('counts requests, bytes and seconds by endpoint and model, and names nobody', async () => {
    const server = await site.serve();
    await segment(server);
    await get(server, '/session/4b8a3e52-5c43-4c58-9f5a-3a0c7b1d0e11');
    await get(server, '/nothing/Doe');
    await eventually('all are counted', async () =>
      (await get(server, '/metrics')).body.includes('endpoint="none",method="GET",status="404"'),
    );
    // A worker says what it holds behind its answer, once it has let the volumes go.
    await eventually('the worker is idle', async () => (await figure(server, 'clara_aiaa_worker_resident_bytes')) > 0);
    const text = (await get(server, '/metrics')).body.toString('utf8');
    const told = parseExposition(text);
    const answered = { endpoint: '/v1/inference', method: 'POST', status: '200' };
    assert.equal(seriesValue(told, 'clara_aiaa_requests_total', answered), 1);
    const lost = { endpoint: '/session/:id', method: 'GET', status: '440' };
    assert.equal(seriesValue(told, 'clara_aiaa_requests_total', lost), 1);
    const received = { endpoint: '/v1/inference', direction: 'received' };
    assert.equal(seriesValue(told, 'clara_aiaa_bytes_total', received), requestThat(ORDER.threshold).length);
    assert.equal(seriesValue(told, 'clara_aiaa_inference_seconds_count', { model: SPLEEN }), 1);
    assert.ok(seriesValue(told, 'clara_aiaa_worker_resident_bytes') > 2 ** 20);
    assert.doesNotMatch(text, /Doe|4b8a3e52/);
  });

  it('tells the newest lines of its log', async () => {
    const server = await site.serve();
    for (const target of ['/v1/models', '/info/', '/datastore/']) await get(server, target);
    await eventually('all are there', async () => linesOf(await get(server, '/logs/?lines=1000')).length >= 3);
    const [last] = linesOf(await get(server, '/logs/?lines=1'));
    assert.equal((JSON.parse(last) as { msg: string }).msg, 'request');
    assert.equal((await get(server, '/logs/?lines=0')).status, 400);
  });

  it('tells once of the same answer to those who ask again and again, so that they hide nothing', async () => {
    const server = await site.serve();
    const opened = await get(server, '/train/?check_if_running=true');
    assert.equal(opened.status, 404);
    await eventually('it is told', async () => linesOf(await get(server, '/logs/')).some(isOfTraining));
    for (let count = 0; count < 20; count += 1) await get(server, '/train/?check_if_running=true');
    await get(server, '/nothing');
    await eventually('the last one is told', async () =>
      linesOf(await get(server, '/logs/'))
        .at(-1)!
        .includes('"none"'),
    );
    assert.equal(linesOf(await get(server, '/logs/')).filter(isOfTraining).length, 1);
    assert.ok(
      (await figure(server, 'clara_aiaa_requests_total', { endpoint: '/train', method: 'GET', status: '404' })) >= 21,
    );
  });

  it('starts on what disks have damaged, and serves what is whole', async () => {
    const at = (...names: string[]) => path.join(site.workspace, ...names);
    const id = '0a1b2c3d-0000-4000-8000-0123456789ab';
    await mkdir(at('sessions', id, 'session.json'), { recursive: true });
    await mkdir(at('datastore', 'aa'), { recursive: true });
    await writeFile(at('datastore', 'aa', 'image.json'), '{"id": "half a c');
    const server = await site.serve();
    assert.deepEqual(await readdir(at('sessions')), []);
    const form = formRequest(PYTHON, 'PUT', '/datastore/?image=whole', [
      { name: 'file', filename: 'a', content: volumeThat(ORDER.threshold) },
    ]);
    assert.equal((await exchange(server.port, form)).status, 200);
    const { datastore } = jsonOf(await get(server, '/info/')) as { datastore: { total: number } };
    assert.equal(datastore.total, 1);
    await get(server, '/datastore/');
    const said = linesOf(await get(server, '/logs/')).filter((line) =>
      /an image of the datastore is left out/.test(line),
    );
    assert.equal(said.length, 1);
    assert.equal(await figure(server, 'clara_aiaa_datastore_damaged'), 1);
    await rm(at('datastore'), { recursive: true });
  });

  it('finishes what it has begun when it is stopped, takes nothing new, and says so', async () => {
    const server = await site.serve();
    const request = requestThat(ORDER.threshold);
    const half = waiting(server, request.subarray(0, request.length - 50));
    const idle = waiting(server, plainRequest('GET', '/v1/models'));
    await new Promise((resolve) => idle.once('data', resolve));
    const received: Buffer[] = [];
    half.on('data', (part) => received.push(part));
    await eventually('the upload has begun', async () => (await site.leftovers()).length > 0);
    const closed = server.close();
    await eventually('the idle connection is closed', async () => idle.destroyed || idle.readableEnded);
    half.write(request.subarray(request.length - 50));
    await closed;
    await eventually('the answer is there', async () => half.readableEnded || half.destroyed);
    const reply = parseReply(Buffer.concat(received));
    assert.equal(reply.status, 200);
    assert.ok(replyParts(reply).file.length > 0);
    await assert.rejects(get(server, '/v1/models'), { code: 'ECONNREFUSED' });
    assert.deepEqual(await site.leftovers(), []);
  });

  it('keeps a session while a request that uses it waits or is worked on, however short its life', async () => {
    let now = 1000;
    const server = await site.serve({ now: () => now });
    const { session_id: id } = jsonOf(
      await exchange(
        server.port,
        formRequest(PYTHON, 'PUT', '/session/?expiry=1', [
          { name: 'image', filename: 'a', content: volumeThat(ORDER.waitUntilCancelled) },
        ]),
      ),
    ) as { session_id: string };
    const client = connect(server.port, '127.0.0.1');
    client.on('error', () => {});
    client.write(
      formRequest(PYTHON, 'POST', `/v1/inference?model=${SPLEEN}&session_id=${id}`, [
        { name: 'params', content: '{}' },
      ]),
    );
    await eventually('it runs', async () => (await figure(server, 'clara_aiaa_running')) === 1);
    const lastUse = async () =>
      (jsonOf(await get(server, `/session/${id}`)) as { last_access_ts?: number }).last_access_ts;
    for (let count = 0; count < 3; count += 1) {
      now += 0.9;
      await eventually('it is used', async () => (await lastUse()) === now);
    }
    client.destroy();
    await eventually('it ends', async () => (await figure(server, 'clara_aiaa_running')) === 0);
    now += 1;
    assert.equal((await get(server, `/session/${id}`)).status, 440);
  });

  it('keeps nothing on disk after a session has expired', async () => {
    let now = 1_700_000_000;
    const server = await site.serve({ now: () => now, limits: { sweepMs: 20 } });
    const before = await site.everything();
    const volume = volumeThat(ORDER.threshold);
    const opened = await exchange(
      server.port,
      formRequest(PYTHON, 'PUT', '/session/?expiry=60', [{ name: 'image', filename: 'Doe.nii', content: volume }]),
    );
    const { session_id: id } = jsonOf(opened) as { session_id: string };
    const used = formRequest(PYTHON, 'POST', `/v1/inference?model=${SPLEEN}&session_id=${id}`, []);
    assert.equal((await exchange(server.port, used)).status, 200);
    assert.equal((await site.everything()).length, before.length + 2, 'a volume and what is known of it');
    now += 61;
    await eventually('all of it is gone', async () => (await site.everything()).join() === before.join());
  });
});

describe('AIAA queue estimate', () => {
  const never = new AbortController().signal;
  const endless = () => new Promise<never>(() => {});
  const retryAfter = (queue: BoundedQueue) => {
    try {
      queue.mustHaveRoom();
      return undefined;
    } catch (error) {
      return (error as { retryAfterSeconds: number }).retryAfterSeconds;
    }
  };

  it('follows what tasks of the kind took, and does not wait for those that wait', async () => {
    const queue = new BoundedQueue(1, 2);
    for (let count = 0; count < 5; count += 1) await queue.run(never, async () => {}, 'quick');
    void queue.run(never, endless, 'unknown');
    assert.equal(retryAfter(queue), undefined, 'a slot is free');
    void queue.run(never, endless, 'unknown');
    assert.equal(retryAfter(queue), undefined, 'a place in the line is free');
    void queue.run(never, endless, 'quick');
    assert.equal(retryAfter(queue), 5, 'what is not known is guessed');
    const known = new BoundedQueue(0, 2);
    await known.run(never, async () => {}, 'quick');
    void known.run(never, endless, 'unknown');
    void known.run(never, endless, 'quick');
    assert.equal(retryAfter(known), 1, 'the quick one will be done first');
  });
});

describe('AIAA server that is killed', function () {
  this.timeout(90_000);
  let site: Site;
  let killed: ServerProcess;
  before(async () => {
    site = await Site.make();
    await site.publish();
    killed = await startServerProcess(site.workspace);
  });
  after(async () => {
    await killed.kill();
    await site.clear();
  });

  it('holds no more memory after 200 segmentations than after the first ones', async function () {
    if ((await readdir('/proc').catch(() => [])).length === 0) {
      console.log('      skipped: resident memory is read from /proc, which this system does not have');
      this.skip();
    }
    const shape = [48, 48, 48] as const;
    const request = segmentation(niftiBytes({ shape, voxels: new Int16Array(48 ** 3) }), '{"result_compress":false}');
    const segmentTimes = async (times: number) => {
      for (let count = 0; count < times; count += 1) assert.equal((await exchange(killed.port, request)).status, 200);
    };
    const residentMiB = async () => {
      const all = await Promise.all(
        [killed.pid, ...killed.workers].map((pid) => readFile(`/proc/${pid}/status`, 'utf8')),
      );
      return all.reduce((sum, text) => sum + Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]) / 1024, 0);
    };
    await segmentTimes(30);
    const base = await residentMiB();
    await segmentTimes(200);
    const grown = (await residentMiB()) - base;
    assert.ok(grown < 30, `grown by ${grown.toFixed(1)} MiB; 200 leaked volumes would be 42 MiB`);
  });

  it('leaves sessions and models to the next one, and no trace of what it was doing', async () => {
    const volume = volumeThat(ORDER.threshold);
    const opened = await exchange(
      killed.port,
      formRequest(PYTHON, 'PUT', '/session/', [{ name: 'image', filename: 'a', content: volume }]),
    );
    const { session_id: id } = jsonOf(opened) as { session_id: string };
    const inMidInference = connect(killed.port, '127.0.0.1');
    const inMidUpload = connect(killed.port, '127.0.0.1');
    for (const socket of [inMidInference, inMidUpload]) socket.on('error', () => {});
    inMidInference.write(requestThat(ORDER.waitUntilCancelled));
    const upload = segmentation(Buffer.alloc(2 ** 20, 7));
    inMidUpload.write(upload.subarray(0, 2 ** 19));
    await eventually('both are on disk', async () => {
      const files = await site.leftovers();
      return files.filter((name) => /^(upload|volume)/.test(name)).length >= 2;
    });
    const [worker] = killed.workers;
    await killed.kill();
    await eventually('clients are cut off', async () => inMidInference.destroyed && inMidUpload.destroyed);
    await eventually('no inference process is left behind', async () => !isRunning(worker));
    const server = await site.serve();
    assert.deepEqual(await site.leftovers(), []);
    const use = formRequest(PYTHON, 'POST', `/v1/inference?model=${SPLEEN}&session_id=${id}`, []);
    assert.equal((await exchange(server.port, use)).status, 200);
    const kept = await readdir(path.join(site.workspace, 'sessions'));
    assert.deepEqual(kept, [id]);
  });
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const isOfTraining = (line: string): boolean => line.includes('"route":"/train"');

function linesOf({ body }: { readonly body: Buffer }): string[] {
  return body
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '');
}
