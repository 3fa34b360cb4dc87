import assert from 'node:assert/strict';
import { appendFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { BUILT_IN_MODELS } from '../../aiaa/registry/built-in-models';
import type { AnnotationServer } from '../../aiaa/server';
import { ORDER, SLOW_MS } from './support/fake-engine';
import { volumeThat } from './support/nifti-bytes';
import { exchange, formRequest, jsonOf, PYTHON, plainRequest, replyParts, sentenceOf } from './support/raw-http';
import { eventually, figure, Site, SPLEEN } from './support/server';

const requestThat = (order: number) =>
  formRequest(PYTHON, 'POST', `/v1/inference?model=${SPLEEN}`, [
    { name: 'params', content: '{}' },
    { name: 'datapoint', filename: 'a.nii.gz', content: volumeThat(order) },
  ]);

describe('AIAA inference', () => {
  let site: Site;
  beforeEach(async () => {
    site = await Site.make();
    await site.publish();
  });
  afterEach(() => site.clear());

  const segment = (server: AnnotationServer, order: number) => exchange(server.port, requestThat(order));

  /** A client that sends its request and waits. */
  function waiting(server: AnnotationServer): Socket {
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(requestThat(ORDER.waitUntilCancelled));
    return socket;
  }

  it('refuses with 503 and Retry-After when the line is full, and frees the place of a client that leaves', async () => {
    const server = await site.serve({ limits: { queueLength: 1 } });
    const running = waiting(server);
    await eventually('a segmentation runs', async () => (await figure(server, 'clara_aiaa_running')) === 1);
    const second = waiting(server);
    await eventually('another one waits', async () => (await figure(server, 'clara_aiaa_waiting')) === 1);
    const refused = await segment(server, ORDER.threshold);
    assert.equal(refused.status, 503);
    assert.match(sentenceOf(refused), /busy: 1 segmentations are already waiting/);
    assert.ok(Number(refused.headers.get('retry-after')) >= 1);
    second.destroy();
    await eventually('its place is free', async () => (await figure(server, 'clara_aiaa_waiting')) === 0);
    const third = segment(server, ORDER.threshold);
    running.destroy();
    assert.equal((await third).status, 200, 'the running one was stopped too');
    await eventually('nothing is left', async () => (await site.leftovers()).length === 0);
  });

  it('stops a hung segmentation after its time and goes on with a new process', async () => {
    const server = await site.serve({ limits: { inferenceMs: 1500, cancelGraceMs: 50 } });
    const hung = await segment(server, ORDER.hang);
    assert.equal(hung.status, 504);
    assert.match(sentenceOf(hung), /stopped after 1.5 s/);
    assert.equal((await segment(server, ORDER.threshold)).status, 200);
  });

  it('answers a crash with a sentence and goes on with a new process', async () => {
    const server = await site.serve();
    const crashed = await segment(server, ORDER.crash);
    assert.equal(crashed.status, 500);
    assert.match(sentenceOf(crashed), /inference process exited with code 9; a new one is started, try again/);
    assert.equal((await segment(server, ORDER.threshold)).status, 200);
  });

  it('answers a failure of the model with a sentence and goes on with a new process', async () => {
    const server = await site.serve();
    const failed = await segment(server, ORDER.fail);
    assert.equal(failed.status, 500);
    assert.match(sentenceOf(failed), /The segmentation failed: out of arrays/);
    assert.equal((await segment(server, ORDER.threshold)).status, 200);
  });

  it('answers what a process says that makes no sense with a sentence, and goes on with a new process', async () => {
    const server = await site.serve();
    const garbled = await segment(server, ORDER.garble);
    assert.equal(garbled.status, 500);
    assert.match(sentenceOf(garbled), /inference process sent what is no message; a new one is started/);
    assert.equal((await segment(server, ORDER.threshold)).status, 200);
  });

  it('blames the volume when the model refuses it', async () => {
    const server = await site.serve();
    const refused = await segment(server, ORDER.refuse);
    assert.equal(refused.status, 400);
    assert.equal(sentenceOf(refused), 'The volume is sheared; resample it.');
  });

  it('refuses to use a model file that was changed after it was published', async () => {
    const server = await site.serve({ limits: { healthCacheMs: 0 } });
    const { file } = await site.publish('2');
    await appendFile(file, 'x');
    const reply = await segment(server, ORDER.threshold);
    assert.equal(reply.status, 500);
    assert.match(sentenceOf(reply), /model cannot be loaded.*digest/);
    // The answer comes before the process is ready for the next model.
    await eventually('the check fails', async () => (await health(server)).status === 'failing');
    await site.publish('3');
    assert.ok(replyParts(await segment(server, ORDER.threshold)).file.length > 0);
  });

  it('ends without waiting for a segmentation that outlasts the time for that', async () => {
    const server = await site.serve({ limits: { healthCacheMs: 0, drainMs: 10 } });
    const client = waiting(server);
    await eventually('a segmentation runs', async () => (await health(server)).detail === 'A segmentation is running.');
    await server.close();
    await eventually('the client is cut off', async () => client.destroyed);
  });

  it('says in a health check whether a model answers', async () => {
    const server = await site.serve({ limits: { healthCacheMs: 0 } });
    const { status, detail, models } = await health(server);
    assert.equal(status, 'ok');
    assert.equal(models, 1 + BUILT_IN_MODELS.length);
    assert.match(detail, /Model clara_ct_seg_spleen answered in \d+ ms/);
  });

  it('gives a model more time that is too slow for the first check', async () => {
    const healthMs = SLOW_MS / 3;
    const server = await site.serve({ limits: { healthCacheMs: 0, healthMs, cancelGraceMs: 50 } });
    assert.equal((await health(server)).status, 'ok');
    await site.publish('2', 'slow weights');
    const first = await health(server);
    assert.equal(first.status, 'failing');
    assert.match(first.detail, /stopped after/);
    await eventually('it answers in time', async () => (await health(server)).status === 'ok');
  });

  async function health(server: AnnotationServer) {
    const reply = await exchange(server.port, plainRequest('GET', '/health'));
    const found = jsonOf(reply) as { status: string; detail: string; models: number };
    assert.equal(reply.status, found.status === 'ok' ? 200 : 503);
    return found;
  }
});
