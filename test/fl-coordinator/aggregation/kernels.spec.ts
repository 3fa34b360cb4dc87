import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { PACKAGE_ROOT } from '../../../base/own-program';
import type { Combiner } from '../../../federation/strategy';
import { bfloat16OfFloat32, halfOfFloat32 } from '../../../federation/tensors/dtype';
import { BlockKernels } from '../../../fl-coordinator/aggregation/block-kernels';
import { BlockMemory } from '../../../fl-coordinator/aggregation/block-memory';
import { type Combination, median, weightedMean } from '../../../fl-coordinator/aggregation/combination';
import { scratchBytes } from '../../../fl-coordinator/aggregation/combiners';
import { partialNetwork, sortingNetwork } from '../../../fl-coordinator/aggregation/sorting-network';
import { buildKernel } from '../../../scripts/build-kernels';

const kernelsFor = (combination: Combination) => {
  const memory = new BlockMemory(combination.contributors.length, 1024);
  const kernels = new BlockKernels(memory, {
    combination,
    optimiser: { kind: 'replace' },
    clipFactors: combination.contributors.map(() => 1),
  });
  return {
    column: memory.column.bind(memory),
    combine: kernels.combine.bind(kernels),
  };
};
const kernelsOf = (weights: readonly number[]) => kernelsFor(weightedMean(weights));

const COMBINERS: readonly Combiner[] = [
  { kind: 'weighted-mean' },
  { kind: 'median' },
  { kind: 'trimmed-mean', beta: 1 },
  { kind: 'geometric-median', smoothing: 1e-6 },
  { kind: 'krum', f: 1 },
  { kind: 'bulyan', f: 1 },
];

describe('aggregation kernels', () => {
  it('in the tree are what their source builds, byte for byte', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'clara-kernels-'));
    try {
      const target = path.join(folder, 'kernels.wasm');
      buildKernel('fl-coordinator/aggregation/kernels', target);
      const kept = await readFile(path.join(PACKAGE_ROOT, 'fl-coordinator/aggregation/kernels.wasm'));
      assert.ok(kept.equals(await readFile(target)), 'run `npm run kernels` and keep the result');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  for (const [dtype, infinity] of [
    ['F16', 0x7c00],
    ['BF16', 0x7f80],
  ] as const) {
    it(`widen and narrow every finite ${dtype} without loss`, () => {
      const kernels = kernelsOf([1]);
      const all = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits).filter((bits) => (bits & 0x7fff) < infinity);
      kernels.column(0, 0, dtype, all.length).set(new Uint8Array(all.buffer));
      const result = kernels.combine(0, dtype, all.length);
      assert.ok(result && Buffer.from(all.buffer).equals(result));
    });

    it(`see that ${dtype} infinity and NaN are not finite`, () => {
      for (const bits of [infinity, infinity | 0x8000, infinity + 1]) {
        const kernels = kernelsOf([1]);
        kernels.column(0, 0, dtype, 5).set(new Uint8Array(Uint16Array.of(0, bits, 0, 0, 0).buffer));
        assert.equal(kernels.combine(0, dtype, 5), undefined, bits.toString(16));
      }
    });

    it(`round the mean of two ${dtype} as the codec of tensors does, ties and subnormals included`, () => {
      const bits = fc.integer({ min: 0, max: infinity - 1 });
      fc.assert(
        fc.property(fc.array(fc.tuple(bits, bits, fc.boolean()), { minLength: 1, maxLength: 50 }), (pairs) => {
          const kernels = kernelsOf([1, 1]);
          const left = Uint16Array.from(pairs, ([a]) => a);
          const right = Uint16Array.from(pairs, ([, b, negative]) => (negative ? b | 0x8000 : b));
          kernels.column(1, 0, dtype, pairs.length).set(new Uint8Array(left.buffer));
          kernels.column(1, 1, dtype, pairs.length).set(new Uint8Array(right.buffer));
          const found = kernels.combine(1, dtype, pairs.length);
          const narrow = dtype === 'F16' ? halfOfFloat32 : bfloat16OfFloat32;
          const expected = Uint16Array.from(pairs, (_, i) =>
            narrow(Math.fround((numberOf(left[i]!, dtype) + numberOf(right[i]!, dtype)) / 2)),
          );
          assert.deepEqual(found && new Uint16Array(found.slice().buffer), expected);
        }),
      );
    });
  }

  it('keep the sign of zero in a mean, and give +0 as a zero median', () => {
    const mean = kernelsOf([2, 3]);
    const zero = new Uint8Array(Float32Array.of(-0).buffer);
    for (const i of [0, 1]) mean.column(0, i, 'F32', 1).set(zero);
    assert.deepEqual(Buffer.from(mean.combine(0, 'F32', 1)!), Buffer.from(zero));

    const middle = kernelsFor(median(1));
    middle.column(0, 0, 'F32', 1).set(zero);
    assert.deepEqual(Buffer.from(middle.combine(0, 'F32', 1)!), Buffer.alloc(4));
  });

  it('need little memory, whatever the number of contributors', () => {
    for (const combiner of COMBINERS) {
      for (const contributors of [1, 8, 64, 1000]) {
        const memory = new BlockMemory(contributors, scratchBytes(combiner, contributors));
        const bytes = memory.buffer.byteLength;
        assert.ok(bytes <= 50 << 20, `${combiner.kind} of ${contributors} contributors takes ${bytes} bytes`);
        assert.ok(memory.maxElements('F32') >= 1024);
      }
    }
  });
});

describe('sorting networks', () => {
  const run = (values: readonly number[], network: readonly (readonly [number, number])[]): number[] => {
    const result = [...values];
    for (const [low, high] of network) {
      const [a, b] = [result[low]!, result[high]!];
      result[low] = Math.min(a, b);
      result[high] = Math.max(a, b);
    }
    return result;
  };

  it('of every size to 12 sort all zero-one inputs, and so, by the zero-one principle, everything', () => {
    for (let size = 1; size <= 12; size++) {
      const network = sortingNetwork(size);
      for (let bits = 0; bits < 2 ** size; bits++) {
        const values = Array.from({ length: size }, (_, i) => (bits >> i) & 1);
        assert.deepEqual(run(values, network), [...values].sort(), `size ${size}, input ${bits.toString(2)}`);
      }
    }
  });

  it('of any size to 64 bring the wanted places to order, with no more comparators', () => {
    const sizes = fc.integer({ min: 1, max: 64 });
    fc.assert(
      fc.property(
        sizes.chain((size) => fc.array(fc.integer({ min: 0, max: 99 }), { minLength: size, maxLength: size })),
        fc.nat(),
        (values, trimmed) => {
          const low = trimmed % Math.ceil(values.length / 2);
          const up = values.length - 1 - low;
          const network = partialNetwork(values.length, low, up);
          const sorted = [...values].sort((a, b) => a - b);
          assert.deepEqual(run(values, network).slice(low, up + 1), sorted.slice(low, up + 1));
          assert.ok(network.length <= sortingNetwork(values.length).length);
        },
      ),
    );
    assert.ok(partialNetwork(16, 7, 8).length < sortingNetwork(16).length);
  });
});

/** The number that 16 bits mean, from the definitions of the formats. */
function numberOf(bits: number, dtype: 'F16' | 'BF16'): number {
  const [fractionBits, bias] = dtype === 'F16' ? [10, 15] : [7, 127];
  const sign = bits & 0x8000 ? -1 : 1;
  const fraction = (bits & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  const exponent = (bits & 0x7fff) >> fractionBits;
  return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias));
}
