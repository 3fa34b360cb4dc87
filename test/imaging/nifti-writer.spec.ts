import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { encodeNifti, readNifti, writeNifti } from '../../imaging/nifti';
import { affineOfQuaternion, quaternionOf } from '../../imaging/nifti/quaternion';
import type { Affine, Mask, Volume } from '../../imaging/volume';
import { niftiBytes } from './nifti-bytes';
import { temporaryFolder } from './temporary-folder';

const AFFINE: Affine = [-0.7, 0, 0, 120, 0, 0.7, 0, -90, 0, 0, 2.5, 33];
const ARRAYS = [
  Int8Array,
  Uint8Array,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
] as const;

/** Random rotations: three angles composed by plain trigonometry. */
function rotated(a: number, b: number, c: number, spacing: readonly number[], mirror: boolean): Affine {
  const [ca, sa, cb, sb, cc, sc] = [a, b, c].flatMap((angle) => [Math.cos(angle), Math.sin(angle)]);
  const m = [
    [cb * cc, sa * sb * cc - ca * sc, ca * sb * cc + sa * sc],
    [cb * sc, sa * sb * sc + ca * cc, ca * sb * sc - sa * cc],
    [-sb, sa * cb, ca * cb],
  ];
  const scale = [spacing[0], spacing[1], mirror ? -spacing[2] : spacing[2]];
  return m.flatMap((row) => [...row.map((value, column) => value * scale[column]), 7]) as unknown as Affine;
}

const angle = fc.double({ min: -Math.PI, max: Math.PI, noNaN: true });
const step = fc.double({ min: 0.1, max: 10, noNaN: true });

describe('writing NIfTI-1', () => {
  const folder = temporaryFolder();

  for (const Voxels of ARRAYS) {
    it(`keeps ${Voxels.name} voxels and geometry, plain and gzipped`, async () => {
      const data = new Voxels(Array.from({ length: 24 }, (_, index) => index * 3));
      const volume: Volume = { geometry: { shape: [2, 3, 4], affine: AFFINE }, data };
      for (const name of ['a.nii', 'a.nii.gz']) {
        const file = path.join(folder(), name);
        await writeNifti(file, volume);
        const back = await readNifti(file);
        assert.deepEqual(back.data, data);
        assert.deepEqual(back.geometry.shape, [2, 3, 4]);
        assert.deepEqual(back.geometry.affine, AFFINE.map(Math.fround));
      }
      assert.deepEqual((await readdir(folder())).sort(), ['a.nii', 'a.nii.gz']);
    });
  }

  it('writes the same bytes again, with no time and no system in them', async () => {
    const mask: Mask = { geometry: { shape: [2, 2, 2], affine: AFFINE }, data: new Uint8Array(8).fill(1) };
    const file = path.join(folder(), 'mask.nii.gz');
    await writeNifti(file, mask);
    const first = await readFile(file);
    await writeNifti(file, mask);
    assert.deepEqual(await readFile(file), first);
    assert.equal(first.readUInt32LE(4), 0);
    assert.equal(first[9], 255);
    assert.deepEqual(gunzipSync(first), Buffer.from(encodeNifti(mask)));
  });

  it('stores slope 1, intercept 0, and sform and qform that agree', async () => {
    const bytes = Buffer.from(encodeNifti({ geometry: { shape: [1, 1, 1], affine: AFFINE }, data: new Uint8Array(1) }));
    assert.deepEqual([bytes.readFloatLE(112), bytes.readFloatLE(116)], [1, 0]);
    assert.deepEqual([bytes.readInt16LE(252), bytes.readInt16LE(254)], [1, 1]);
    bytes.writeInt16LE(0, 254);
    const { geometry } = await readNifti(bytes);
    geometry.affine.forEach((value, index) => {
      assert.ok(Math.abs(value - AFFINE[index]) < 1e-5);
    });
  });

  it('gives a sheared grid a sform alone', () => {
    const sheared: Affine = [1, 0, 0, 0, 0, 1, 0.4, 0, 0, 0, 1, 0];
    const bytes = Buffer.from(
      encodeNifti({ geometry: { shape: [1, 1, 1], affine: sheared }, data: new Uint8Array(1) }),
    );
    assert.deepEqual([bytes.readInt16LE(252), bytes.readInt16LE(254)], [0, 1]);
  });

  it('repeats the form of another file bit for bit, whatever its byte order', async () => {
    const float = fc.float({ noNaN: true, noDefaultInfinity: true, min: -500, max: 500 });
    const vector = (length: number) => fc.array(float, { minLength: length, maxLength: length });
    await fc.assert(
      fc.asyncProperty(
        vector(3),
        vector(3),
        vector(3),
        fc.constantFrom('LE', 'BE'),
        async (q, offset, sizes, endian) => {
          const source = niftiBytes({
            endian: endian as 'LE' | 'BE',
            quatern: q,
            qoffset: offset,
            pixdim: [-1, ...sizes, 2, 3, 4, 5],
            qformCode: 3,
            sformCode: 2,
            srow: [0, 0.75, 0, offset[0], -0.7, 0, 0, offset[1], 0, 0, 2.5, offset[2]],
            xyztUnits: 10,
          });
          const { geometry, header } = await readNifti(source);
          const mask: Mask = { geometry, data: new Uint8Array(8) };
          const written = Buffer.from(encodeNifti(mask, { like: header }));
          const expected = endian === 'LE' ? source : toLittleEndian(source);
          for (const [from, to] of [
            [76, 108],
            [123, 124],
            [252, 328],
          ]) {
            assert.deepEqual(written.subarray(from, to), expected.subarray(from, to), `bytes ${from} to ${to}`);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  it('refuses a header of another grid and a volume of another length', async () => {
    const { geometry, header } = await readNifti(niftiBytes());
    const moved = { ...geometry, affine: AFFINE };
    assert.throws(() => encodeNifti({ geometry: moved, data: new Uint8Array(8) }, { like: header }), /does not lie/);
    assert.throws(() => encodeNifti({ geometry, data: new Uint8Array(7) }), { code: 'invalid-input' });
  });

  it('turns rotations into quaternions and back', () => {
    fc.assert(
      fc.property(angle, angle, angle, fc.tuple(step, step, step), fc.boolean(), (a, b, c, spacing, mirror) => {
        const affine = rotated(a, b, c, spacing, mirror);
        const quaternion = quaternionOf(affine);
        assert.ok(quaternion !== undefined);
        assert.equal(quaternion.qfac, mirror ? -1 : 1);
        const back = affineOfQuaternion(quaternion, spacing, [7, 7, 7]);
        back.forEach((value, index) => {
          assert.ok(Math.abs(value - affine[index]) < 1e-6 * 10, `element ${index}: ${value} and ${affine[index]}`);
        });
      }),
    );
  });
});

/** Swaps the numbers of the form fields from big to little endian. */
function toLittleEndian(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  copy.subarray(76, 108).swap32();
  copy.subarray(252, 256).swap16();
  copy.subarray(256, 328).swap32();
  return copy;
}
