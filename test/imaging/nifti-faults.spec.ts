import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { readNifti } from '../../imaging/nifti';
import { type NiftiFields, niftiBytes } from './nifti-bytes';

const voxels = [0, 1, 2, 3, 4, 5, 6, 7];

function dim(...shape: readonly number[]): number[] {
  return [shape.length, ...shape, ...new Array(7 - shape.length).fill(1)];
}

interface FaultCase {
  readonly fields: NiftiFields;
  readonly code: string;
  readonly message: RegExp;
}

const CASES: Readonly<Record<string, FaultCase>> = {
  'a header that is no header': { fields: { sizeofHdr: 349 }, code: 'corrupt', message: /must hold the number 348/ },
  'a wrong magic': { fields: { magic: 'n+3\0' }, code: 'corrupt', message: /bytes 344 to 347 must be "n\+1"/ },
  'NIfTI-2': { fields: { sizeofHdr: 540 }, code: 'unsupported', message: /is a NIfTI-2 file.*save it as NIfTI-1/ },
  'voxels in a second file': { fields: { magic: 'ni1\0' }, code: 'unsupported', message: /second file/ },
  'no dimensions': {
    fields: { dim: [0, 2, 2, 2, 1, 1, 1, 1] },
    code: 'corrupt',
    message: /dim\[0\] \(0\): must be 1 to 7/,
  },
  'a negative dimension': { fields: { dim: [3, 2, -2, 2, 1, 1, 1, 1] }, code: 'corrupt', message: /dim\[2\] \(-2\)/ },
  'a zero dimension': { fields: { dim: [3, 2, 2, 0, 1, 1, 1, 1] }, code: 'corrupt', message: /dim\[3\] \(0\)/ },
  'a time series': {
    fields: { dim: [4, 2, 2, 1, 2, 1, 1, 1] },
    code: 'unsupported',
    message: /2 x 2 x 1 x 2.*one volume/,
  },
  'a picture': { fields: { dim: [2, 4, 2, 1, 1, 1, 1, 1] }, code: 'unsupported', message: /three axes/ },
  'more voxels than bytes': {
    fields: { dim: dim(300, 300, 300) },
    code: 'corrupt',
    message: /declares 300 x 300 x 300 voxels of int16.*cannot hold/,
  },
  'more voxels than the limit': {
    fields: { dim: dim(32767, 32767, 32767) },
    code: 'resource-exhausted',
    message: /over the limit of 2147483648/,
  },
  'an unknown datatype': { fields: { datatype: 5 }, code: 'corrupt', message: /datatype \(5\)/ },
  'a datatype that is not read': {
    fields: { datatype: 128 },
    code: 'unsupported',
    message: /datatype 128: convert it/,
  },
  'bits that contradict the datatype': {
    fields: { bitpix: 32 },
    code: 'corrupt',
    message: /bitpix \(32\): must be 16/,
  },
  'voxels inside the header': { fields: { voxOffset: 100 }, code: 'corrupt', message: /vox_offset \(100\)/ },
  'voxels before the beginning': { fields: { voxOffset: -352 }, code: 'corrupt', message: /vox_offset \(-352\)/ },
  'voxels far behind the end': { fields: { voxOffset: 2 ** 26 }, code: 'corrupt', message: /from byte 67108864/ },
  'voxels nowhere': { fields: { voxOffset: Number.NaN }, code: 'corrupt', message: /vox_offset \(NaN\)/ },
  'voxels at half a byte': { fields: { voxOffset: 352.5 }, code: 'corrupt', message: /vox_offset \(352.5\)/ },
  'an orientation code that nobody defined': {
    fields: { sformCode: 17 },
    code: 'corrupt',
    message: /sform_code \(17\): must be 0 to 5/,
  },
  'an affine that is not a number': {
    fields: { srow: [1, 0, 0, 0, 0, Number.NaN, 0, 0, 0, 0, 1, 0] },
    code: 'corrupt',
    message: /srow .*must be twelve finite numbers/,
  },
  'an affine of two axes': {
    fields: { srow: [1, 2, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0] },
    code: 'corrupt',
    message: /three axes that span the space/,
  },
  'an affine of nothing': {
    fields: { srow: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] },
    code: 'corrupt',
    message: /three axes that span the space/,
  },
  'a quaternion that is no rotation': {
    fields: { sformCode: 0, qformCode: 1, quatern: [1, 1, 0] },
    code: 'corrupt',
    message: /quatern .*length of 1 or less/,
  },
  'a voxel size of zero': {
    fields: { sformCode: 0, qformCode: 1, pixdim: [1, 2, 0, 2, 0, 0, 0, 0] },
    code: 'corrupt',
    message: /pixdim\[2\] \(0\)/,
  },
  'an infinite slope': { fields: { slope: Number.POSITIVE_INFINITY }, code: 'corrupt', message: /scl_slope/ },
  'a slope with an intercept that is not a number': {
    fields: { slope: 1, inter: Number.NaN },
    code: 'corrupt',
    message: /scl_inter/,
  },
  'an unknown unit': { fields: { xyztUnits: 5 }, code: 'corrupt', message: /xyzt_units \(5\)/ },
};

describe('readNifti refuses', () => {
  for (const [name, { fields, code, message }] of Object.entries(CASES)) {
    it(`${name}, plain and gzipped`, async () => {
      const file = niftiBytes(fields);
      await assert.rejects(readNifti(file), { code, message });
      await assert.rejects(readNifti(gzipSync(file)), { code, message });
    });
  }

  it('a lying header with every fault listed', async () => {
    const file = niftiBytes({ voxels, dim: dim(2, 2, -1), bitpix: 8, voxOffset: 0, sformCode: -1 });
    await assert.rejects(readNifti(file), (error: { faults: { path: string }[] }) => {
      assert.deepEqual(error.faults.map(({ path }) => path).sort(), ['bitpix', 'dim[3]', 'sform_code', 'vox_offset']);
      return true;
    });
  });

  it('a file cut off at any place', async () => {
    const file = niftiBytes({ voxels });
    for (const length of [0, 1, 2, 100, 347, 348, 351, 352, file.length - 1]) {
      await assert.rejects(readNifti(file.subarray(0, length)), { code: 'corrupt' }, `plain, ${length} bytes`);
      await assert.rejects(
        readNifti(gzipSync(file.subarray(0, length))),
        { code: 'corrupt' },
        `gzipped, ${length} bytes`,
      );
    }
    const gzipped = gzipSync(file);
    for (let length = 3; length < gzipped.length; length += 7) {
      await assert.rejects(readNifti(gzipped.subarray(0, length)), { code: 'corrupt' }, `cut gzip, ${length} bytes`);
    }
  });

  it('gzip data with a bit flipped', async () => {
    const gzipped = gzipSync(
      niftiBytes({ dim: dim(16, 16, 16), voxels: Array.from({ length: 4096 }, (_, at) => at * 7) }),
    );
    gzipped[gzipped.length - 6] ^= 1; // in the CRC
    await assert.rejects(readNifti(gzipped), { code: 'corrupt', message: /is damaged/ });
  });

  it('a file that is not there', async () => {
    await assert.rejects(readNifti('/nowhere/at/all.nii.gz'), { code: 'not-found', message: /all\.nii\.gz/ });
  });

  it('a folder in place of a file', async () => {
    await assert.rejects(readNifti(__dirname), { code: 'invalid-input', message: /is no file: name one volume/ });
  });

  it('more than the given limit before anything is allocated', async () => {
    const file = gzipSync(niftiBytes({ dim: dim(10, 10, 10), voxels: new Array(1000).fill(0) }));
    await assert.rejects(readNifti(file, { maxBytes: 2000 }), { code: 'resource-exhausted', message: /limit of 2000/ });
    assert.equal((await readNifti(file, { maxBytes: 2352 })).data.length, 1000);
  });

  it('to inflate a gzip bomb behind the voxels', async () => {
    // 32 MiB of zeros follow the voxels, and the last bytes are damaged: reading that far would fail.
    const bomb = gzipSync(Buffer.concat([niftiBytes({ voxels }), Buffer.alloc(32 * 1024 ** 2)]));
    bomb.fill(0xff, bomb.length - 64);
    assert.deepEqual([...(await readNifti(bomb)).data], voxels);
  });

  it('a header that promises more than its compressed bytes can expand to', async () => {
    const file = gzipSync(niftiBytes({ voxels, dim: dim(1000, 1000, 100) }));
    await assert.rejects(readNifti(file), { code: 'corrupt', message: /compressed bytes cannot hold/ });
  });
});
