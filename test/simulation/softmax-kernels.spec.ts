import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PACKAGE_ROOT } from '../../base/own-program';
import { seededRandom } from '../../base/random';
import { buildKernel } from '../../scripts/build-kernels';
import { softmaxData } from '../../simulation/softmax/site-data';
import { SoftmaxModel, weightCount } from '../../simulation/softmax/softmax-model';

describe('the kernels of the convex problem', () => {
  it('in the tree are what their source builds, byte for byte', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'softmax-kernels-'));
    try {
      const target = path.join(folder, 'kernels.wasm');
      buildKernel('simulation/softmax/kernels', target);
      const kept = readFileSync(path.join(PACKAGE_ROOT, 'simulation/softmax/kernels.wasm'));
      assert.ok(readFileSync(target).equals(kept), 'run `npm run kernels` and keep the result');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  for (const [features, classes] of [
    [1, 2],
    [3, 5],
    [4, 3],
    [67, 7],
  ] as const) {
    it(`give the bytes of plain arithmetic: ${features} features, ${classes} classes`, () => {
      const { training } = softmaxData(3, 'a', 0.5, { features, classes, samples: 12 });
      const random = seededRandom(7);
      const start = Float32Array.from({ length: weightCount({ features, classes }) }, () => random.normal());
      const model = new SoftmaxModel({ features, classes });
      model.weights.set(start);
      const all = Array.from({ length: training.count }, (_, index) => index);
      const loss = model.addGradient(training, all);
      model.descend(0.3, 0.02);
      const plain = plainStep(start, training, all, { features, classes, rate: 0.3, regularisation: 0.02 });
      assert.deepEqual([...model.gradient], [...plain.gradient]);
      assert.deepEqual([...model.weights], [...plain.weights]);
      assert.ok(Math.abs(loss - plain.loss) < 1e-12);
    });
  }
});

/** One number after another, rounded to float32 wherever it is stored. */
function plainStep(
  start: Float32Array,
  { inputs, classes: kinds }: ReturnType<typeof softmaxData>['training'],
  chosen: readonly number[],
  {
    features,
    classes,
    rate,
    regularisation,
  }: { features: number; classes: number; rate: number; regularisation: number },
) {
  const gradient = new Float32Array(start.length);
  let loss = 0;
  for (const n of chosen) {
    const scores = Array.from({ length: classes }, (_, kind) => {
      const sums = [0, 0, 0, 0];
      const whole = features - (features % 4);
      for (let i = 0; i < features; i++)
        sums[i < whole ? i % 4 : 0]! += start[kind * features + i]! * inputs[n * features + i]!;
      return start[classes * features + kind]! + (sums[0]! + sums[1]! + (sums[2]! + sums[3]!));
    });
    const powers = scores.map((score) => Math.exp(score - Math.max(...scores)));
    const total = powers.reduce((sum, power) => sum + power, 0);
    const probabilities = powers.map((power) => power / total);
    loss += -Math.log(Math.max(probabilities[kinds[n]!]!, Number.MIN_VALUE));
    for (let kind = 0; kind < classes; kind++) {
      const error = (1 / chosen.length) * (probabilities[kind]! - (kinds[n] === kind ? 1 : 0));
      for (let i = 0; i < features; i++) gradient[kind * features + i]! += error * inputs[n * features + i]!;
      gradient[classes * features + kind]! += error;
    }
  }
  const weights = start.map((weight, i) => weight - rate * (gradient[i]! + regularisation * weight));
  return { gradient, weights, loss: loss / chosen.length };
}
