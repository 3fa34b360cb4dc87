import assert from 'node:assert/strict';
import fc from 'fast-check';
import { hasCode } from '../../../base/errors';
import { type DecodeRequest, decode } from '../../../federation/encodings/decode';
import { type EncodeRequest, encode, residualAfter } from '../../../federation/encodings/encode';
import type { Encoding } from '../../../federation/encodings/encoding';
import { bytesOf, collected, fileOf, float32, floatsOf, inMemory, type SampleTensor } from './tensor-files';

const signal = new AbortController().signal;
const plain = (encoding: 'float32' | 'float16' | 'bfloat16', delta = false): Encoding => ({ encoding, delta });
const int8 = (rounding: 'nearest' | 'stochastic' = 'nearest', delta = false): Encoding => ({
  ...{ encoding: 'int8', delta, rounding },
});
const topK = (fraction: number) => ({ encoding: 'top-k', delta: true, fraction }) as const;

type Options = Partial<Omit<EncodeRequest, 'base' | 'residual' | 'source'>> & {
  readonly base?: Buffer;
  readonly residual?: Buffer | undefined;
};

function requestOf(file: Buffer, encoding: Encoding, options: Options): EncodeRequest {
  const { base, residual, ...rest } = options;
  return {
    ...{ encoding, source: inMemory(file), isKept: () => false, seed: 7, what: 'the update', signal, ...rest },
    ...{ base: base && inMemory(base), residual: residual && inMemory(residual) },
  };
}

const encoded = (file: Buffer, encoding: Encoding, options: Options = {}) =>
  collected(encode(requestOf(file, encoding, options)));

function decoded(file: Buffer, model: Buffer, encoding: Encoding, options: Options = {}): Promise<Buffer> {
  const { base, isKept = () => false } = options;
  const request: DecodeRequest = {
    ...{ encoding, encoded: inMemory(file), model: inMemory(model).layout, isKept, what: 'the update', signal },
    base: base && inMemory(base),
  };
  return collected(decode(request));
}

async function roundTrip(file: Buffer, encoding: Encoding, options: Options = {}): Promise<Buffer> {
  return decoded(await encoded(file, encoding, options), file, encoding, options);
}

async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    assert.ok(hasCode(error, 'invalid-input') && error.faults.length > 0, String(error));
    return error.message;
  }
  throw new Error('nothing was refused');
}

/** Uniform over bit patterns, so of all magnitudes, subnormals included; finite. */
const anyFloat = fc
  .integer({ min: 0, max: 0xffffffff })
  .map((bits) => new Float32Array(Uint32Array.of(bits).buffer)[0]!)
  .filter((value) => Number.isFinite(value));
const floats = (of: fc.Arbitrary<number> = anyFloat) => fc.array(of, { maxLength: 700 });
const small = fc.double({ min: -60_000, max: 60_000, noNaN: true }).map(Math.fround);
const ALL: readonly Encoding[] = [plain('float32'), plain('float16'), plain('bfloat16'), int8(), int8('stochastic')];

describe('wire encodings', () => {
  it('float32 gives any file back to the byte', async () => {
    const file = fileOf([float32('w', [1.1, -0, 1e-45, 3.4e38]), float32('empty', [], [0, 3])], { made: 'by hand' });
    assert.deepEqual(await roundTrip(file, plain('float32')), file);
  });

  for (const [name, digits, smallest, numbers] of [
    ['float16', 11, 2 ** -24, small],
    ['bfloat16', 8, 2 ** -133, anyFloat.filter((value) => Math.abs(value) < 3.38e38)],
  ] as const) {
    it(`${name} is half a step away at most, of ${digits} binary digits or of its smallest number`, () =>
      fc.assert(
        fc.asyncProperty(floats(numbers), async (values) => {
          const back = floatsOf(await roundTrip(fileOf([float32('w', values)]), plain(name)), 'w');
          values.forEach((value, i) => {
            const bound = Math.max(Math.abs(value) * 2 ** -digits, smallest / 2);
            assert.ok(Math.abs(back[i]! - value) <= bound, `${value} became ${back[i]}`);
          });
        }),
      ));

    it(`${name} keeps what it can represent, the sign of zero included`, async () => {
      const values = [0, -0, 1, -1.5, 0.75, 2 ** -14, name === 'float16' ? 2 ** -24 : 2 ** -133, 240];
      const file = fileOf([float32('w', values)]);
      assert.deepEqual(await roundTrip(file, plain(name)), file);
    });
  }

  it('refuses what float16 cannot hold, with the tensor, the element and the way out', async () => {
    assert.ok(await roundTrip(fileOf([float32('w', [65519.99])]), plain('float16')), 'rounds to 65504');
    const file = fileOf([float32('good', [1]), float32('w', [0, 65520]), float32('v', [-1e30])]);
    const message = await refusal(encoded(file, plain('float16')));
    assert.match(message, /2 faults: w: element 1 is beyond the 65504 of float16; choose bfloat16/);
    assert.match(message, /v: element 0/);
  });

  it('int8 is half a scale away at most; the scale is the largest of 256 numbers by 127', () =>
    fc.assert(
      fc.asyncProperty(floats(), async (values) => {
        const back = floatsOf(await roundTrip(fileOf([float32('w', values)]), int8()), 'w');
        values.forEach((value, i) => {
          const begin = i - (i % 256);
          const largest = Math.max(...values.slice(begin, begin + 256).map(Math.abs));
          // The scale is rounded up to float32, and so is what is read back.
          const bound = (largest / 254) * (1 + 2 ** -20) + 2 ** -149;
          assert.ok(Math.abs(back[i]! - value) <= bound, `${value} of ${largest} became ${back[i]}`);
        });
      }),
    ));

  it('int8 keeps multiples of a scale, subnormal ones too', async () => {
    for (const scale of [0.5, 3 * 2 ** -20, 2 ** -149, 2 ** 118]) {
      const file = fileOf([
        float32(
          'w',
          Array.from({ length: 255 }, (_, i) => (i - 127) * scale),
        ),
      ]);
      assert.deepEqual(await roundTrip(file, int8()), file, String(scale));
      assert.deepEqual(await roundTrip(file, int8('stochastic')), file, String(scale));
    }
  });

  it('int8 reads the largest float32 back as a finite number', async () => {
    const largest = (2 - 2 ** -23) * 2 ** 127;
    const [back] = floatsOf(await roundTrip(fileOf([float32('w', [largest])]), int8()), 'w');
    assert.ok(Number.isFinite(back) && back! > largest * (1 - 2 ** -20), String(back));
  });

  it('int8 rounds ties to even', async () => {
    const file = fileOf([float32('w', [127, 0.5, 1.5, 2.5, -0.5, -1.5])]);
    assert.deepEqual([...floatsOf(await roundTrip(file, int8()), 'w')], [127, 0, 2, 2, 0, -2]);
  });

  it('int8 rounded by chance has the right mean, is the same for a seed and another for another', async () => {
    const file = fileOf([
      float32('w', [127, ...Array.from({ length: 60_000 }, (_, i) => (i % 255 === 254 ? 127 : 0.25))]),
    ]);
    const once = await encoded(file, int8('stochastic'));
    assert.deepEqual(await encoded(file, int8('stochastic')), once);
    assert.notDeepEqual(await encoded(file, int8('stochastic'), { seed: 8 }), once);
    const quarters = [...floatsOf(await decoded(once, file, int8('stochastic')), 'w')].filter((x) => x < 100);
    assert.ok(quarters.every((value) => value === 0 || value === 1));
    // Of 59,764 draws the standard deviation of the mean is 0.0018.
    const mean = quarters.reduce<number>((sum, value) => sum + value, 0) / quarters.length;
    assert.ok(Math.abs(mean - 0.25) < 0.01, String(mean));
  });

  it('a delta is the difference to the base, and comes back within float32 rounding', () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(small, small), { maxLength: 300 }), async (pairs) => {
        const file = fileOf([
          float32(
            'w',
            pairs.map(([value]) => value),
          ),
        ]);
        const base = fileOf([
          float32(
            'w',
            pairs.map(([, start]) => start),
          ),
        ]);
        for (const encoding of [plain('float32', true), int8('nearest', true)]) {
          const back = floatsOf(await roundTrip(file, encoding, { base }), 'w');
          pairs.forEach(([value, start], i) => {
            const of = pairs.slice(i - (i % 256), i - (i % 256) + 256);
            const widest = Math.max(...of.map(([x, y]) => Math.abs(x - y)));
            const step = encoding.encoding === 'int8' ? (widest / 254) * (1 + 2 ** -20) : 0;
            const bound = step + (Math.abs(value) + 2 * Math.abs(start)) * 2 ** -22 + 2 ** -140;
            assert.ok(Math.abs(back[i]! - value) <= bound, `${value} from ${start} became ${back[i]}`);
          });
        }
      }),
    ));

  it('a delta of nothing gives the base back to the byte', async () => {
    const base = fileOf([float32('w', [1.1, 3e-40, -5, 1e30])]);
    for (const encoding of [plain('float32', true), plain('float16', true), int8('stochastic', true), topK(0.5)]) {
      assert.deepEqual(await roundTrip(base, encoding, { base }), base);
    }
  });

  it('refuses a delta that float32 cannot hold', async () => {
    const file = fileOf([float32('w', [0, 3e38])]);
    const base = fileOf([float32('w', [0, -3e38])]);
    for (const encoding of [plain('float32', true), plain('bfloat16', true), int8('nearest', true), topK(0.5)]) {
      assert.match(await refusal(encoded(file, encoding, { base })), /the update: w: element 1 /);
    }
  });

  it('excluded tensors and those without fractions travel as they are', async () => {
    const counter: SampleTensor = {
      name: 'steps',
      dtype: 'I64',
      bytes: new Uint8Array(BigInt64Array.of(7n, -1n).buffer),
    };
    const file = fileOf([float32('head.w', [1 / 3]), counter, float32('w', [1 / 3])]);
    const base = fileOf([float32('head.w', [9]), { ...counter, bytes: new Uint8Array(16) }, float32('w', [1 / 3])]);
    const isKept = (name: string) => name.startsWith('head');
    for (const encoding of [...ALL, plain('float16', true), int8('nearest', true), topK(0.1)]) {
      const options = { base, isKept };
      const back = await roundTrip(file, encoding, options);
      for (const name of ['head.w', 'steps']) assert.deepEqual(bytesOf(back, name), bytesOf(file, name));
    }
  });

  it('models of other float types come back in their type', async () => {
    const f64: SampleTensor = { name: 'd', dtype: 'F64', bytes: new Uint8Array(Float64Array.of(0.1, -2).buffer) };
    const half: SampleTensor = {
      name: 'h',
      dtype: 'F16',
      bytes: new Uint8Array(Uint16Array.of(0x3c00, 0x8001).buffer),
    };
    const brain: SampleTensor = {
      name: 'b',
      dtype: 'BF16',
      bytes: new Uint8Array(Uint16Array.of(0x3f80, 0x4049).buffer),
    };
    const file = fileOf([f64, half, brain]);
    assert.deepEqual(await roundTrip(file, plain('float32')), file);
    for (const name of ['float16', 'bfloat16'] as const) {
      const sent = await encoded(file, plain(name));
      assert.deepEqual(
        inMemory(sent).layout.tensors.map(({ dtype }) => dtype),
        [name === 'float16' ? 'F16' : 'BF16', 'F16', 'BF16'],
      );
      const back = await decoded(sent, file, plain(name));
      for (const kept of ['h', 'b']) assert.deepEqual(bytesOf(back, kept), bytesOf(file, kept));
      const [tenth] = new Float64Array(Uint8Array.from(bytesOf(back, 'd')).buffer);
      assert.ok(Math.abs(tenth! - 0.1) < 0.001);
    }
    for (const encoding of [int8(), plain('float32', true), topK(0.5)]) {
      const back = await roundTrip(file, encoding, { base: file });
      assert.deepEqual(inMemory(back).layout, inMemory(file).layout);
      // 1 and -2^-24, by a scale of 1 / 127: the small one is lost in int8.
      assert.equal(bytesOf(back, 'h').readUInt16LE(0), 0x3c00);
    }
  });

  describe('top-k', () => {
    /** The definition, by sorting. */
    function byHand(acc: readonly number[], k: number): Set<number> {
      const order = acc.map((value, i) => [Math.abs(value), i] as const).sort((a, b) => b[0] - a[0] || a[1] - b[1]);
      return new Set(order.slice(0, k).map(([, i]) => i));
    }

    it('sends the largest changes, the first of equal ones, and keeps the others', () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.oneof(anyFloat, fc.constantFrom(0, -0, 1, -1)), { minLength: 1, maxLength: 400 }),
          fc.double({ min: 0.001, max: 0.5, noNaN: true }),
          async (values, fraction) => {
            const file = fileOf([float32('w', values)]);
            const base = fileOf([
              float32(
                'w',
                values.map(() => 0),
              ),
            ]);
            const sent = await encoded(file, topK(fraction), { base });
            const kept = byHand(values, Math.ceil(values.length * fraction));
            const back = floatsOf(await decoded(sent, file, topK(fraction), { base }), 'w');
            const rest = await collected(
              residualAfter({ ...requestOf(file, topK(fraction), { base }), encoding: topK(fraction) }),
            );
            values.forEach((value, i) => {
              assert.equal(back[i], kept.has(i) ? value + 0 : 0, `element ${i}`);
              assert.equal(floatsOf(rest, 'w')[i]! + 0, kept.has(i) ? 0 : value + 0, `residual ${i}`);
            });
          },
        ),
      ));

    it('works block by block in tensors of more than 65,536 elements', async () => {
      const length = 65_536 + 100;
      // The largest changes of the whole tensor all lie in its second block, which sends its own share only.
      const values = Float32Array.from({ length }, (_, i) => (i < 65_536 ? 1 + (i % 1000) : 5000 + i));
      const file = fileOf([float32('w', values)]);
      const base = fileOf([float32('w', new Float32Array(length))]);
      const sent = await encoded(file, topK(0.01), { base });
      assert.equal(floatsOf(sent, 'w').length, 656 + 1);
      const back = floatsOf(await decoded(sent, file, topK(0.01), { base }), 'w');
      assert.equal(back.filter((value) => value !== 0).length, 656 + 1);
      assert.equal(back[length - 1], 5000 + length - 1);
      assert.equal(back[999], 1000);
    });

    it('with its residuals sends the whole change in the end', () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 20, maxLength: 20 }), {
            minLength: 1,
            maxLength: 8,
          }),
          async (rounds) => {
            const base = fileOf([float32('w', new Float32Array(20))]);
            const sum = new Float64Array(20);
            const arrived = new Float64Array(20);
            let residual: Buffer | undefined;
            for (const change of rounds) {
              const file = fileOf([float32('w', change)]);
              const options = { base, residual };
              const back = floatsOf(await roundTrip(file, topK(0.1), options), 'w');
              residual = await collected(
                residualAfter({ ...requestOf(file, topK(0.1), options), encoding: topK(0.1) }),
              );
              for (let i = 0; i < 20; i++) {
                sum[i]! += change[i]!;
                arrived[i]! += back[i]!;
              }
            }
            // Whole numbers: float32 rounds none of them.
            const left = floatsOf(residual!, 'w');
            assert.deepEqual(
              [...arrived].map((value, i) => value + left[i]!),
              [...sum],
            );
          },
        ),
      ));

    it('refuses the residual of another model', async () => {
      const file = fileOf([float32('w', [1, 2])]);
      const residual = fileOf([float32('v', [1, 2])]);
      await assert.rejects(encoded(file, topK(0.5), { base: file, residual }), /left to send belongs to another model/);
    });
  });

  describe('of bytes that are no such encoding', () => {
    const model = fileOf([
      float32(
        'w',
        Array.from({ length: 600 }, (_, i) => i - 300),
      ),
    ]);
    const changed = (file: Buffer, name: string, change: (bytes: Buffer) => unknown): Buffer => {
      const copy = Buffer.from(file);
      const { layout } = inMemory(copy);
      const { begin, end } = layout.tensors.find((tensor) => tensor.name === name)!;
      change(copy.subarray(layout.headerBytes.length + begin, layout.headerBytes.length + end));
      return copy;
    };

    it('a scale that is no scale is refused by name', async () => {
      for (const scale of [Number.NaN, Number.POSITIVE_INFINITY, -1]) {
        const broken = changed(await encoded(model, int8()), 'w#scales', (bytes) => bytes.writeFloatLE(scale, 4));
        assert.match(await refusal(decoded(broken, model, int8())), /w#scales \(scale 1 is (NaN|Infinity|-1)\)/);
      }
    });

    it('a number that is too large once it is decoded is refused by the name of its tensor', async () => {
      const large = changed(await encoded(model, int8()), 'w#scales', (bytes) => bytes.writeFloatLE(3.4e38, 0));
      assert.match(
        await refusal(decoded(large, model, int8())),
        /the update: w: element 0, read from w and w#scales, is not finite/,
      );
      const base = fileOf([float32('w', new Float32Array(600).fill(3e38))]);
      const delta = await encoded(base, plain('float32', true), { base });
      const sum = changed(delta, 'w', (bytes) => bytes.writeFloatLE(3e38, 8));
      assert.match(await refusal(decoded(sum, base, plain('float32', true), { base })), /w: element 2/);
    });

    it('indices that repeat, fall or leave their block are refused by name', async () => {
      const base = fileOf([float32('w', new Float32Array(600))]);
      const sent = await encoded(model, topK(0.01), { base });
      for (const indices of [
        [5, 5],
        [7, 6],
        [5, 600],
      ]) {
        const broken = changed(sent, 'w#indices', (bytes) =>
          bytes.set(new Uint8Array(Uint16Array.from(indices).buffer)),
        );
        assert.match(
          await refusal(decoded(broken, model, topK(0.01), { base })),
          /w#indices \(index 1 is \d+ after \d+\)/,
        );
      }
    });

    it('another model, another encoding and other settings are refused', async () => {
      const other = fileOf([float32('v', [1])]);
      assert.match(
        await refusal(decoded(await encoded(other, int8()), model, int8())),
        /w: is missing.*v: is unknown/s,
      );
      assert.match(
        await refusal(decoded(await encoded(model, plain('float16')), model, plain('bfloat16'))),
        /dtype F16/,
      );
      const delta = await encoded(model, plain('float16', true), { base: model });
      assert.match(await refusal(decoded(delta, model, plain('float16'))), /header: is not the one/);
    });

    it('no bytes at all make it do anything but refuse or decode to finite numbers', () =>
      fc.assert(
        fc.asyncProperty(fc.uint8Array({ minLength: 40, maxLength: 40 }), async (noise) => {
          const base = fileOf([float32('w', [1, -2, 3])]);
          for (const encoding of [int8(), plain('float16'), plain('bfloat16', true), topK(0.5)]) {
            const sent = await encoded(base, encoding, { base });
            const { layout } = inMemory(sent);
            sent.set(noise.subarray(0, layout.dataBytes), layout.headerBytes.length);
            const back = await decoded(sent, base, encoding, { base }).catch((error: unknown) => {
              assert.ok(hasCode(error, 'invalid-input'), String(error));
            });
            if (back) assert.ok(floatsOf(back, 'w').every((value) => Number.isFinite(value)));
          }
        }),
      ));
  });

  it('reads and writes in pieces, whatever the size of a tensor', async () => {
    const file = fileOf([float32('w', new Float32Array(1 << 20).fill(1))]);
    for (const encoding of [int8('nearest', true), topK(0.1)]) {
      const request = requestOf(file, encoding, { base: file });
      let largest = 0;
      for await (const piece of encode(request)) largest = Math.max(largest, piece.length);
      const { reads } = request.source as ReturnType<typeof inMemory>;
      assert.ok(largest <= 1 << 18 && Math.max(...reads) <= 1 << 18, `${largest} and ${Math.max(...reads)} bytes`);
    }
  });

  it('a name that a part would take is refused', async () => {
    const file = fileOf([float32('w', [1]), float32('w#scales', [1])]);
    assert.match(await refusal(encoded(file, int8())), /w#scales: appears twice/);
  });
});
