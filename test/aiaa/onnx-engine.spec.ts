import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { LoadedModel } from '../../aiaa/inference/inference-engine';
import { onnxEngine } from '../../aiaa/inference/onnx-engine';
import { reorient } from '../../imaging/geometry';
import type { Affine, Volume } from '../../imaging/volume';
import { networkSpec } from '../../training/engine/architecture';
import { ENGINE_ID, type ModelCard } from '../../training/engine/model-card';
import { aiaaConfigOf, exportOnnx } from '../../training/engine/onnx-export';
import { encodeOnnx } from '../../training/engine/onnx-writer';
import { networkInput, prepareScan } from '../../training/engine/preprocessing';
import { Segmenter } from '../../training/engine/segmenter';
import { UNet } from '../../training/engine/unet';
import { initialWeights } from '../../training/engine/weights';
import { aboveLevel, levelConfig } from './support/onnx-models';

const CARD: ModelCard = {
  engine: ENGINE_ID,
  name: 'untrained',
  description: 'Never trained; answers something',
  labels: ['spleen'],
  channels: [8, 16, 24],
  patch: [24, 16, 12],
  spacing: [4, 4, 5],
  window: { low: -160, high: 240 },
};

describe('ONNX engine', () => {
  let folder: string;
  const loaded: LoadedModel[] = [];
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'onnx-'));
  });
  after(async () => {
    for (const model of loaded) await model.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function load(bytes: Uint8Array, config: object): Promise<LoadedModel> {
    const file = path.join(folder, `${loaded.length}.onnx`);
    await writeFile(file, bytes);
    const model = await onnxEngine.load({
      engine: 'onnx',
      file,
      sha256: '',
      config: config as Record<string, unknown>,
    });
    loaded.push(model);
    return model;
  }

  /** One patch of the network, on the grid that it works on, but with axes turned away from RAS. */
  function scan(): Volume<Float32Array> {
    const [ni, nj, nk] = CARD.patch;
    const affine: Affine = [4, 0, 0, -40, 0, 4, 0, -30, 0, 0, 5, 10];
    const data = new Float32Array(ni * nj * nk);
    for (let at = 0; at < data.length; at += 1) data[at] = 150 * Math.sin(at * 0.37) + 100 * Math.cos(at * 0.011) - 20;
    return reorient({ geometry: { shape: CARD.patch, affine }, data }, 'PIR');
  }

  it('computes what the reference engine computes, for the network that was exported from it', async () => {
    const weights = initialWeights(networkSpec(CARD.channels), 5);
    weights[networkSpec(CARD.channels).headBias.offset] = 0;
    const model = await load(exportOnnx({ card: CARD, weights }), aiaaConfigOf(CARD, '1'));
    const volume = scan();
    const mask = await model.segment(volume);

    const expected = await new Segmenter({ card: CARD, weights }).segment(volume);
    assert.deepEqual(mask.geometry, volume.geometry);
    const found = mask.data.reduce((count, value) => count + value, 0);
    assert.ok(found > 100 && found < mask.data.length - 100, 'the mask has both sides');
    const doubtful = voxelsNearTheLevel(weights, volume);
    for (const [at, value] of mask.data.entries()) {
      if (!doubtful.has(at)) assert.equal(value, expected.data[at], `voxel ${at}`);
    }
    assert.ok(doubtful.size < mask.data.length / 100);

    const { data } = await new Segmenter({ card: CARD, weights }).probabilities(volume);
    const entropies = [...data].flatMap((p) => (p < 0.05 ? [] : [-p * Math.log2(p) - (1 - p) * Math.log2(1 - p)]));
    const mean = entropies.reduce((sum, entropy) => sum + entropy, 0) / entropies.length;
    const unsure = await model.uncertainty!(volume);
    assert.ok(mean > 0.1 && Math.abs(unsure - mean) < 1e-4, `${unsure}, and ${mean} of the reference engine`);
  });

  /** Where single precision may decide otherwise: voxels whose logit is within 1e-3 of zero. */
  function voxelsNearTheLevel(weights: Float32Array, volume: Volume): Set<number> {
    const net = new UNet(CARD, 'inference');
    net.weights.set(weights);
    const prepared = prepareScan(volume, CARD);
    net.input.set(networkInput(prepared).values);
    const logits = { geometry: prepared.geometry, data: net.forward().slice() };
    const back = reorient(logits, 'PIR').data;
    return new Set([...back.keys()].filter((at) => Math.abs(back[at]) < 1e-3));
  }

  it('runs windows of a network of any size', async () => {
    const model = await load(aboveLevel(50), levelConfig());
    const volume = scan();
    const progress: number[] = [];
    const mask = await model.segment(volume, { onProgress: (fraction) => progress.push(fraction) });
    assert.deepEqual(
      [...mask.data],
      [...volume.data].map((value) => (value > 50 ? 1 : 0)),
    );
    assert.ok(progress.length > 1 && progress.at(-1) === 1);
    assert.deepEqual(model.told, { boundingBox: 'bbox' });
    const stopped = new AbortController();
    const cut = model.segment(volume, { signal: stopped.signal, onProgress: () => stopped.abort() });
    await assert.rejects(cut, { name: 'AbortError' });
  });

  it('says what is wrong with a file or a network that cannot be served', async () => {
    await assert.rejects(load(Buffer.from('not a network'), levelConfig()), {
      code: 'corrupt',
      message: /ONNX file cannot be loaded/,
    });
    const image = (dims: number[]) =>
      encodeOnnx({
        name: 'odd',
        input: { name: 'image', dims },
        output: { name: 'same', dims },
        nodes: [{ type: 'Identity', inputs: ['image'], output: 'same' }],
        initializers: [],
      });
    await assert.rejects(load(image([1, 1, 8, 8]), levelConfig()), {
      code: 'unsupported',
      message: /input is image: float32 \[1, 1, 8, 8\]; it must be/,
    });
    await assert.rejects(load(image([1, 4, 8, 8, 8]), levelConfig()), {
      code: 'unsupported',
      message: /images of 4 channels/,
    });
    const small = await load(image([1, 1, 4, 4, 4]), levelConfig());
    await assert.rejects(small.segment(scan()), {
      code: 'unsupported',
      message: /takes 4 x 4 x 4 voxels, but the roi is 8 x 8 x 8/,
    });
  });
});
