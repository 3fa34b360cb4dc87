import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { centroidsOf } from '../../aiaa/inference/centroids';
import { publishModel } from '../../aiaa/registry/publish-model';
import type { AnnotationServer } from '../../aiaa/server';
import { writePhantomDataset } from '../../imaging/phantom-dataset';
import { slicer, viewerInfers, viewerReads } from './support/monai-requests';
import { parseNifti, volumeThat } from './support/nifti-bytes';
import { exchange, jsonOf, plainRequest, replyParts, sentenceOf } from './support/raw-http';
import { writeTinyModel } from './support/reference-model';
import { servedSite } from './support/served-site';
import { Site, SPLEEN } from './support/server';

/** A name with a space and an umlaut, as volumes have in Slicer. */
const ID = 'CT Thorax Müller 2';
const VOLUME = volumeThat(0, [5, 4, 3]);
const LABEL = volumeThat(7);

interface Info {
  readonly labels: string[];
  readonly models: Record<
    string,
    { type: string; labels: Record<string, number>; description: string; config: object }
  >;
  readonly strategies: Record<string, { description: string; config: object }>;
  readonly trainers: object;
  readonly datastore: { total: number; completed: number };
}

describe('AIAA for MONAI Label clients', () => {
  const served = servedSite();
  const { send, json } = served;

  it('takes Slicer from the list of models to a saved label', async () => {
    const info = await json<Info>(slicer.info());
    assert.equal(info.models[SPLEEN].type, 'segmentation');
    assert.deepEqual(info.models[SPLEEN].labels, { background: 0, spleen: 1 });
    assert.deepEqual(info.labels, ['background', 'organ', 'spleen']);
    assert.equal(info.models.clara_deepgrow_ct_3d.type, 'deepgrow');
    assert.deepEqual(Object.keys(info.strategies).sort(), ['entropy', 'first', 'random']);
    assert.deepEqual(info.datastore, { total: 0, completed: 0, label_tags: {} });
    assert.deepEqual(await json(slicer.nextSample('first')), {}, 'nothing to label');

    assert.deepEqual(await json(slicer.uploadImage(ID, VOLUME)), { image: ID });
    const sample = await json<{ id: string; name: string; checksum: string }>(slicer.nextSample('random'));
    assert.equal(sample.id, ID);
    assert.equal(sample.name, `${ID}.nii.gz`);
    const downloaded = await send(slicer.downloadImage(sample.id));
    assert.deepEqual(downloaded.body, VOLUME);
    assert.equal(sample.checksum, `SHA256:${createHash('sha256').update(downloaded.body).digest('hex')}`);

    const inferred = await send(slicer.infer(SPLEEN, ID));
    const { params, file, filename } = replyParts(inferred);
    assert.deepEqual(JSON.parse(params), { label_names: { spleen: 1 }, centroids: { spleen: [1, 4, 3, 2] } });
    assert.deepEqual(parseNifti(gunzipSync(file)).shape, [5, 4, 3]);
    assert.match(filename, /\.nii\.gz$/);

    const saved = await json<{ image: string; label: string }>(slicer.saveLabel(ID, LABEL));
    assert.deepEqual(saved, { image: ID, label: ID });
    const after = await json<Info>(slicer.info());
    assert.deepEqual(after.datastore, { total: 1, completed: 1, label_tags: { final: 1 } });
    assert.deepEqual(await json(slicer.nextSample('first')), {}, 'all are labelled');
    const label = await send(slicer.downloadLabel(ID, 'final'));
    assert.deepEqual(label.body, LABEL);
    assert.match(label.headers.get('content-disposition') ?? '', /filename="[^"]+\.nii\.gz"/);
  });

  it('keeps what a model made as the original label, with the names that Slicer asks for', async () => {
    await json(slicer.uploadImage('case-2', VOLUME));
    assert.equal((await send(slicer.infer(SPLEEN, 'case-2', { params: '{"save_label": true}' }))).status, 200);
    const { objects } = await json<{ objects: Record<string, { labels: Record<string, { info: Saved }> }> }>(
      slicer.datastore(),
    );
    assert.deepEqual(objects['case-2'].labels.original.info.params.label_names, { spleen: 1 });
    const original = await send(slicer.downloadLabel('case-2', 'original'));
    assert.equal(parseNifti(gunzipSync(original.body)).data.at(-1), 1);
    assert.deepEqual(await json(plainRequest('GET', '/datastore/?output=train')), [
      { image: ID, label: ID, tag: 'final' },
    ]);
  });

  it('keeps a volume in a session for Slicer, in the shape that it reads', async () => {
    const opened = await json<{ session_id: string; session_info: { expiry: number } }>(slicer.createSession(VOLUME));
    assert.equal(opened.session_info.expiry, 3600);
    const reply = await send(slicer.infer(SPLEEN, 'not-in-the-datastore', { session: opened.session_id }));
    assert.ok(replyParts(reply).file.length > 0);
    assert.ok((await json<{ name: string }>(slicer.getSession(opened.session_id))).name);
    await json(slicer.removeSession(opened.session_id));
    assert.equal((await send(slicer.infer(SPLEEN, 'x', { session: opened.session_id }))).status, 440);
  });

  it('answers the viewer in parts that it tells apart by their types', async () => {
    const wanted = {
      result_extension: '.nii',
      result_dtype: 'uint16',
      result_compress: false,
      restore_label_idx: false,
    };
    await json(slicer.uploadImage('1.2.840.1', VOLUME));
    const reply = await send(viewerInfers(SPLEEN, '1.2.840.1', wanted));
    assert.equal(reply.status, 200);
    const { params, file } = viewerReads(reply.headers.get('content-type')!, reply.body);
    assert.deepEqual(params.centroids, { spleen: [1, 4, 3, 2] });
    assert.equal(parseNifti(file).datatype, 512);
  });

  it('answers with the mask alone, or with what is said of it alone', async () => {
    await json(slicer.uploadImage('alone', VOLUME));
    const infer = (output: string) =>
      send(
        Buffer.from(
          slicer.infer(SPLEEN, 'alone').toString('latin1').replace('?image', `?output=${output}&image`),
          'latin1',
        ),
      );
    assert.equal(parseNifti(gunzipSync((await infer('image')).body)).datatype, 2);
    assert.deepEqual(Object.keys(jsonOf(await infer('json')) as object), ['label_names', 'centroids']);
    assert.match(sentenceOf(await infer('dicom_seg')), /send the DICOM series itself/);
    assert.match(sentenceOf(await infer('zip')), /output is "zip"; this server answers image, json, all, dicom_seg/);
  });

  it('refuses what is not there with a sentence', async () => {
    const cases: readonly (readonly [Buffer, number, RegExp])[] = [
      [slicer.infer(SPLEEN, 'nobody'), 404, /There is no image "nobody"/],
      [slicer.infer('nothing', 'nobody'), 404, /There is no model "nothing"/],
      [slicer.saveLabel('nobody', LABEL), 404, /There is no image "nobody"/],
      [slicer.downloadLabel('case-2', 'mine'), 404, /no label with the tag "mine"/],
      [slicer.nextSample('toString'), 404, /There is no strategy "toString"; use one of first, random, entropy/],
      [slicer.uploadImage('x', Buffer.from('no volume')), 400, /too short/],
      [slicer.uploadImage('x'.repeat(300), VOLUME), 400, /1 to 256 characters/],
      [plainRequest('GET', '/datastore/?output=zip'), 400, /use stats, all or train/],
      [plainRequest('DELETE', '/datastore/?id=x'), 400, /use image, label or label_tag/],
    ];
    for (const [request, status, sentence] of cases) {
      const reply = await send(request);
      assert.match(sentenceOf(reply), sentence);
      assert.equal(reply.status, status, String(sentence));
    }
  });

  it('deletes labels and images, and leaves nothing of them on disk', async () => {
    const { site } = served;
    const kept = await site.everything();
    await json(slicer.uploadImage('to-delete', VOLUME));
    await json(slicer.saveLabel('to-delete', LABEL));
    const withLabel = await site.everything();
    await json(plainRequest('DELETE', '/datastore/?id=to-delete&type=label'));
    assert.equal((await site.everything()).length, withLabel.length - 2);
    await json(slicer.saveLabel('to-delete', LABEL));
    await json(plainRequest('DELETE', '/datastore/?id=to-delete&type=image'));
    assert.deepEqual(await site.everything(), kept);
    assert.equal((await send(plainRequest('DELETE', '/datastore/?id=to-delete&type=image'))).status, 404);
  });
});

describe('AIAA training for MONAI Label clients', () => {
  const MODEL = 'clara_ct_tiny';
  let site: Site;
  let server: AnnotationServer;
  before(async () => {
    site = await Site.make();
    const file = path.join(site.workspace, 'tiny.safetensors');
    await writeTinyModel(file);
    await publishModel(site.workspace, { file, name: MODEL, version: '1' });
    await rm(file);
    await writePhantomDataset(path.join(site.workspace, 'samples', MODEL), {
      cases: 1,
      heldOut: 1,
      seed: 4,
      shape: [24, 24, 16],
    });
    // One that works until it is stopped.
    server = await site.serve({ trainer: { command: process.execPath, args: ['-e', 'setInterval(() => {}, 1000)'] } });
  });
  after(() => site.clear());

  const ask = async (request: Buffer, to = server) => {
    const reply = await exchange(to.port, request);
    return { status: reply.status, said: jsonOf(reply) as { status: string; details: string[] } };
  };

  it('begins, tells that it runs, refuses a second one, and stops', async () => {
    const { trainers } = jsonOf(await exchange(server.port, slicer.info())) as Info;
    assert.deepEqual(Object.keys(trainers), [MODEL]);
    assert.equal((await ask(slicer.trainStatus(true))).status, 404);
    const begun = await ask(slicer.trainStart(MODEL));
    assert.equal(begun.status, 200);
    assert.equal(begun.said.status, 'RUNNING');
    assert.equal((await ask(slicer.trainStatus(true))).status, 200);
    assert.equal((await ask(slicer.trainStart(''))).status, 429);
    const stopped = await ask(slicer.trainStop());
    assert.equal(stopped.said.status, 'ERROR');
    assert.match(stopped.said.details.at(-1)!, /stopped/);
    assert.equal((await ask(slicer.trainStatus(true))).status, 404);
    assert.equal((await ask(slicer.trainStatus(false))).said.status, 'ERROR');
  });

  it('is not found for a model that is not there, and not offered without a trainer', async () => {
    assert.equal((await ask(slicer.trainStart('nobody'))).status, 404);
    const without = await site.serve();
    assert.equal((await ask(slicer.trainStart(MODEL), without)).status, 501);
    assert.equal((await ask(slicer.trainStatus(false), without)).status, 404);
  });
});

describe('AIAA centroids', () => {
  it('are the mean voxels of each label, by value', () => {
    const data = new Uint8Array(5 * 4 * 3);
    const put = (value: number, i: number, j: number, k: number) => {
      data[(k * 4 + j) * 5 + i] = value;
    };
    put(2, 0, 0, 0);
    put(2, 4, 2, 2);
    put(1, 3, 3, 1);
    const affine = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0] as const;
    assert.deepEqual(centroidsOf({ geometry: { shape: [5, 4, 3], affine }, data }), [
      [1, 3, 3, 1],
      [2, 2, 1, 1],
    ]);
    assert.deepEqual(centroidsOf({ geometry: { shape: [5, 4, 3], affine }, data: new Uint8Array(60) }), []);
  });
});

interface Saved {
  readonly params: { readonly label_names: object };
}
