import assert from 'node:assert/strict';
import { crc32, deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { encodeGreyPng, encodePng } from '../../imaging/png';
import { decodePng, isPng } from '../../imaging/png-reader';

const SAMPLES = { grey: [0, 1], rgb: [2, 3], 'grey and alpha': [4, 2], rgba: [6, 4] } as const;

interface Picture {
  readonly width: number;
  readonly height: number;
  readonly colour: keyof typeof SAMPLES;
  readonly depth: 8 | 16;
  /** Of each row, 0 to 4; used again from the first when there are more rows. */
  readonly filters: readonly number[];
  /** Samples row by row, pixel by pixel. */
  readonly samples: readonly number[];
}

/** A PNG file by the letter of the specification (ISO/IEC 15948, sections 5 and 9), with the filters that are asked for. */
function pngBytes({ width, height, colour, depth, filters, samples }: Picture, change: Partial<Header> = {}): Buffer {
  const [type, perPixel] = SAMPLES[colour];
  const size = depth / 8;
  const step = perPixel * size;
  const raw = Buffer.alloc(samples.length * size);
  for (const [at, sample] of samples.entries()) raw.writeUIntBE(sample, at * size, size);
  const stride = width * step;
  const byte = (x: number, y: number): number => (x < 0 || y < 0 ? 0 : raw[y * stride + x]);
  const rows = Array.from({ length: height }, (_, y) => {
    const filter = filters[y % filters.length];
    const predict = (x: number): number => {
      const [a, b, c] = [byte(x - step, y), byte(x, y - 1), x < step ? 0 : byte(x - step, y - 1)];
      const p = a + b - c;
      const nearest = [a, b, c].sort((u, v) => Math.abs(p - u) - Math.abs(p - v))[0]; // stable: a before b before c
      return [0, a, b, Math.floor((a + b) / 2), nearest][filter];
    };
    return Buffer.from([filter, ...Array.from({ length: stride }, (_, x) => (byte(x, y) - predict(x)) & 0xff)]);
  });
  const header: Header = { width, height, depth, type, interlace: 0, ...change };
  const ihdr = Buffer.alloc(13);
  ihdr.writeUInt32BE(header.width, 0);
  ihdr.writeUInt32BE(header.height, 4);
  ihdr.set([header.depth, header.type, 0, 0, header.interlace], 8);
  const packed = deflateSync(Buffer.concat(rows));
  const half = packed.length >> 1;
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', ihdr),
    chunk('tEXt', Buffer.from('Author\0somebody')),
    chunk('IDAT', packed.subarray(0, half)),
    chunk('IDAT', packed.subarray(half)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

interface Header {
  readonly width: number;
  readonly height: number;
  readonly depth: number;
  readonly type: number;
  readonly interlace: number;
}

function chunk(type: string, body: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), body]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(body.length);
  sum.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, sum]);
}

const pictures: fc.Arbitrary<Picture> = fc
  .record({
    width: fc.integer({ min: 1, max: 9 }),
    height: fc.integer({ min: 1, max: 7 }),
    colour: fc.constantFrom(...(Object.keys(SAMPLES) as Picture['colour'][])),
    depth: fc.constantFrom(8, 16) as fc.Arbitrary<8 | 16>,
    filters: fc.array(fc.nat(4), { minLength: 1, maxLength: 7 }),
  })
  .chain((picture) => {
    const count = picture.width * picture.height * SAMPLES[picture.colour][1];
    const samples = fc.array(fc.nat(2 ** picture.depth - 1), { minLength: count, maxLength: count });
    return samples.map((values) => ({ ...picture, samples: values }));
  });

describe('PNG reader', () => {
  it('reads grey and colour, 8 and 16 bits, whatever the filters of the rows', () => {
    fc.assert(
      fc.property(pictures, (picture) => {
        const { width, height, colour, depth, samples } = picture;
        const image = decodePng(pngBytes(picture), 'a picture');
        assert.deepEqual([image.width, image.height], [width, height]);
        assert.equal(image.data.BYTES_PER_ELEMENT, depth / 8);
        const perPixel = SAMPLES[colour][1];
        for (const [at, value] of image.data.entries()) {
          const [r, g, b] = samples.slice(at * perPixel);
          const expected = perPixel < 3 ? r : 0.299 * r + 0.587 * g + 0.114 * b;
          assert.ok(Math.abs(value - expected) <= 0.5 + 1e-9, `pixel ${at}: ${value}, not ${expected}`);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('reads what is written here', () => {
    const grey = { width: 3, height: 2, data: Uint8Array.of(0, 10, 255, 7, 7, 8) };
    assert.deepEqual(decodePng(encodeGreyPng(grey), 'x'), grey);
    const rgba = { width: 1, height: 1, data: Uint8Array.of(50, 50, 50, 0) };
    assert.deepEqual([...decodePng(encodePng(rgba), 'x').data], [50]);
  });

  const picture: Picture = { width: 2, height: 2, colour: 'grey', depth: 8, filters: [0], samples: [1, 2, 3, 4] };

  it('refuses what it does not read, and pictures that are too large, before it unpacks anything', () => {
    const refused = (change: Partial<Header>, code: string) =>
      assert.throws(() => decodePng(pngBytes(picture, change), 'a.png'), { code, message: /^a\.png / });
    refused({ interlace: 1 }, 'unsupported');
    refused({ type: 3 }, 'unsupported');
    refused({ depth: 4 }, 'unsupported');
    refused({ width: 2 ** 31, height: 2 ** 31 }, 'resource-exhausted');
    refused({ width: 0 }, 'resource-exhausted');
    refused({ height: 3 }, 'corrupt');
    refused({ height: 1 }, 'corrupt');
    assert.throws(() => decodePng(pngBytes({ ...picture, filters: [5] }), 'a.png'), { code: 'corrupt' });
    assert.ok(!isPng(Buffer.from('GIF89a')) && isPng(pngBytes(picture)));
  });

  it('answers any damage with a refusal', () => {
    const whole = pngBytes({ ...picture, colour: 'rgba', samples: Array.from({ length: 16 }, (_, at) => at * 9) });
    fc.assert(
      fc.property(fc.nat(whole.length), fc.nat(whole.length - 1), fc.nat(255), (end, at, byte) => {
        const changed = Buffer.from(whole.subarray(0, end));
        if (at < end) changed[at] = byte;
        try {
          assert.ok(decodePng(changed, 'a.png').data.length <= 2 ** 26);
        } catch (error) {
          assert.match((error as { code: string }).code, /^(corrupt|unsupported|resource-exhausted)$/);
        }
      }),
      { numRuns: 400 },
    );
  });
});
