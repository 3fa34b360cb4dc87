import { seededRandom } from '../../base/random';
import type { Geometry, Mask, Shape3, Vector3, Volume } from '../../imaging/volume';
import { diceAndCrossEntropy } from '../../training/engine/loss';
import { ENGINE_ID, type ModelCard } from '../../training/engine/model-card';
import type { Model } from '../../training/engine/model-file';
import { Adam } from '../../training/engine/optimiser';
import { networkInput, prepareScan, prepareTarget } from '../../training/engine/preprocessing';
import { UNet } from '../../training/engine/unet';
import { initialWeights } from '../../training/engine/weights';

/** A model for tests that is learnt in a moment: it finds one bright ball in a dark box, 160 mm wide. */
export const BALL_CARD: ModelCard = {
  engine: ENGINE_ID,
  name: 'ball',
  description: 'Finds a bright ball',
  labels: ['ball'],
  channels: [8, 16],
  patch: [16, 16, 16],
  spacing: [10, 10, 10],
  window: { low: -160, high: 240 },
};

export interface BallScan {
  readonly scan: Volume<Int16Array>;
  readonly truth: Mask;
}

const EXTENT_MM = 160;

/** RAS+ axes; the ball lies off the middle, to tell left from right. */
export function ballScan(seed: number, shape: Shape3 = [16, 16, 16]): BallScan {
  const random = seededRandom(seed);
  const spacing = shape.map((size) => EXTENT_MM / size) as unknown as Vector3;
  const [dx, dy, dz] = spacing;
  const [x0, y0, z0] = [60, 90, 70].map((at) => at + 20 * (random.uniform() - 0.5));
  const radius = 32 + 8 * random.uniform();
  const voxels = shape[0] * shape[1] * shape[2];
  const [scan, truth] = [new Int16Array(voxels), new Uint8Array(voxels)];
  for (let k = 0, v = 0; k < shape[2]; k++)
    for (let j = 0; j < shape[1]; j++)
      for (let i = 0; i < shape[0]; i++, v++) {
        const inside = Math.hypot((i + 0.5) * dx - x0, (j + 0.5) * dy - y0, (k + 0.5) * dz - z0) < radius;
        truth[v] = inside ? 1 : 0;
        scan[v] = Math.round((inside ? 150 : -20) + 15 * random.normal());
      }
  const geometry: Geometry = { shape, affine: [dx, 0, 0, -50, 0, dy, 0, -70, 0, 0, dz, 200] };
  return { scan: { geometry, data: scan }, truth: { geometry, data: truth } };
}

let learnt: Model | undefined;

export function ballModel(): Model {
  learnt ??= learnBalls();
  return learnt;
}

function learnBalls(): Model {
  const net = new UNet(BALL_CARD, 'learning');
  net.weights.set(initialWeights(net.spec, 1));
  const adam = new Adam(net);
  for (let step = 0; step < 40; step++) {
    const { scan, truth } = ballScan(step % 5);
    const prepared = prepareScan(scan, BALL_CARD);
    net.input.set(networkInput(prepared).values);
    const targets = prepareTarget(truth, prepared.geometry);
    diceAndCrossEntropy(net.forward(), targets, 1, net.logitGradients);
    net.backward();
    adam.step(0.02);
  }
  return { card: BALL_CARD, weights: net.weights.slice() };
}
