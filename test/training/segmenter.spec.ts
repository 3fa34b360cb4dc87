import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { PACKAGE_ROOT } from '../../base/own-program';
import { seededRandom } from '../../base/random';
import { writeTensors } from '../../federation/tensors/file';
import { reorient } from '../../imaging/geometry';
import { dice } from '../../imaging/metrics';
import { readNifti } from '../../imaging/nifti';
import type { Affine, Volume } from '../../imaging/volume';
import { networkSpec } from '../../training/engine/architecture';
import { metadataOf } from '../../training/engine/model-card';
import { readModel, writeModel } from '../../training/engine/model-file';
import { loadSegmenter, Segmenter } from '../../training/engine/segmenter';
import { initialWeights, tensorsOf } from '../../training/engine/weights';
import { BALL_CARD, ballModel, ballScan } from './ball-model';

const REAL_CT = path.resolve(PACKAGE_ROOT, '../shared/data/ct/ct.nii.gz');

describe('the segmenter', () => {
  let folder: string;
  let modelFile: string;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'segmenter-'));
    modelFile = path.join(folder, 'ball.safetensors');
    await writeModel(modelFile, ballModel());
  });
  after(() => rm(folder, { recursive: true }));

  it('finds what its model has learnt, also on finer and coarser grids than the model works on', async () => {
    const segmenter = await loadSegmenter(modelFile);
    for (const shape of [
      [16, 16, 16],
      [40, 24, 33],
      [12, 16, 9],
    ] as const) {
      const { scan, truth } = ballScan(77, shape);
      const mask = await segmenter.segment(scan);
      assert.ok(dice(mask.data, truth.data) > 0.85, `${shape}: ${dice(mask.data, truth.data)}`);
    }
  });

  it('answers on exactly the grid of the scan, whatever the order of its axes', async () => {
    const segmenter = await loadSegmenter(modelFile);
    const { scan } = ballScan(78, [20, 16, 14]);
    const upright = await segmenter.segment(scan);
    assert.ok(upright.data.some((value) => value === 1));
    for (const code of ['LPS', 'ASR', 'SLP', 'PIR']) {
      const turned = reorient(scan, code);
      const mask = await segmenter.segment(turned);
      assert.deepEqual(mask.geometry, turned.geometry);
      assert.deepEqual(mask.data, reorient(upright, code).data, code);
    }
  });

  it('keeps an oblique affine as it is', async () => {
    const { scan } = ballScan(79);
    const [c, s] = [10 * Math.cos(0.2), 10 * Math.sin(0.2)];
    const affine: Affine = [c, -s, 0, 5, s, c, 0, -3, 0, 0, 10, 1];
    const oblique: Volume = { geometry: { shape: scan.geometry.shape, affine }, data: scan.data };
    const mask = await (await loadSegmenter(modelFile)).segment(oblique);
    assert.deepEqual(mask.geometry, oblique.geometry);
    assert.ok(mask.data.some((value) => value === 1));
  });

  it('leaves a mask of zeros and ones on the grid of a real CT', async function () {
    if (!existsSync(REAL_CT)) {
      console.log(`      skipped: no real CT at ${path.relative(PACKAGE_ROOT, REAL_CT)}`);
      this.skip();
    }
    const scan = await readNifti(REAL_CT);
    const mask = await (await loadSegmenter(modelFile)).segment(scan);
    assert.deepEqual(mask.geometry, scan.geometry);
    assert.equal(mask.data.length, scan.data.length);
    assert.ok(mask.data instanceof Uint8Array && mask.data.every((value) => value === 0 || value === 1));
  });

  it('segments volumes far smaller than its patch', async () => {
    const geometry = { shape: [5, 3, 1], affine: [3, 0, 0, 0, 0, 3, 0, 0, 0, 0, 3, 0] } as const;
    const mask = await (await loadSegmenter(modelFile)).segment({ geometry, data: new Int16Array(15) });
    assert.equal(mask.data.length, 15);
  });

  it('gives the same mask every time, also when two scans are segmented at once', async () => {
    const segmenter = await loadSegmenter(modelFile);
    const [one, two] = [ballScan(80, [40, 40, 40]).scan, ballScan(81, [36, 40, 20]).scan];
    const [first, second] = [await segmenter.segment(one), await segmenter.segment(two)];
    const together = await Promise.all([segmenter.segment(one), segmenter.segment(two)]);
    assert.deepEqual(together[0].data, first.data);
    assert.deepEqual(together[1].data, second.data);
  });

  it('stops when asked to, and refuses an impossible overlap', async () => {
    const segmenter = await loadSegmenter(modelFile);
    const { scan } = ballScan(82);
    await assert.rejects(segmenter.segment(scan, { signal: AbortSignal.abort(new Error('enough')) }), /enough/);
    await assert.rejects(segmenter.segment(scan, { overlap: 1 }), /overlap 1 of patches must be from 0 to 0.9/);
  });

  it('refuses to work after it was closed, and may be closed twice', async () => {
    const segmenter = await loadSegmenter(modelFile);
    segmenter.close();
    segmenter.close();
    await assert.rejects(segmenter.segment(ballScan(83).scan), { code: 'precondition-failed' });
  });

  it('gives its memory back when it is closed', async function () {
    this.timeout(60_000);
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const card = { ...BALL_CARD, channels: [16, 24], patch: [32, 32, 32] as [number, number, number] };
    const model = { card, weights: initialWeights(networkSpec(card.channels), 1) };
    const random = seededRandom(1);
    const data = Int16Array.from({ length: 4096 }, () => 100 * random.normal());
    // What is kept here must hold no network after it was closed.
    const kept: Segmenter[] = [];
    const use = async (): Promise<void> => {
      const segmenter = new Segmenter(model);
      kept.push(segmenter);
      await segmenter.segment({ geometry: ballScan(1).scan.geometry, data });
      segmenter.close();
      collect();
    };
    await use();
    const before = process.memoryUsage().rss;
    const rounds = 15;
    for (let round = 0; round < rounds; round++) await use();
    // Each network takes some 30 MiB: kept, they would be 450.
    const grown = (process.memoryUsage().rss - before) / 2 ** 20;
    assert.ok(grown < 150, `grew by ${grown.toFixed(0)} MiB over ${kept.length} segmenters`);
  });
});

describe('a model file', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'model-file-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('gives back card and weights', async () => {
    const file = path.join(folder, 'model.safetensors');
    await writeModel(file, ballModel());
    assert.deepEqual(await readModel(file), ballModel());
  });

  it('is refused with every fault of its card', async () => {
    const file = path.join(folder, 'faulty.safetensors');
    const { weights } = ballModel();
    const metadata = { ...metadataOf(BALL_CARD), engine: 'another', patch: '[16, 16', window: '{"low":5,"high":1}' };
    await writeTensors(file, tensorsOf(networkSpec(BALL_CARD.channels), weights), metadata);
    await assert.rejects(readModel(file), (error: { code: string; faults: { path: string }[] }) => {
      assert.equal(error.code, 'invalid-input');
      assert.deepEqual(error.faults.map((fault) => fault.path).sort(), ['engine', 'patch', 'window']);
      return true;
    });
  });

  it('is refused when its tensors are of another network', async () => {
    const file = path.join(folder, 'other.safetensors');
    const other = networkSpec([8, 8]);
    await writeTensors(file, tensorsOf(other, initialWeights(other, 1)), metadataOf(BALL_CARD));
    await assert.rejects(readModel(file), { code: 'invalid-input', message: /encoder\.1\.0\.filter.*must be F32/ });
  });
});
