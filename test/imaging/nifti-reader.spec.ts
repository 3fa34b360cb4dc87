import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { readNifti, readNiftiHeader } from '../../imaging/nifti';
import { CODES, niftiBytes } from './nifti-bytes';
import { temporaryFolder } from './temporary-folder';

const RANGES = {
  uint8: fc.integer({ min: 0, max: 255 }),
  int8: fc.integer({ min: -128, max: 127 }),
  int16: fc.integer({ min: -32768, max: 32767 }),
  uint16: fc.integer({ min: 0, max: 65535 }),
  int32: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  uint32: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  float32: fc.float({ noNaN: true }),
  float64: fc.double({ noNaN: true }),
} as const;

describe('reading NIfTI-1', () => {
  const folder = temporaryFolder();

  for (const name of Object.keys(CODES) as (keyof typeof CODES)[]) {
    for (const endian of ['LE', 'BE'] as const) {
      it(`gives the stored ${name} voxels of a ${endian} file, plain and gzipped`, async () => {
        const voxels = fc.array(RANGES[name] as fc.Arbitrary<number>, { minLength: 12, maxLength: 12 });
        await fc.assert(
          fc.asyncProperty(voxels, async (values) => {
            const bytes = niftiBytes({
              endian,
              datatype: CODES[name][0],
              dim: [3, 2, 3, 2, 1, 1, 1, 1],
              voxels: values,
            });
            for (const source of [bytes, gzipSync(bytes)]) {
              const volume = await readNifti(source);
              assert.equal(volume.data.constructor.name.toLowerCase(), `${name}array`);
              assert.deepEqual([...volume.data], values);
              assert.deepEqual(volume.geometry.shape, [2, 3, 2]);
            }
          }),
          { numRuns: 15 },
        );
      });
    }
  }

  it('reads from a path, telling gzip by content and not by name', async () => {
    const file = path.join(folder(), 'really-gzipped.nii');
    await writeFile(file, gzipSync(niftiBytes()));
    assert.deepEqual([...(await readNifti(file)).data], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert.deepEqual((await readNiftiHeader(file)).shape, [2, 2, 2]);
  });

  it('applies slope and intercept as single precision values', async () => {
    const { data } = await readNifti(niftiBytes({ slope: 0.5, inter: -10 }));
    assert.ok(data instanceof Float32Array);
    assert.deepEqual([...data], [-9.5, -9, -8.5, -8, -7.5, -7, -6.5, -6]);
  });

  it('takes slope 0 as no scaling, whatever the intercept', async () => {
    const { data } = await readNifti(niftiBytes({ slope: 0, inter: 7 }));
    assert.ok(data instanceof Int16Array);
    assert.equal(data[0], 1);
  });

  it('skips extensions between header and voxels', async () => {
    const bytes = niftiBytes({ voxOffset: 352 + 64 });
    bytes.fill(0xee, 352, 352 + 64);
    assert.deepEqual([...(await readNifti(gzipSync(bytes))).data], [1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('takes trailing axes of one voxel as absent', async () => {
    const { geometry } = await readNifti(niftiBytes({ dim: [5, 2, 2, 2, 1, 1, 0, 0] }));
    assert.deepEqual(geometry.shape, [2, 2, 2]);
  });

  it('prefers the sform to the qform', async () => {
    const srow = [2, 0, 0, 5, 0, 3, 0, 6, 0, 0, 4, 7];
    const { geometry, header } = await readNifti(
      niftiBytes({ qformCode: 1, sformCode: 2, srow, pixdim: [1, 9, 9, 9] }),
    );
    assert.deepEqual(geometry.affine, srow);
    assert.equal(header.orientation, 'sform');
  });

  it('decodes the qform: a half turn about the z axis is LPS', async () => {
    const fields = { qformCode: 1, sformCode: 0, quatern: [0, 0, 1], qoffset: [10, 20, 30], pixdim: [1, 2, 3, 4, 0] };
    const { geometry, header } = await readNifti(niftiBytes(fields));
    assert.equal(header.orientation, 'qform');
    geometry.affine.forEach((value, index) => {
      assert.ok(Math.abs(value - [-2, 0, 0, 10, 0, -3, 0, 20, 0, 0, 4, 30][index]) < 1e-6);
    });
  });

  it('lets qfac -1 mirror the third axis', async () => {
    const fields = { qformCode: 1, sformCode: 0, pixdim: [-1, 2, 3, 4, 0] };
    assert.equal((await readNifti(niftiBytes(fields))).geometry.affine[10], -4);
  });

  it('decodes a quarter turn about x: j runs to the head', async () => {
    const half = Math.SQRT1_2;
    const fields = { qformCode: 1, sformCode: 0, quatern: [half, 0, 0], pixdim: [1, 1, 2, 3, 0] };
    const { affine } = (await readNifti(niftiBytes(fields))).geometry;
    [1, 0, 0, 0, 0, 0, -3, 0, 0, 2, 0, 0].forEach((value, index) => {
      assert.ok(Math.abs(affine[index] - value) < 1e-5, `element ${index}`);
    });
  });

  it('converts metres and micrometres to millimetres', async () => {
    const srow = [2, 0, 0, 5, 0, 2, 0, 0, 0, 0, 2, 0];
    assert.equal((await readNifti(niftiBytes({ xyztUnits: 1, srow }))).geometry.affine[3], 5000);
    assert.equal((await readNifti(niftiBytes({ xyztUnits: 3, srow }))).geometry.affine[3], 0.005);
  });

  it('reads a file without orientation by its voxel sizes when told to', async () => {
    const bytes = niftiBytes({ sformCode: 0, pixdim: [1, 2, 3, 4, 0] });
    const { geometry, header } = await readNifti(bytes, { unknownOrientation: 'assume-ras' });
    assert.deepEqual(geometry.affine, [2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 4, 0]);
    assert.equal(header.orientation, 'pixdim');
  });

  it('stops when its signal is aborted', async () => {
    const file = path.join(folder(), 'volume.nii');
    await writeFile(file, niftiBytes());
    await assert.rejects(readNifti(file, { signal: AbortSignal.abort() }), { code: 'cancelled' });
  });
});
