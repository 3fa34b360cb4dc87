import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { uncertaintyOf } from '../../aiaa/inference/uncertainty';
import { ORDER } from './support/fake-engine';
import { slicer } from './support/monai-requests';
import { niftiBytes, volumeThat } from './support/nifti-bytes';
import { plainRequest, sentenceOf } from './support/raw-http';
import { servedSite } from './support/served-site';
import { eventually, figure, SPLEEN } from './support/server';

interface Sample {
  readonly id: string;
  readonly uncertainty?: number;
}

/** Nobody is told of another image because this machine is busy. */
const PATIENT = { assessWaitMs: 100_000 };
/** A volume of which the engine double is so unsure, in hundredths. */
const doubtful = (percent: number) => niftiBytes({ shape: [3, 1, 1], voxels: [0, percent, 100] });

describe('AIAA uncertainty', () => {
  const of = (...channels: number[][]) => uncertaintyOf(channels.map((values) => Float32Array.from(values)));
  const near = (value: number, expected: number) => assert.ok(Math.abs(value - expected) < 1e-6, `${value}`);

  it('is the mean entropy of the voxels that may be an organ, as a share of the largest', () => {
    near(of([0.5]), 1);
    near(of([1]), 0);
    const bits = (p: number) => -p * Math.log2(p) - (1 - p) * Math.log2(1 - p);
    near(of([0.9, 0.25, 0.001]), (bits(Math.fround(0.9)) + bits(0.25)) / 2);
    const third = 1 / 3;
    near(of([third], [third], [third]), 1);
    near(of([0.5, 0.999], [0.5, 0.001], [0, 0]), Math.log(2) / Math.log(3));
    near(of([0, 0.999], [1, 0.001]), 0);
  });

  it('is whole where nothing is found', () => {
    assert.equal(of([0, 0.01]), 1);
    assert.equal(of([1, 1], [0, 0]), 1);
  });
});

describe('AIAA active learning by uncertainty', () => {
  const { send, json } = servedSite({ limits: PATIENT }, async (site) => {
    await site.publish('1', 'weights', 'other');
    await site.publish();
  });
  const next = (body = '{"client_id": "user-xyz", "model": ""}') => json<Sample>(slicer.nextSample('entropy', body));

  it('offers the image of which the newest model is least sure, until all are labelled', async () => {
    for (const [id, percent] of Object.entries({ sure: 10, unsure: 80, impossible: -1, middling: 40 })) {
      await json(slicer.uploadImage(id, doubtful(percent)));
    }
    const order: [string, number | undefined][] = [];
    for (let sample = await next(); sample.id !== undefined; sample = await next()) {
      order.push([sample.id, sample.uncertainty]);
      await json(slicer.saveLabel(sample.id, doubtful(0)));
    }
    assert.deepEqual(order, [
      ['unsure', 0.8],
      ['middling', 0.4],
      ['sure', 0.1],
      ['impossible', undefined],
    ]);
  });

  it('asks the model that is named, and forgets what was thought of an image that has been replaced', async () => {
    await json(slicer.uploadImage('a', doubtful(30)));
    await json(slicer.uploadImage('b', doubtful(20)));
    assert.deepEqual((await next()).id, 'a');
    await json(slicer.uploadImage('b', doubtful(90)));
    const { id, uncertainty } = await next('{"model": "other"}');
    assert.deepEqual([id, uncertainty], ['b', 0.9]);
    const nobody = await send(slicer.nextSample('entropy', '{"model": "nobody"}'));
    assert.match(sentenceOf(nobody), /There is no model "nobody"/);
    for (const image of ['a', 'b']) await json(plainRequest('DELETE', `/datastore/?id=${image}&type=image`));
  });
});

describe('AIAA active learning by uncertainty of several models', () => {
  const served = servedSite({ limits: { ...PATIENT, sweepMs: 20 } }, async (site) => {
    for (const name of ['one', 'two']) await site.publish('1', `weights ${name}`, name);
  });
  const { json } = served;
  const next = (model: string) => json<Sample>(slicer.nextSample('entropy', JSON.stringify({ model })));

  it('asks each once of an image, however they are asked in turn, and forgets one whose version is deleted', async () => {
    await json(slicer.uploadImage('a', doubtful(30)));
    await json(slicer.uploadImage('b', doubtful(20)));
    for (const model of ['one', 'two', 'one', 'two', 'one']) assert.equal((await next(model)).uncertainty, 0.3);
    const asked = (model: string) => figure(served.server, 'clara_aiaa_inferences_total', { model, outcome: 'done' });
    assert.deepEqual([await asked('one'), await asked('two')], [2, 2]);

    const kept = async () => {
      const files = (await served.site.everything()).filter((file) => file.endsWith('assessments.json'));
      return (await Promise.all(files.map((file) => readFile(file, 'utf8')))).join();
    };
    assert.match(await kept(), /"one 1 /);
    await served.site.publish('2', 'weights anew', 'one');
    await json(plainRequest('DELETE', '/admin/model/one?version=1'));
    await eventually('it is forgotten', async () => !/"one 1 /.test(await kept()));
    assert.match(await kept(), /"two 1 .*"two 1 /);
    for (const image of ['a', 'b']) await json(plainRequest('DELETE', `/datastore/?id=${image}&type=image`));
  });
});

describe('AIAA active learning by uncertainty while somebody segments', () => {
  const served = servedSite({ limits: { assessWaitMs: 50 } });
  const { json } = served;

  it('offers the oldest image instead of waiting, and the unsure one later', async () => {
    await json(slicer.uploadImage('oldest', doubtful(10)));
    await json(slicer.uploadImage('unsure', doubtful(90)));
    const client = connect(served.server.port, '127.0.0.1');
    client.on('error', () => {});
    client.write(slicer.infer(SPLEEN, 'x', { file: volumeThat(ORDER.waitUntilCancelled) }));
    await eventually('a segmentation runs', async () => (await figure(served.server, 'clara_aiaa_running')) === 1);
    const sample = await json<Sample>(slicer.nextSample('entropy'));
    assert.deepEqual([sample.id, sample.uncertainty], ['oldest', undefined]);
    client.destroy();
    await eventually('it is assessed', async () => {
      const { id, uncertainty } = await json<Sample>(slicer.nextSample('entropy'));
      return id === 'unsure' && uncertainty === 0.9;
    });
  });
});

describe('AIAA active learning by uncertainty when somebody comes', () => {
  const served = servedSite({ limits: { assessWaitMs: 50 } });
  const { json, send } = served;

  it('gives its place up at once, and goes on with the same image afterwards', async () => {
    await json(slicer.uploadImage('long', doubtful(101)));
    const assessing = () => figure(served.server, 'clara_aiaa_running');
    await json(slicer.nextSample('entropy'));
    await eventually('it is being assessed', async () => (await assessing()) === 1);
    assert.equal((await send(slicer.infer(SPLEEN, 'x', { file: volumeThat(ORDER.threshold) }))).status, 200);
    await eventually('it is being assessed again', async () => (await assessing()) === 1);
    await json(plainRequest('DELETE', '/datastore/?id=long&type=image'));
  });
});

describe('AIAA active learning by uncertainty without a model', () => {
  const { send, json } = servedSite({}, async () => {});

  it('says that there is none to ask', async () => {
    await json(slicer.uploadImage('a', doubtful(1)));
    assert.match(
      sentenceOf(await send(slicer.nextSample('entropy'))),
      /no published model to ask; use the strategy first/,
    );
  });
});
