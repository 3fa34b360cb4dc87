import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { PACKAGE_ROOT } from '../../base/own-program';
import { seededRandom } from '../../base/random';
import { buildKernel } from '../../scripts/build-kernels';
import { KernelMemory, type Pointer } from '../../training/engine/kernels';
import * as oracle from './kernels-oracle';

/** Puts arrays into a fresh kernel memory and reads them back. */
class Bench {
  readonly memory = new KernelMemory();
  readonly kernels = this.memory.kernels;
  readonly #random: ReturnType<typeof seededRandom>;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  place(values: ArrayLike<number>): Pointer {
    const pointer = this.memory.reserve(values.length);
    this.memory.floats(pointer, values.length).set(values);
    return pointer;
  }

  /** Room that starts as `fill`, so that a kernel that writes too little shows. */
  room(count: number, fill = Number.NaN): Pointer {
    return this.place(new Float32Array(count).fill(fill));
  }

  noise(count: number): Float32Array {
    return Float32Array.from({ length: count }, () => this.#random.normal());
  }

  read(pointer: Pointer, count: number): number[] {
    return Array.from(this.memory.floats(pointer, count));
  }
}

function assertClose(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  assert.equal(actual.length, expected.length);
  const scale = Math.max(1, ...expected.map(Math.abs));
  for (const [index, value] of actual.entries()) {
    const error = Math.abs(value - expected[index]);
    assert.ok(error <= tolerance * scale, `element ${index}: ${value}, expected ${expected[index]}`);
  }
}

const side = fc.integer({ min: 1, max: 6 });
const gridArbitrary = fc.record({ depth: side, height: side, width: fc.integer({ min: 1, max: 9 }) });
const evenGrid = fc.record({
  depth: fc.constantFrom(2, 4),
  height: fc.constantFrom(2, 6),
  width: fc.constantFrom(2, 4, 6),
});
const channelsArbitrary = fc.constantFrom(8, 16, 24);
const seedArbitrary = fc.nat(1e6);
const RUNS = { numRuns: 12 };

const voxelsOf = ({ depth, height, width }: oracle.Grid): number => depth * height * width;
const sizeOf = ({ depth, height, width }: oracle.Grid): [number, number, number] => [depth, height, width];
const paddedOf = ({ depth, height, width }: oracle.Grid): number => (depth + 2) * (height + 2) * (width + 2);

describe('training kernels against plain TypeScript', () => {
  it('convolve, from one channel and from many', () => {
    const inputs = fc.constantFrom(1, 8, 16);
    fc.assert(
      fc.property(gridArbitrary, inputs, channelsArbitrary, seedArbitrary, (grid, inC, outC, seed) => {
        const bench = new Bench(seed);
        const [input, filter] = [bench.noise(voxelsOf(grid) * inC), bench.noise(27 * inC * outC)];
        const [padded, output] = [bench.room(paddedOf(grid) * inC), bench.room(voxelsOf(grid) * outC)];
        bench.kernels.pad(bench.place(input), padded, ...sizeOf(grid), inC);
        bench.kernels.convolve(padded, bench.place(filter), output, ...sizeOf(grid), inC, outC);
        const expected = oracle.convolution(input, filter, grid, inC, outC);
        assertClose(bench.read(output, expected.length), expected, 1e-5);
      }),
      RUNS,
    );
  });

  it('give the gradient of a convolution by its input: turned filter, padded gradient', () => {
    fc.assert(
      fc.property(gridArbitrary, channelsArbitrary, channelsArbitrary, seedArbitrary, (grid, inC, outC, seed) => {
        const bench = new Bench(seed);
        const [gradient, filter] = [bench.noise(voxelsOf(grid) * outC), bench.noise(27 * inC * outC)];
        const [padded, turned] = [bench.room(paddedOf(grid) * outC), bench.room(27 * inC * outC)];
        const output = bench.room(voxelsOf(grid) * inC);
        bench.kernels.turnFilter(bench.place(filter), turned, inC, outC);
        bench.kernels.pad(bench.place(gradient), padded, ...sizeOf(grid), outC);
        bench.kernels.convolve(padded, turned, output, ...sizeOf(grid), outC, inC);
        const expected = oracle.convolutionInputGradient(gradient, filter, grid, inC, outC);
        assertClose(bench.read(output, expected.length), expected, 1e-5);
      }),
      RUNS,
    );
  });

  it('add the gradient of a convolution by its filter to what is there', () => {
    const inputs = fc.constantFrom(1, 8, 16);
    fc.assert(
      fc.property(gridArbitrary, inputs, channelsArbitrary, seedArbitrary, (grid, inC, outC, seed) => {
        const bench = new Bench(seed);
        const [input, gradient] = [bench.noise(voxelsOf(grid) * inC), bench.noise(voxelsOf(grid) * outC)];
        const padded = bench.room(paddedOf(grid) * inC);
        const target = bench.room(27 * inC * outC, 2);
        bench.kernels.pad(bench.place(input), padded, ...sizeOf(grid), inC);
        bench.kernels.convolveFilterGradient(padded, bench.place(gradient), target, ...sizeOf(grid), inC, outC);
        const expected = oracle.convolutionFilterGradient(input, gradient, grid, inC, outC).map((value) => value + 2);
        assertClose(bench.read(target, expected.length), expected, 1e-5);
      }),
      RUNS,
    );
  });

  it('normalise, activate, and differentiate both', () => {
    const voxelCounts = fc.constantFrom(2, 5, 300);
    fc.assert(
      fc.property(voxelCounts, seedArbitrary, (voxels, seed) => {
        const channels = 8;
        const slope = 0.01;
        const bench = new Bench(seed);
        const [values, scale, shift] = [bench.noise(voxels * channels), bench.noise(channels), bench.noise(channels)];
        const gradient = bench.noise(voxels * channels);
        const [x, y, deviation] = [bench.place(values), bench.room(values.length), bench.room(channels)];
        const [scaleAt, shiftAt] = [bench.place(scale), bench.place(shift)];
        bench.kernels.normalise(x, y, scaleAt, shiftAt, deviation, voxels, channels, slope);
        const expected = oracle.normalisation(values, scale, shift, channels, slope);
        assertClose(bench.read(y, expected.length), expected, 1e-5);
        if (voxels > 5) return;

        const [g, dScale, dShift] = [bench.place(gradient), bench.room(channels, 0), bench.room(channels, 0)];
        bench.kernels.normaliseGradient(x, y, g, scaleAt, deviation, dScale, dShift, voxels, channels, slope);
        const objective = (v: ArrayLike<number>, a: ArrayLike<number>, b: ArrayLike<number>): number =>
          oracle.normalisation(v, a, b, channels, slope).reduce((sum, value, i) => sum + value * gradient[i], 0);
        // Numeric derivatives are wrong across the kink of the leaky ReLU; keep clear of it.
        if (expected.some((value) => Math.abs(value) < 1e-3)) return;
        const step = 1e-6;
        const byValues = oracle.numericGradient((v) => objective(v, scale, shift), values, step);
        const byScale = oracle.numericGradient((a) => objective(values, a, shift), scale, step);
        const byShift = oracle.numericGradient((b) => objective(values, scale, b), shift, step);
        assertClose(bench.read(g, byValues.length), byValues, 1e-3);
        assertClose(bench.read(dScale, channels), byScale, 1e-4);
        assertClose(bench.read(dShift, channels), byShift, 1e-4);
      }),
      { numRuns: 20 },
    );
  });

  it('pool maxima, and send a gradient to the first of equal maxima only', () => {
    fc.assert(
      fc.property(evenGrid, channelsArbitrary, seedArbitrary, (grid, channels, seed) => {
        const bench = new Bench(seed);
        // Few different values, so that ties are common.
        const input = bench.noise(voxelsOf(grid) * channels).map((value) => Math.round(value));
        const expected = oracle.maximumPooling(input, grid, channels);
        const gradient = bench.noise(expected.length);
        const [x, y] = [bench.place(input), bench.room(expected.length)];
        bench.kernels.maxPool(x, y, ...sizeOf(grid), channels);
        assertClose(bench.read(y, expected.length), expected, 0);
        const target = bench.room(input.length, 3);
        bench.kernels.maxPoolGradient(x, y, bench.place(gradient), target, ...sizeOf(grid), channels);
        const back = oracle.maximumPoolingGradient(input, gradient, grid, channels).map((value) => value + 3);
        assertClose(bench.read(target, back.length), back, 1e-6);
      }),
      RUNS,
    );
  });

  it('double a grid, and sum its gradients', () => {
    fc.assert(
      fc.property(gridArbitrary, channelsArbitrary, seedArbitrary, (grid, channels, seed) => {
        const bench = new Bench(seed);
        const input = bench.noise(voxelsOf(grid) * channels);
        const gradient = bench.noise(8 * input.length);
        const [output, back] = [bench.room(8 * input.length), bench.room(input.length)];
        bench.kernels.doubleGrid(bench.place(input), output, ...sizeOf(grid), channels);
        assert.deepEqual(bench.read(output, 8 * input.length), oracle.doubling(input, grid, channels));
        bench.kernels.doubleGridGradient(bench.place(gradient), back, ...sizeOf(grid), channels);
        assertClose(bench.read(back, input.length), oracle.doublingGradient(gradient, grid, channels), 1e-6);
      }),
      RUNS,
    );
  });

  it('join channels inside a border of zeros, and split them again', () => {
    fc.assert(
      fc.property(gridArbitrary, channelsArbitrary, channelsArbitrary, seedArbitrary, (grid, leftC, rightC, seed) => {
        const bench = new Bench(seed);
        const voxels = voxelsOf(grid);
        const [left, right] = [bench.noise(voxels * leftC), bench.noise(voxels * rightC)];
        const channels = leftC + rightC;
        const padded = bench.room(paddedOf(grid) * channels);
        bench.kernels.padJoined(bench.place(left), bench.place(right), padded, ...sizeOf(grid), leftC, rightC);
        const outer = { depth: grid.depth + 2, height: grid.height + 2, width: grid.width + 2 };
        const [l, r] = [oracle.reader(left, grid, leftC), oracle.reader(right, grid, rightC)];
        const found = oracle.reader(bench.read(padded, paddedOf(grid) * channels), outer, channels);
        const joined: number[] = [];
        for (let d = -1; d <= grid.depth; d++)
          for (let h = -1; h <= grid.height; h++)
            for (let w = -1; w <= grid.width; w++)
              for (let c = 0; c < channels; c++) {
                const expected = c < leftC ? l(d, h, w, c) : r(d, h, w, c - leftC);
                assert.equal(found(d + 1, h + 1, w + 1, c), expected);
                const inside = d >= 0 && h >= 0 && w >= 0 && d < grid.depth && h < grid.height && w < grid.width;
                if (inside) joined.push(expected);
              }
        const [backLeft, backRight] = [bench.room(left.length), bench.room(right.length)];
        bench.kernels.splitJoined(bench.place(joined), backLeft, backRight, voxels, leftC, rightC);
        assert.deepEqual(bench.read(backLeft, left.length), Array.from(left));
        assert.deepEqual(bench.read(backRight, right.length), Array.from(right));
      }),
      RUNS,
    );
  });

  it('compute logits and their gradients', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), channelsArbitrary, seedArbitrary, (voxels, channels, seed) => {
        const bench = new Bench(seed);
        const [features, weight, gradient] = [
          bench.noise(voxels * channels),
          bench.noise(channels),
          bench.noise(voxels),
        ];
        const [x, w, logits] = [bench.place(features), bench.place(weight), bench.room(voxels)];
        bench.kernels.head(x, w, 0.5, logits, voxels, channels);
        const rows = Array.from({ length: voxels }, (_, v) => features.subarray(v * channels, (v + 1) * channels));
        const expected = rows.map((row) => row.reduce((sum, value, c) => sum + value * weight[c], 0.5));
        assertClose(bench.read(logits, voxels), expected, 1e-5);
        const [back, dWeight] = [bench.room(features.length), bench.room(channels, 1)];
        bench.kernels.headGradient(x, w, bench.place(gradient), back, dWeight, voxels, channels);
        const byFeature = rows.flatMap((row, v) => Array.from(row, (_, c) => gradient[v] * weight[c]));
        const byWeight = Array.from(weight, (_, c) => rows.reduce((sum, row, v) => sum + row[c] * gradient[v], 1));
        assertClose(bench.read(back, byFeature.length), byFeature, 1e-6);
        assertClose(bench.read(dWeight, channels), byWeight, 1e-5);
      }),
      RUNS,
    );
  });

  it('step as Adam does', () => {
    const bench = new Bench(3);
    const count = 12;
    const start = bench.noise(count);
    const [p, m, v] = [bench.place(start), bench.room(count, 0), bench.room(count, 0)];
    let states = Array.from(start, (parameter) => ({ parameter, first: 0, second: 0 }));
    for (let step = 1; step <= 5; step++) {
      const gradient = bench.noise(count);
      const g = bench.place(gradient);
      bench.kernels.adam(p, g, m, v, count, 0.01, 0.9, 0.999, 1e-8, 1 - 0.9 ** step, 1 - 0.999 ** step);
      states = states.map((state, index) => oracle.adamStep(state, gradient[index], step, 0.01));
    }
    assertClose(
      bench.read(p, count),
      states.map(({ parameter }) => parameter),
      1e-5,
    );
  });
});

describe('the built kernel module', () => {
  it('is what its source builds to, byte for byte', function () {
    this.timeout(120_000);
    const folder = mkdtempSync(path.join(tmpdir(), 'training-kernels-'));
    try {
      const rebuilt = path.join(folder, 'kernels.wasm');
      buildKernel('training/engine/kernels', rebuilt);
      const kept = readFileSync(path.join(PACKAGE_ROOT, 'training', 'engine', 'kernels.wasm'));
      assert.ok(readFileSync(rebuilt).equals(kept), 'kernels.wasm is not built from kernels.as.ts: npm run kernels');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
