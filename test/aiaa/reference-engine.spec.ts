import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { publishModel } from '../../aiaa/registry/publish-model';
import { type AnnotationServer, startAnnotationServer } from '../../aiaa/server';
import { PACKAGE_ROOT } from '../../base/own-program';
import { encodeNifti, readNifti } from '../../imaging/nifti';
import { makePhantom } from '../../imaging/phantom';
import { networkSpec } from '../../training/engine/architecture';
import { ENGINE_ID, type ModelCard } from '../../training/engine/model-card';
import { writeModel } from '../../training/engine/model-file';
import { loadSegmenter } from '../../training/engine/segmenter';
import { initialWeights } from '../../training/engine/weights';
import { parseNifti } from './support/nifti-bytes';
import { CPP, exchange, formRequest, jsonOf, PYTHON, plainRequest, replyParts, sentenceOf } from './support/raw-http';
import { Site } from './support/server';

const REAL_CT = path.resolve(PACKAGE_ROOT, '../shared/data/ct/ct.nii.gz');
const NAME = 'untrained';

const CARD: ModelCard = {
  engine: ENGINE_ID,
  name: NAME,
  description: 'Never trained; answers something',
  labels: ['spleen'],
  channels: [8, 16],
  patch: [32, 32, 16],
  spacing: [6, 6, 6],
  window: { low: -160, high: 240 },
};

describe('AIAA with the reference engine', () => {
  let site: Site;
  let server: AnnotationServer;
  before(async () => {
    site = await Site.make();
    const file = path.join(site.workspace, 'model.safetensors');
    const spec = networkSpec(CARD.channels);
    const weights = initialWeights(spec, 7);
    const bias = spec.parameters.find(({ role }) => role === 'head bias')!;
    weights[bias.offset] = 0; // an untrained network then says yes to about half of the voxels
    await writeModel(file, { card: CARD, weights });
    const { entry } = await publishModel(site.workspace, { file, name: NAME, version: '1' });
    assert.deepEqual(entry.labels, ['spleen'], 'taken from the model card');
    await rm(file);
    server = await startAnnotationServer({ workspace: site.workspace });
  });
  after(async () => {
    await server?.close();
    await site.clear();
  });

  /** The mask by which the engine itself, without a server, answers. */
  async function expectedMask(volume: Buffer): Promise<Uint8Array> {
    const segmenter = await loadSegmenter(path.join(site.workspace, 'models', NAME, '1', 'model.safetensors'));
    const { data } = await segmenter.segment(await readNifti(volume));
    segmenter.close();
    return data;
  }

  async function assertAnswersInGeometryOf(volume: Buffer, plain: Buffer): Promise<void> {
    for (const [dialect, name] of [
      [PYTHON, 'datapoint'],
      [CPP, 'image'],
    ] as const) {
      const reply = await exchange(
        server.port,
        formRequest(dialect, 'POST', `/v1/inference?model=${NAME}`, [
          { name: 'params', content: '{}' },
          { name, filename: 'ct.nii.gz', content: volume },
        ]),
      );
      assert.equal(reply.status, 200, reply.status === 200 ? '' : sentenceOf(reply));
      assert.equal(Number(reply.headers.get('content-length')), reply.body.length);
      const mask = parseNifti(gunzipSync(replyParts(reply).file));
      const input = parseNifti(plain);
      for (const field of ['shape', 'sform', 'qform', 'pixdim', 'formCodes'] as const) {
        assert.deepEqual(mask[field], input[field], field);
      }
      const found = mask.data.reduce((count, value) => count + value, 0);
      assert.ok(found > 0 && found < mask.data.length, 'the mask has both sides, so that comparing it means something');
      assert.ok(mask.data.equals(await expectedMask(volume)), 'voxel for voxel what the engine answers by itself');
    }
  }

  it('segments a phantom in the geometry that it came in', async () => {
    const { image } = makePhantom(11, { shape: [40, 40, 24] });
    const volume = Buffer.from(encodeNifti(image));
    await assertAnswersInGeometryOf(volume, volume);
  });

  it('segments a real CT in the geometry that it came in', async function () {
    if (!existsSync(REAL_CT)) {
      console.log(`skipped: the real CT is not at ${path.relative(PACKAGE_ROOT, REAL_CT)}`);
      this.skip();
    }
    const volume = await readFile(REAL_CT);
    await assertAnswersInGeometryOf(volume, gunzipSync(volume));
  });

  it('checks its health with a real inference', async () => {
    const health = jsonOf(await exchange(server.port, plainRequest('GET', '/health'))) as {
      status: string;
      detail: string;
    };
    assert.equal(health.status, 'ok');
    assert.match(health.detail, /Model untrained answered in/);
  });

  it('refuses to publish a file that is no model', async () => {
    await assert.rejects(publishModel(site.workspace, { file: __filename, name: 'text', version: '1' }), {
      code: 'corrupt',
      message: /not a working model/,
    });
  });
});
