import { gzipSync } from 'node:zlib';

/** A NIfTI-1 file made by hand from the standard (nifti1.h), so that tests do not lean on the reader that they check. */
export interface TinyVolume {
  readonly shape: readonly [number, number, number];
  readonly voxels: ArrayLike<number>;
  /** Rows of the sform. */
  readonly srow?: readonly (readonly [number, number, number, number])[];
}

const HEADER = 352;

export function niftiBytes({ shape, voxels, srow = DEFAULT_SROW }: TinyVolume): Buffer {
  const bytes = Buffer.alloc(HEADER + voxels.length * 2);
  bytes.writeInt32LE(348, 0);
  for (const [at, size] of [3, ...shape, 1, 1, 1, 1].entries()) bytes.writeInt16LE(size, 40 + 2 * at);
  bytes.writeInt16LE(4, 70); // DT_INT16
  bytes.writeInt16LE(16, 72);
  const spacing = [0, 1, 2].map((axis) => Math.hypot(srow[0][axis], srow[1][axis], srow[2][axis]));
  for (const [at, size] of [1, ...spacing, 0, 0, 0, 0].entries()) bytes.writeFloatLE(size, 76 + 4 * at);
  bytes.writeFloatLE(HEADER, 108);
  bytes.writeFloatLE(1, 112); // scl_slope
  bytes.writeUInt8(10, 123); // mm and s
  bytes.writeInt16LE(1, 252); // qform: scanner
  bytes.writeInt16LE(2, 254); // sform: aligned
  for (const [at, row] of srow.entries()) bytes.writeFloatLE(row[3], 268 + 4 * at);
  for (const [at, value] of srow.flat().entries()) bytes.writeFloatLE(value, 280 + 4 * at);
  bytes.write('n+1\0', 344, 'latin1');
  for (let at = 0; at < voxels.length; at += 1) bytes.writeInt16LE(voxels[at], HEADER + 2 * at);
  return bytes;
}

const DEFAULT_SROW = [
  [2, 0, 0, -10],
  [0, 2, 0, -20],
  [0, 0, 3, 30],
] as const;

/** What a mask's bytes say, read at the offsets of the standard. */
export function parseNifti(file: Buffer) {
  return {
    shape: [file.readInt16LE(42), file.readInt16LE(44), file.readInt16LE(46)],
    datatype: file.readInt16LE(70),
    pixdim: file.subarray(76, 92),
    qform: file.subarray(256, 280),
    formCodes: [file.readInt16LE(252), file.readInt16LE(254)],
    sform: file.subarray(280, 328),
    units: file.readUInt8(123),
    data: file.subarray(file.readFloatLE(108)),
  };
}

/** Volumes that tell the double in `fake-engine.ts` what to do, by their first voxel. */
export function volumeThat(order: number, shape: readonly [number, number, number] = [4, 3, 2]): Buffer {
  const voxels = new Int16Array(shape[0] * shape[1] * shape[2]);
  voxels[0] = order;
  voxels[voxels.length - 1] = 100; // what the double takes for the organ
  return gzipSync(niftiBytes({ shape, voxels }));
}
