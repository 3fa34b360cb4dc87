import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { readDicomSeries } from '../../imaging/dicom';
import { encodeNifti, readNifti } from '../../imaging/nifti';
import { encodeNrrd, readNrrd } from '../../imaging/nrrd';
import type { Affine } from '../../imaging/volume';
import {
  dicomBytes,
  type Elements,
  SECRET,
  type SliceFields,
  type Syntax,
  sliceBytes,
  sliceElements,
} from './dicom-bytes';
import { affines } from './geometries';

const ROWS = 2;
const COLUMNS = 3;

/** `count` slices, 5 mm apart along z unless `changes` says else; slice n holds 100 n, 100 n + 1... */
function series(
  count: number,
  changes: (n: number) => Partial<SliceFields> = () => ({}),
  syntax: Syntax = 'explicit',
): Buffer[] {
  return Array.from({ length: count }, (_, n) =>
    sliceBytes(
      {
        rows: ROWS,
        columns: COLUMNS,
        position: [-10, -20, 5 * n],
        pixels: Array.from({ length: ROWS * COLUMNS }, (_value, at) => 100 * n + at),
        uid: `1.2.3.9.${n}`,
        ...changes(n),
      },
      syntax,
    ),
  );
}

describe('a DICOM series', () => {
  it('becomes a volume in order of place, whatever the order of its files', async () => {
    const files = series(4);
    const { geometry, data } = await readDicomSeries([files[2], files[0], files[3], files[1]]);
    assert.deepEqual(geometry.shape, [COLUMNS, ROWS, 4]);
    // Columns are 3 mm apart and run to the patient's left, rows 2 mm and to the back; RAS+ turns both round.
    assert.deepEqual(geometry.affine, [-3, 0, 0, 10, 0, -2, 0, 20, 0, 0, 5, 0]);
    assert.deepEqual(
      data,
      Int16Array.from({ length: 24 }, (_, at) => 100 * Math.floor(at / 6) + (at % 6)),
    );
  });

  it('is read implicit and in big endian too', async () => {
    const explicit = await readDicomSeries(series(3));
    for (const syntax of ['implicit', 'big-endian'] as const) {
      assert.deepEqual(await readDicomSeries(series(3, undefined, syntax)), explicit, syntax);
    }
  });

  it('keeps voxels and places for any orientation, also through NIfTI and NRRD', async () => {
    await fc.assert(
      fc.asyncProperty(affines({ mirrored: false }), fc.integer({ min: 2, max: 4 }), async (affine, count) => {
        const lps = affine.map((value, at) => (at < 8 ? -value : value));
        const column = (axis: number) => [lps[axis], lps[4 + axis], lps[8 + axis]];
        const length = (axis: number) => Math.hypot(...column(axis));
        const unit = (axis: number) => column(axis).map((value) => value / length(axis));
        const files = series(count, (n) => ({
          position: column(3).map((value, row) => value + n * column(2)[row]),
          orientation: [...unit(0), ...unit(1)],
          spacing: [length(1), length(0)],
        })).reverse();
        const volume = await readDicomSeries(files);
        assertSameGrid(volume.geometry.affine, affine);
        const nifti = await readNifti(encodeNifti(volume));
        const nrrd = await readNrrd(await encodeNrrd(nifti));
        for (const other of [nifti, nrrd]) {
          assert.deepEqual(other.data, volume.data);
          assertSameGrid(other.geometry.affine, affine);
        }
      }),
    );
  });

  it('is placed voxel by voxel when the gantry was tilted', async () => {
    const { geometry } = await readDicomSeries(series(4, (n) => ({ position: [-10, -20 + 1.5 * n, 5 * n] })));
    assert.deepEqual(geometry.affine, [-3, 0, 0, 10, 0, -2, -1.5, 20, 0, 0, 5, 0]);
  });

  it('has real values: slope and intercept, signs, twelve bits of sixteen, overlays in the others', async () => {
    const values = async (more: Elements, pixels: number[]) => {
      const file = sliceBytes({
        rows: 1,
        columns: 3,
        position: [0, 0, 0],
        pixels,
        more: { '00180050 DS': '2', ...more },
      });
      return (await readDicomSeries([file])).data;
    };
    assert.deepEqual(await values({}, [-5, 0, 7]), Int16Array.of(-5, 0, 7));
    assert.deepEqual(
      await values(
        { '00281052 DS': '-1024', '00281053 DS': '2', '00280103 US': [0], '00280101 US': [12], '00280102 US': [11] },
        [0, 4095, 0xf001],
      ),
      Int16Array.of(-1024, 7166, -1022),
    );
    assert.deepEqual(
      await values({ '00280101 US': [12], '00280102 US': [11] }, [0x0800, 0x0fff, 0x07ff]),
      Int16Array.of(-2048, -1, 2047),
    );
    assert.deepEqual(await values({ '00280103 US': [0] }, [0, 65535, 1]), Uint16Array.of(0, 65535, 1));
    assert.deepEqual(
      await values({ '00280103 US': [0], '00281052 DS': '-1' }, [0, 65535, 1]),
      Int32Array.of(-1, 65534, 0),
    );
    assert.deepEqual(await values({ '00281053 DS': '0.5' }, [1, 2, -3]), Float32Array.of(0.5, 1, -1.5));
  });

  it('turns MONOCHROME1 round where values have no unit, and leaves Hounsfield units alone', async () => {
    const read = async (modality: string) => {
      const more = {
        '00280004 CS': 'MONOCHROME1',
        '00080060 CS': modality,
        '00180050 DS': '2',
        '00280103 US': [0],
        '00280101 US': [12],
        '00280102 US': [11],
      };
      const file = sliceBytes({ rows: 1, columns: 2, position: [0, 0, 0], pixels: [0, 1000], more });
      return [...(await readDicomSeries([file])).data];
    };
    assert.deepEqual(await read('MR'), [4095, 3095]);
    assert.deepEqual(await read('CT'), [0, 1000]);
  });

  it('is read from one enhanced file of many frames', async () => {
    const frames = [2, 0, 1];
    const elements = sliceElements({
      rows: 1,
      columns: 2,
      position: [0, 0, 0],
      pixels: frames.flatMap((n) => [10 * n, 10 * n + 1]),
      more: {
        '00200032 DS': undefined,
        '00200037 DS': undefined,
        '00280030 DS': undefined,
        '00280008 IS': '3',
        '52009229 SQ': [
          {
            '00209116 SQ': [{ '00200037 DS': '1\\0\\0\\0\\1\\0' }],
            '00289110 SQ': [{ '00280030 DS': '2\\3' }],
            '00289145 SQ': [{ '00281052 DS': '-100', '00281053 DS': '1' }],
          },
        ],
        '52009230 SQ': frames.map((n) => ({ '00209113 SQ': [{ '00200032 DS': `1\\2\\${4 * n}` }] })),
      },
    });
    const { geometry, data, series: reference } = await readDicomSeries([dicomBytes(elements)]);
    assert.deepEqual(geometry, { shape: [2, 1, 3], affine: [-3, 0, 0, -1, 0, -2, 0, -2, 0, 0, 4, 0] });
    assert.deepEqual([...data], [-100, -99, -90, -89, -80, -79]);
    assert.deepEqual(
      reference.slices.map(({ frame }) => frame),
      [2, 3, 1],
    );
  });

  const from = (n: number, fields: Partial<SliceFields>) => (at: number) => (at === n ? fields : {});
  const REFUSED: Readonly<Record<string, readonly [() => Buffer[], code: string, message: RegExp]>> = {
    'files of two series': [
      () => series(3, from(1, { more: { '0020000e UI': '1.2.3.77' } })),
      'invalid-input',
      /^file 2 is of another series than file 1: send one series at a time$/,
    ],
    'slices of different size': [
      () => series(3, from(2, { rows: 3, columns: 2 })),
      'invalid-input',
      /^file 3 has 2 x 3 pixels, not 3 x 2 like file 1/,
    ],
    'a missing slice': [
      () => series(5).filter((_, n) => n !== 2),
      'invalid-input',
      /^a slice is missing between file 2 and file 3, which are 10 mm apart where the others are 5 mm/,
    ],
    'slices with unequal distances': [
      () => series(5, from(4, { position: [-10, -20, 22.5] })),
      'invalid-input',
      /^file 4 and file 5 are 7.5 mm apart where the others are 5 mm: slices must have equal distances/,
    ],
    'two slices at one place': [
      () => series(4, from(3, { position: [-10, -20, 5] })),
      'invalid-input',
      /^file 2 and file 4 lie at the same place/,
    ],
    'a slice that is shifted sideways': [
      () => series(4, from(2, { position: [-10, -14, 10] })),
      'invalid-input',
      /^file 3 lies 6 mm beside the line of the others/,
    ],
    'a localiser among them': [
      () => series(3, from(2, { orientation: [1, 0, 0, 0, 0, -1] })),
      'invalid-input',
      /^file 3 has another orientation than file 1.*without localisers/,
    ],
    'another pixel spacing': [
      () => series(2, from(1, { spacing: [2, 3.1] })),
      'invalid-input',
      /^file 2 has another pixel spacing/,
    ],
    'a single slice without thickness': [() => series(1), 'invalid-input', /single slice without a SliceThickness/],
    colours: [
      () => series(2, from(1, { more: { '00280002 US': [3], '00280004 CS': 'RGB' } })),
      'unsupported',
      /^file 2 is an image in colours/,
    ],
    'a file that is no image': [() => [dicomBytes({ '00080060 CS': 'SR' })], 'unsupported', /^file 1 holds no image/],
    'fewer pixels than rows and columns promise': [
      () => series(2, from(1, { pixels: [1, 2, 3] })),
      'corrupt',
      /^file 2 cannot be read: its pixels end after 6 of 12 bytes$/,
    ],
    'a size that lies': [
      () => series(2, () => ({ rows: 60000, columns: 60000 })),
      'resource-exhausted',
      /over the limit of 2147483648/,
    ],
    'bytes that are no DICOM': [() => [Buffer.alloc(300)], 'invalid-input', /^file 1 is no DICOM file/],
    'a file that is cut off': [() => [series(1)[0].subarray(0, 300)], 'corrupt', /^file 1 is damaged/],
  };
  for (const [what, [files, code, message]] of Object.entries(REFUSED)) {
    it(`refuses ${what}`, () => assert.rejects(readDicomSeries(files()), { code, message }));
  }

  it('lists every attribute that is missing', async () => {
    const more = { '00200032 DS': undefined, '00280030 DS': '0\\1', '00200037 DS': '1\\0\\0\\1\\0\\0' };
    await assert.rejects(readDicomSeries(series(1, () => ({ more }))), (error: { faults: { path: string }[] }) => {
      const paths = error.faults.map(({ path: at }) => at).sort();
      assert.deepEqual(paths, ['ImageOrientationPatient', 'ImagePositionPatient', 'PixelSpacing']);
      return true;
    });
  });

  it('survives any change of its bytes, and never tells who the patient is', async () => {
    const [file] = series(1, () => ({ more: { '00180050 DS': '2' } }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 132, max: file.length - 1 }), fc.integer({ min: 0, max: 255 })), {
          minLength: 1,
          maxLength: 8,
        }),
        async (changes) => {
          const changed = Buffer.from(file);
          for (const [at, byte] of changes) changed[at] = byte;
          await readDicomSeries([changed], { maxBytes: 2 ** 20 }).then(
            ({ data }) => assert.ok(data.byteLength <= 2 ** 20),
            (error) => {
              assert.match(error.code, /^(corrupt|unsupported|invalid-input|resource-exhausted)$/, error.stack);
              assert.ok(!error.message.includes(SECRET.slice(0, 6)), error.message);
            },
          );
        },
      ),
      { numRuns: 500 },
    );
  });
});

/** Files compressed by DCMTK 3.6, GDCM 3.0 and (HTJ2K) OpenJPH 0.9 from the pixels that the functions below compute. */
describe('compressed DICOM', () => {
  const WIDTH = 24;
  const HEIGHT = 20;
  const pixels = (of: (x: number, y: number) => number) =>
    Array.from({ length: WIDTH * HEIGHT }, (_, at) => of(at % WIDTH, Math.floor(at / WIDTH)) - 1024);
  const twelve = pixels((x, y) => (x * x * 3 + y * 57 + ((x * y) % 11) * 40) % 4096);
  const signed = pixels((x, y) => ((x * x * 31 - y * 557 + ((x * y) % 11) * 400) << 16) >> 16);
  const eight = pixels((x, y) => Math.min(255, 60 + 5 * x + 3 * y));
  const read = async (name: string) => {
    const file = readFileSync(path.join(__dirname, '../fixtures/dicom', `${name}.dcm`));
    return [...(await readDicomSeries([file])).data];
  };
  const lossless = ['1', '2', '3', '4', '5', '6', '7', 'sv1'].map((predictor) => `lossless-${predictor}`);
  const SAME: readonly (readonly [names: readonly string[], expected: number[]])[] = [
    [
      ['explicit', 'implicit', 'big-endian', 'deflated', 'rle', 'jpeg-ls', 'j2k', 'htj2k', 'htj2k-rpcl', ...lossless],
      twelve,
    ],
    [['signed', 'signed-big-endian', 'rle-signed', 'jpeg-ls-signed', 'j2k-signed', 'lossless-signed'], signed],
    [['rle-eight'], eight],
  ];
  for (const [names, expected] of SAME) {
    for (const name of names) {
      it(`${name} is what was compressed`, async () => assert.deepEqual(await read(name), expected));
    }
  }

  it('lossy forms are near what was compressed', async () => {
    for (const [name, expected, bound] of [
      ['baseline', eight, 6],
      ['jpeg-ls-near', twelve, 2],
    ] as const) {
      const found = await read(name);
      assert.ok(
        found.every((value, at) => Math.abs(value - expected[at]) <= bound),
        name,
      );
    }
  });

  it('lossy JPEG of twelve bits is refused with a way out', async () => {
    await assert.rejects(read('extended-12'), {
      code: 'corrupt',
      message: /lossy JPEG of 12 bits.*send it uncompressed/,
    });
  });

  it('damage anywhere in the coded pixels is a refusal, not a crash', async () => {
    for (const name of ['lossless-1', 'rle']) {
      const file = readFileSync(path.join(__dirname, '../fixtures/dicom', `${name}.dcm`));
      const start = file.indexOf(Buffer.from([0xfe, 0xff, 0x00, 0xe0]), 600);
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: start, max: file.length - 1 }), fc.nat({ max: 255 }), async (at, byte) => {
          const changed = Buffer.from(file);
          changed[at] = byte;
          await readDicomSeries([changed]).catch((error) => assert.match(error.code, /^(corrupt|unsupported)$/));
        }),
        { numRuns: 200 },
      );
    }
    for (const name of ['j2k', 'htj2k', 'jpeg-ls', 'baseline']) {
      const file = readFileSync(path.join(__dirname, '../fixtures/dicom', `${name}.dcm`));
      await assert.rejects(readDicomSeries([file.subarray(0, file.length - 200)]), { code: 'corrupt' }, name);
      await read(name); // the decoder is as good as new
    }
  });

  it('a frame larger than the header says is refused before it is decoded', async () => {
    const file = readFileSync(path.join(__dirname, '../fixtures/dicom/j2k.dcm'));
    const size = file.indexOf(Buffer.from([0xff, 0x4f, 0xff, 0x51]));
    const changed = Buffer.from(file);
    changed.writeUInt32BE(1_000_000, size + 8);
    await assert.rejects(readDicomSeries([changed]), {
      code: 'corrupt',
      message: /1000000 x 20 .*header says 24 x 20/,
    });
  });
});

function assertSameGrid(found: Affine, expected: Affine): void {
  const scale = Math.max(...expected.map(Math.abs));
  for (const [at, value] of expected.entries()) {
    assert.ok(Math.abs(found[at] - value) <= 1e-5 * scale, `${found.join(' ')} is not ${expected.join(' ')}`);
  }
}
