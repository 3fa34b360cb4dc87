import assert from 'node:assert/strict';
import fc from 'fast-check';
import { encodeNifti, readNifti } from '../../imaging/nifti';
import type { Affine, Vector3 } from '../../imaging/volume';
import { niftiBytes } from './nifti-bytes';

type Quaternion = readonly [a: number, b: number, c: number, d: number];

function hamilton([a, b, c, d]: Quaternion, [e, f, g, h]: Quaternion): Quaternion {
  return [
    a * e - b * f - c * g - d * h,
    a * f + b * e + c * h - d * g,
    a * g - b * h + c * e + d * f,
    a * h + b * g - c * f + d * e,
  ];
}

/** q v q*, the rotation that a unit quaternion stands for: the definition, not the matrix of nifti1.h. */
function rotated(q: Quaternion, [x, y, z]: Vector3): Vector3 {
  const [, i, j, k] = hamilton(hamilton(q, [0, x, y, z]), [q[0], -q[1], -q[2], -q[3]]);
  return [i, j, k];
}

const part = fc.double({ min: -1, max: 1, noNaN: true });
/** Unit quaternions with a >= 0, as NIfTI-1 stores them. */
const rotations = fc
  .tuple(part, part, part, part)
  .filter((parts) => Math.hypot(...parts) > 0.1)
  .map((parts) => {
    const length = Math.hypot(...parts) * (parts[0] < 0 ? -1 : 1);
    return parts.map((value) => value / length) as unknown as Quaternion;
  });
const mm = fc.double({ min: 0.1, max: 9, noNaN: true }).map(Math.fround);
const spacings = fc.tuple(mm, mm, mm);
const OFFSET: Vector3 = [-7, 8, 9];

function affineFrom(q: Quaternion, spacing: Vector3, qfac: number): Affine {
  const columns = [
    rotated(q, [spacing[0], 0, 0]),
    rotated(q, [0, spacing[1], 0]),
    rotated(q, [0, 0, qfac < 0 ? -spacing[2] : spacing[2]]),
    OFFSET,
  ];
  return [0, 1, 2].flatMap((row) => columns.map((column) => column[row])) as unknown as Affine;
}

function assertClose(actual: Affine, expected: Affine, tolerance: number): void {
  actual.forEach((value, at) => {
    assert.ok(Math.abs(value - expected[at]) <= tolerance, `[${actual}] is not [${expected}]`);
  });
}

/** a = sqrt(1 - b^2 - c^2 - d^2) loses half the digits of single precision near half turns: sqrt(2^-24) of at most 9 mm. */
const TOLERANCE = 9 * 1e-3;

describe('the qform of NIfTI-1', () => {
  it('is the rotation of its quaternion, with voxel sizes and qfac applied first', async () => {
    await fc.assert(
      fc.asyncProperty(rotations, spacings, fc.constantFrom(-1, 0, 1), async (q, spacing, qfac) => {
        const bytes = niftiBytes({
          sformCode: 0,
          qformCode: 1,
          pixdim: [qfac, ...spacing, 0, 0, 0, 0],
          quatern: q.slice(1),
          qoffset: OFFSET,
        });
        const { geometry, header } = await readNifti(bytes);
        assert.equal(header.orientation, 'qform');
        assertClose(geometry.affine, affineFrom(q, spacing, qfac), TOLERANCE);
      }),
    );
  });

  it('is written so that readers of the qform and readers of the sform see the same grid', async () => {
    await fc.assert(
      fc.asyncProperty(rotations, spacings, fc.constantFrom(-1, 1), async (q, spacing, qfac) => {
        const affine = affineFrom(q, spacing, qfac);
        const bytes = encodeNifti({ geometry: { shape: [2, 1, 1], affine }, data: Uint8Array.of(0, 1) });
        const bySform = await readNifti(bytes);
        assert.equal(bySform.header.orientation, 'sform');
        assertClose(bySform.geometry.affine, affine, 1e-5);
        new DataView(bytes.buffer).setInt16(254, 0, true); // sform_code
        const byQform = await readNifti(bytes);
        assert.equal(byQform.header.orientation, 'qform');
        assertClose(byQform.geometry.affine, affine, TOLERANCE);
      }),
    );
  });
});
