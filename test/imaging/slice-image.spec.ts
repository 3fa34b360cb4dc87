import assert from 'node:assert/strict';
import { inflateSync } from 'node:zlib';
import fc from 'fast-check';
import { reorient } from '../../imaging/geometry';
import { encodePng, pngDataUrl, type RgbaImage } from '../../imaging/png';
import { chooseSlices, renderSlice, TRUTH_COLOUR } from '../../imaging/slice-image';
import type { Mask, Volume } from '../../imaging/volume';

/** CRC-32 by its definition in the PNG specification, annex D, one bit at a time. */
function crc(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit += 1) value = (value & 1) === 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return (value ^ 0xffffffff) >>> 0;
}

function decodePng(file: Buffer): RgbaImage {
  assert.deepEqual(file.subarray(0, 8), Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'));
  const chunks: { type: string; body: Buffer }[] = [];
  for (let at = 8; at < file.length; ) {
    const length = file.readUInt32BE(at);
    const framed = file.subarray(at + 4, at + 8 + length);
    assert.equal(file.readUInt32BE(at + 8 + length), crc(framed));
    chunks.push({ type: framed.toString('latin1', 0, 4), body: framed.subarray(4) });
    at += 12 + length;
  }
  assert.deepEqual(
    chunks.map(({ type }) => type),
    ['IHDR', 'IDAT', 'IEND'],
  );
  const header = chunks[0].body;
  assert.deepEqual([...header.subarray(8)], [8, 6, 0, 0, 0]);
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const rows = inflateSync(chunks[1].body);
  const data = new Uint8Array(width * height * 4);
  for (let y = 0; y < height; y += 1) {
    const row = rows.subarray(y * (width * 4 + 1), (y + 1) * (width * 4 + 1));
    assert.equal(row[0], 1);
    for (let x = 0; x < width * 4; x += 1) {
      data[y * width * 4 + x] = row[1 + x] + (x < 4 ? 0 : data[y * width * 4 + x - 4]);
    }
  }
  return { width, height, data };
}

describe('a PNG', () => {
  it('decodes to the pixels it was made of', () => {
    const image = fc
      .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }))
      .chain(([width, height]) =>
        fc
          .uint8Array({ minLength: width * height * 4, maxLength: width * height * 4 })
          .map((data) => ({ width, height, data })),
      );
    fc.assert(
      fc.property(image, (picture) => {
        assert.deepEqual(decodePng(encodePng(picture)), { ...picture, data: Uint8Array.from(picture.data) });
      }),
    );
  });

  it('becomes a data URL', () => {
    const image = { width: 1, height: 1, data: Uint8Array.of(1, 2, 3, 4) };
    const [head, body] = pngDataUrl(image).split(',');
    assert.equal(head, 'data:image/png;base64');
    assert.deepEqual(decodePng(Buffer.from(body, 'base64')), image);
  });

  it('is refused for a wrong number of bytes', () => {
    assert.throws(() => encodePng({ width: 2, height: 2, data: new Uint8Array(15) }), { code: 'invalid-input' });
  });
});

const WHITE = 240;
const BLACK = -160;

/** A black RAS volume of 6 x 4 x 3 voxels with one white voxel. */
function oneWhite(i: number, j: number, k: number, spacing = [1, 1, 1]): Volume<Int16Array> {
  const data = new Int16Array(72).fill(BLACK);
  data[(k * 4 + j) * 6 + i] = WHITE;
  const [x, y, z] = spacing;
  return { geometry: { shape: [6, 4, 3], affine: [x, 0, 0, 0, 0, y, 0, 0, 0, 0, z, 0] }, data };
}

function whitePixels({ width, data }: RgbaImage): (readonly [number, number])[] {
  return [...data.keys()]
    .filter((at) => at % 4 === 0 && data[at] === 255)
    .map((at) => [(at / 4) % width, Math.floor(at / 4 / width)] as const);
}

describe('a slice', () => {
  it("shows the patient's left on the right, and the front and the head up", () => {
    // Voxel (0, 3, 2) is leftmost, foremost and topmost.
    const volume = oneWhite(0, 3, 2);
    assert.deepEqual(whitePixels(renderSlice(volume, { plane: 'axial', index: 2 })), [[5, 0]]);
    assert.deepEqual(whitePixels(renderSlice(volume, { plane: 'coronal', index: 3 })), [[5, 0]]);
    assert.deepEqual(whitePixels(renderSlice(volume, { plane: 'sagittal', index: 0 })), [[0, 0]]);
  });

  it('looks the same whatever the order of the axes in the file', () => {
    const volume = oneWhite(1, 2, 1, [1, 2, 3]);
    const data = Uint8Array.from(volume.data, (_, at) => (at % 5 === 0 ? 1 : 0));
    const mask: Mask = { geometry: volume.geometry, data };
    const colour = [10, 200, 30] as const;
    for (const plane of ['axial', 'coronal', 'sagittal'] as const) {
      assert.deepEqual(
        renderSlice(reorient(volume, 'ILP'), { plane, index: 1, overlays: [{ mask: reorient(mask, 'ILP'), colour }] }),
        renderSlice(volume, { plane, index: 1, overlays: [{ mask, colour }] }),
      );
    }
  });

  it('has square pixels: the voxel sizes decide its aspect', () => {
    const { width, height } = renderSlice(oneWhite(0, 0, 0, [1, 2, 5]), { plane: 'coronal', index: 0 });
    assert.deepEqual([width, height], [6, 15]);
    const fine = renderSlice(oneWhite(0, 0, 0, [1, 2, 5]), { plane: 'axial', index: 0, pixelMm: 0.5 });
    assert.deepEqual([fine.width, fine.height], [12, 16]);
  });

  it('maps the window to grey, opaque', () => {
    const volume = oneWhite(2, 2, 1);
    volume.data[(1 * 4 + 2) * 6 + 3] = 40;
    const { data, width } = renderSlice(volume, { plane: 'axial', index: 1 });
    const pixel = (x: number, y: number): number[] => [...data.subarray((y * width + x) * 4, (y * width + x) * 4 + 4)];
    assert.deepEqual(pixel(3, 1), [255, 255, 255, 255]);
    assert.deepEqual(pixel(2, 1), [128, 128, 128, 255]);
    assert.deepEqual(pixel(0, 0), [0, 0, 0, 255]);
  });

  it('outlines a mask without its inside, and tints it', () => {
    const shape = [5, 5, 1] as const;
    const geometry = { shape, affine: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0] as const };
    const volume: Volume = { geometry, data: new Int16Array(25).fill(BLACK) };
    const square = Uint8Array.from({ length: 25 }, (_, at) => {
      const [i, j] = [at % 5, Math.floor(at / 5)];
      return i >= 1 && i <= 3 && j >= 1 && j <= 3 ? 1 : 0;
    });
    const mask: Mask = { geometry, data: square };
    const colours = (overlay: object): string[] => {
      const { data } = renderSlice(volume, {
        plane: 'axial',
        index: 0,
        overlays: [{ mask, colour: TRUTH_COLOUR, ...overlay }],
      });
      return Array.from({ length: 25 }, (_, at) => data.subarray(at * 4, at * 4 + 3).join());
    };
    const outlined = colours({});
    assert.equal(outlined.filter((colour) => colour === TRUTH_COLOUR.join()).length, 8);
    assert.equal(outlined[12], '0,0,0');
    const filled = colours({ fill: 0.5, outline: false });
    assert.equal(filled.filter((colour) => colour === TRUTH_COLOUR.map((value) => value / 2).join()).length, 9);
  });

  it('is refused outside the volume and for a mask of another grid', () => {
    const volume = oneWhite(0, 0, 0);
    assert.throws(() => renderSlice(volume, { plane: 'axial', index: 3 }), {
      code: 'invalid-input',
      message: /0 to 2/,
    });
    const mask: Mask = { geometry: { ...volume.geometry, shape: [6, 4, 2] }, data: new Uint8Array(48) };
    const overlays = [{ mask, colour: TRUTH_COLOUR }];
    assert.throws(() => renderSlice(volume, { plane: 'axial', index: 0, overlays }), { code: 'invalid-input' });
  });
});

describe('choosing slices', () => {
  function maskWith(...voxels: (readonly [number, number, number])[]): Mask {
    const data = new Uint8Array(9 * 9 * 9);
    for (const [i, j, k] of voxels) data[(k * 9 + j) * 9 + i] = 1;
    return { geometry: { shape: [9, 9, 9], affine: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0] }, data };
  }

  it('goes through the centroid', () => {
    assert.deepEqual(chooseSlices(maskWith([1, 2, 3], [3, 4, 5], [2, 3, 4])), { sagittal: 2, coronal: 3, axial: 4 });
  });

  it('never shows an empty slice of a mask in two pieces', () => {
    assert.deepEqual(chooseSlices(maskWith([0, 0, 0], [0, 0, 1], [8, 8, 8])), { sagittal: 0, coronal: 0, axial: 1 });
  });

  it('counts in RAS order whatever the order of the file', () => {
    assert.deepEqual(chooseSlices(reorient(maskWith([1, 2, 3]), 'SLP')), { sagittal: 1, coronal: 2, axial: 3 });
  });

  it('takes the middle of the volume for an empty mask', () => {
    assert.deepEqual(chooseSlices(maskWith()), { sagittal: 4, coronal: 4, axial: 4 });
  });
});
