import assert from 'node:assert/strict';
import { ClaraError } from '../../base/errors';
import { seededRandom } from '../../base/random';
import { networkSpec } from '../../training/engine/architecture';
import { diceAndCrossEntropy } from '../../training/engine/loss';
import { Adam, learningRate } from '../../training/engine/optimiser';
import { UNet } from '../../training/engine/unet';
import { initialWeights, tensorsOf, weightsOf } from '../../training/engine/weights';
import * as oracle from './kernels-oracle';

const TINY = { channels: [8, 16], patch: [8, 4, 6] } as const;
const SLOPE = 0.01;

function patchOf(voxels: number, seed: number): { input: Float32Array; targets: Float32Array } {
  const random = seededRandom(seed);
  const input = Float32Array.from({ length: voxels }, () => random.normal());
  return { input, targets: input.map(() => (random.uniform() < 0.3 ? random.uniform() : 0)) };
}

function lossOf(net: UNet, targets: Float32Array): number {
  return diceAndCrossEntropy(net.forward(), targets, 1, net.logitGradients);
}

/** The network written once more from plain loops in double precision, for two stages. */
function oracleLogits(net: UNet, weights: readonly number[], input: ArrayLike<number>): number[] {
  const { spec, architecture } = net;
  const [ni, nj, nk] = architecture.patch;
  const [fineC, coarseC] = architecture.channels;
  const parameter = (name: string): number[] => {
    const found = spec.parameters.find((candidate) => candidate.name === name)!;
    return weights.slice(found.offset, found.offset + found.count);
  };
  const fine = { depth: nk, height: nj, width: ni };
  const coarse = { depth: nk / 2, height: nj / 2, width: ni / 2 };
  const block = (name: string, x: ArrayLike<number>, grid: oracle.Grid, inC: number, outC: number): number[] => {
    const y = oracle.convolution(x, parameter(`${name}.filter`), grid, inC, outC);
    return oracle.normalisation(y, parameter(`${name}.scale`), parameter(`${name}.shift`), outC, SLOPE);
  };
  const skip = block('encoder.0.1', block('encoder.0.0', input, fine, 1, fineC), fine, fineC, fineC);
  const pooled = oracle.maximumPooling(skip, fine, fineC);
  const deep = block('encoder.1.1', block('encoder.1.0', pooled, coarse, fineC, coarseC), coarse, coarseC, coarseC);
  const doubled = oracle.doubling(deep, coarse, coarseC);
  const joined: number[] = [];
  for (let v = 0; v < ni * nj * nk; v++) {
    joined.push(...skip.slice(v * fineC, (v + 1) * fineC), ...doubled.slice(v * coarseC, (v + 1) * coarseC));
  }
  const top = block('decoder.0.1', block('decoder.0.0', joined, fine, fineC + coarseC, fineC), fine, fineC, fineC);
  const head = parameter('head.weight');
  const [bias] = parameter('head.bias');
  return Array.from({ length: ni * nj * nk }, (_, v) => head.reduce((sum, w, c) => sum + w * top[v * fineC + c], bias));
}

describe('the 3D U-Net', () => {
  it('computes the logits of its definition', () => {
    const net = new UNet(TINY, 'inference');
    net.weights.set(initialWeights(net.spec, 4));
    const { input } = patchOf(net.voxels, 5);
    net.input.set(input);
    const logits = net.forward();
    for (const [v, expected] of oracleLogits(net, Array.from(net.weights), input).entries()) {
      assert.ok(Math.abs(logits[v] - expected) < 1e-4, `voxel ${v}: ${logits[v]}, expected ${expected}`);
    }
  });

  it('differentiates the loss by every tensor as central differences of the definition do', () => {
    const net = new UNet(TINY, 'learning');
    net.weights.set(initialWeights(net.spec, 3));
    const { input, targets } = patchOf(net.voxels, 6);
    net.input.set(input);
    lossOf(net, targets);
    net.backward();
    const weights = Array.from(net.weights);
    const lossAt = (moved: number, value: number): number => {
      const logits = oracleLogits(net, weights.with(moved, value), input);
      return diceAndCrossEntropy(Float64Array.from(logits), targets, 1, new Float64Array(net.voxels));
    };
    const random = seededRandom(7);
    const step = 1e-5;
    for (const { name, offset, count } of net.spec.parameters) {
      const scale = Math.max(...net.weightGradients.subarray(offset, offset + count).map(Math.abs));
      assert.ok(scale > 0, `${name} has no gradient`);
      for (let draw = 0; draw < 2; draw++) {
        const at = offset + random.integer(count);
        const numeric = (lossAt(at, weights[at] + step) - lossAt(at, weights[at] - step)) / (2 * step);
        const error = Math.abs(numeric - net.weightGradients[at]);
        assert.ok(error < 1e-4 * scale + 1e-7, `${name}: ${net.weightGradients[at]}, numerically ${numeric}`);
      }
    }
  });

  it('adds the gradients of several patches', () => {
    const net = new UNet(TINY, 'learning');
    net.weights.set(initialWeights(net.spec, 3));
    const gradientOf = (seed: number, keep: boolean): Float32Array => {
      const { input, targets } = patchOf(net.voxels, seed);
      if (!keep) net.weightGradients.fill(0);
      net.input.set(input);
      lossOf(net, targets);
      net.backward();
      return net.weightGradients.slice();
    };
    const [first, second] = [gradientOf(1, false), gradientOf(2, false)];
    gradientOf(1, false);
    const both = gradientOf(2, true);
    const largest = Math.max(...both.map(Math.abs));
    for (const [at, value] of both.entries()) {
      assert.ok(Math.abs(value - first[at] - second[at]) < 1e-5 * largest);
    }
  });

  it('learns the same bits when everything is repeated', () => {
    const learn = (): { weights: Float32Array; losses: number[] } => {
      const net = new UNet({ channels: [8, 16, 24], patch: [12, 8, 4] }, 'learning');
      net.weights.set(initialWeights(net.spec, 1));
      const adam = new Adam(net);
      const losses: number[] = [];
      for (let step = 0; step < 12; step++) {
        const { input } = patchOf(net.voxels, step % 3);
        net.input.set(input);
        const targets = input.map((value) => (value > 1 ? 1 : 0));
        losses.push(lossOf(net, targets));
        net.backward();
        adam.step(0.01);
      }
      return { weights: net.weights.slice(), losses };
    };
    const [one, two] = [learn(), learn()];
    assert.deepEqual(one, two);
    assert.ok(one.losses.at(-1)! < 0.8 * one.losses[0], `loss went from ${one.losses[0]} to ${one.losses.at(-1)}`);
  });

  it('refuses an impossible architecture with every fault', () => {
    assert.throws(
      () => new UNet({ channels: [8, 12, 0], patch: [8, 6, 4] }, 'inference'),
      (error: unknown) => {
        assert.ok(error instanceof ClaraError);
        assert.equal(error.code, 'invalid-input');
        assert.deepEqual(
          error.faults.map(({ path }) => path),
          ['channels.1', 'channels.2', 'patch.1'],
        );
        return true;
      },
    );
  });

  it('needs less memory when it only infers', () => {
    const size = { channels: [8, 16, 32], patch: [16, 16, 16] } as const;
    const [inference, learning] = [new UNet(size, 'inference'), new UNet(size, 'learning')];
    assert.ok(inference.memory.bytes < 0.75 * learning.memory.bytes);
  });
});

describe('Adam', () => {
  it('goes on from saved moments to the same bits', () => {
    const gradients = [1, 2, 3].map((seed) => patchOf(networkSpec([8, 8]).parameterSpan, seed).input);
    const net = (): UNet => new UNet({ channels: [8, 8], patch: [2, 2, 2] }, 'learning');
    const straight = net();
    const adam = new Adam(straight);
    for (const gradient of gradients) {
      straight.weightGradients.set(gradient);
      adam.step(0.1);
    }
    const interrupted = net();
    let half = new Adam(interrupted);
    interrupted.weightGradients.set(gradients[0]);
    half.step(0.1);
    const resumed = net();
    resumed.weights.set(interrupted.weights);
    half = new Adam(resumed, half.moments());
    for (const gradient of gradients.slice(1)) {
      resumed.weightGradients.set(gradient);
      half.step(0.1);
    }
    assert.deepEqual(resumed.weights, straight.weights);
    assert.equal(half.moments().steps, 3);
  });

  it('clears the gradients for the next step', () => {
    const net = new UNet({ channels: [8, 8], patch: [2, 2, 2] }, 'learning');
    net.weightGradients.fill(1);
    new Adam(net).step(0.1);
    assert.ok(net.weightGradients.every((value) => value === 0));
  });
});

describe('the learning rate', () => {
  const schedule = { rate: 0.01, warmUpSteps: 8, totalSteps: 100 };

  it('grows linearly over the warm-up and falls to a twentieth at the end', () => {
    const rates = Array.from({ length: 101 }, (_, step) => learningRate(step, schedule));
    assert.ok(Math.abs(rates[0] - 0.01 / 8) < 1e-12);
    for (let step = 1; step < 8; step++) assert.ok(rates[step] > rates[step - 1]);
    for (let step = 9; step <= 100; step++) assert.ok(rates[step] < rates[step - 1]);
    assert.ok(Math.abs(rates[100] - 0.01 / 20) < 1e-12);
  });

  it('stays at its end when a run takes more steps than were announced', () => {
    assert.equal(learningRate(250, schedule), learningRate(100, schedule));
  });
});

describe('the loss', () => {
  it('is soft Dice plus cross-entropy, and knows its gradient', () => {
    const random = seededRandom(9);
    const logits = Float32Array.from({ length: 20 }, () => 4 * random.normal());
    const targets = Float32Array.from({ length: 20 }, () => random.uniform());
    const definition = (z: ArrayLike<number>): number => {
      const p = Array.from(z, (value) => 1 / (1 + Math.exp(-value)));
      const sum = (f: (i: number) => number): number => p.reduce((total, _, i) => total + f(i), 0);
      const dice = (2 * sum((i) => p[i] * targets[i]) + 1) / (sum((i) => p[i] + targets[i]) + 1);
      const entropy = -sum((i) => targets[i] * Math.log(p[i]) + (1 - targets[i]) * Math.log(1 - p[i])) / p.length;
      return 1 - dice + entropy;
    };
    const gradients = new Float32Array(20);
    const loss = diceAndCrossEntropy(logits, targets, 0.5, gradients);
    assert.ok(Math.abs(loss - definition(logits)) < 1e-6);
    for (const [i, numeric] of oracle.numericGradient(definition, logits, 1e-5).entries()) {
      assert.ok(Math.abs(gradients[i] - numeric / 2) < 1e-6);
    }
  });

  it('stays finite for logits far from zero', () => {
    const gradients = new Float32Array(2);
    assert.ok(Number.isFinite(diceAndCrossEntropy(Float32Array.of(900, -900), Float32Array.of(0, 1), 1, gradients)));
    assert.ok(gradients.every(Number.isFinite));
  });
});

describe('weights', () => {
  it('become tensors and back without a change', () => {
    const spec = networkSpec([8, 16]);
    const weights = initialWeights(spec, 11);
    const tensors = new Map(tensorsOf(spec, weights).map((tensor) => [tensor.name, tensor]));
    assert.deepEqual(weightsOf(spec, tensors, 'the model'), weights);
  });

  it('differ with the seed', () => {
    const spec = networkSpec([8, 16]);
    assert.deepEqual(initialWeights(spec, 1), initialWeights(spec, 1));
    assert.notDeepEqual(initialWeights(spec, 1), initialWeights(spec, 2));
  });

  it('are refused with every fault: missing, misshapen, not finite, unknown', () => {
    const spec = networkSpec([8, 16]);
    const tensors = new Map(tensorsOf(spec, initialWeights(spec, 1)).map((tensor) => [tensor.name, tensor]));
    tensors.delete('head.bias');
    tensors.set('head.weight', { name: 'head.weight', dtype: 'F32', shape: [4], data: new Float32Array(4) });
    const scale = tensors.get('encoder.0.0.scale')!;
    tensors.set(scale.name, { ...scale, data: new Float32Array(8).fill(Number.NaN) });
    tensors.set('extra', { name: 'extra', dtype: 'F32', shape: [1], data: new Float32Array(1) });
    assert.throws(
      () => weightsOf(spec, tensors, 'the model'),
      (error: unknown) => {
        const paths = error instanceof ClaraError ? error.faults.map(({ path }) => path) : [];
        assert.deepEqual(paths.sort(), ['encoder.0.0.scale', 'extra', 'head.bias', 'head.weight']);
        return true;
      },
    );
  });
});
