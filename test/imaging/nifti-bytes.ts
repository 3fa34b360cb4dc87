/** Builds NIfTI-1 files field by field from the standard's table, without the code under test. */

export interface NiftiFields {
  readonly endian?: 'LE' | 'BE';
  readonly sizeofHdr?: number;
  readonly dim?: readonly number[];
  readonly datatype?: number;
  readonly bitpix?: number;
  readonly pixdim?: readonly number[];
  readonly voxOffset?: number;
  readonly slope?: number;
  readonly inter?: number;
  readonly xyztUnits?: number;
  readonly qformCode?: number;
  readonly sformCode?: number;
  readonly quatern?: readonly number[];
  readonly qoffset?: readonly number[];
  readonly srow?: readonly number[];
  readonly magic?: string;
  /** Stored values, written as `datatype` asks. */
  readonly voxels?: readonly number[];
}

export const CODES = {
  uint8: [2, 1],
  int8: [256, 1],
  int16: [4, 2],
  uint16: [512, 2],
  int32: [8, 4],
  uint32: [768, 4],
  float32: [16, 4],
  float64: [64, 8],
} as const;

type Put = (buffer: Buffer, value: number, at: number) => unknown;

const PUT: Readonly<Record<number, Readonly<Record<'LE' | 'BE', Put>>>> = {
  2: { LE: (b, v, at) => b.writeUInt8(v, at), BE: (b, v, at) => b.writeUInt8(v, at) },
  256: { LE: (b, v, at) => b.writeInt8(v, at), BE: (b, v, at) => b.writeInt8(v, at) },
  4: { LE: (b, v, at) => b.writeInt16LE(v, at), BE: (b, v, at) => b.writeInt16BE(v, at) },
  512: { LE: (b, v, at) => b.writeUInt16LE(v, at), BE: (b, v, at) => b.writeUInt16BE(v, at) },
  8: { LE: (b, v, at) => b.writeInt32LE(v, at), BE: (b, v, at) => b.writeInt32BE(v, at) },
  768: { LE: (b, v, at) => b.writeUInt32LE(v, at), BE: (b, v, at) => b.writeUInt32BE(v, at) },
  16: { LE: (b, v, at) => b.writeFloatLE(v, at), BE: (b, v, at) => b.writeFloatBE(v, at) },
  64: { LE: (b, v, at) => b.writeDoubleLE(v, at), BE: (b, v, at) => b.writeDoubleBE(v, at) },
};

export function niftiBytes(fields: NiftiFields = {}): Buffer {
  const { endian = 'LE', datatype = 4, voxOffset = 352, voxels = [1, 2, 3, 4, 5, 6, 7, 8] } = fields;
  const width = Object.values(CODES).find(([code]) => code === datatype)?.[1] ?? 1;
  const start = Number.isFinite(voxOffset) && voxOffset >= 352 && voxOffset < 1e6 ? Math.floor(voxOffset) : 352;
  const buffer = Buffer.alloc(start + voxels.length * width, 0);
  const each = (put: Put, values: readonly number[], at: number, step: number): void => {
    for (const [index, value] of values.entries()) put(buffer, value, at + index * step);
  };
  const short = PUT[4][endian];
  const float = PUT[16][endian];
  PUT[8][endian](buffer, fields.sizeofHdr ?? 348, 0);
  each(short, fields.dim ?? [3, 2, 2, 2, 1, 1, 1, 1], 40, 2);
  short(buffer, datatype, 70);
  short(buffer, fields.bitpix ?? width * 8, 72);
  each(float, fields.pixdim ?? [1, 1, 1, 1, 0, 0, 0, 0], 76, 4);
  float(buffer, voxOffset, 108);
  float(buffer, fields.slope ?? 0, 112);
  float(buffer, fields.inter ?? 0, 116);
  buffer.writeUInt8(fields.xyztUnits ?? 2, 123);
  short(buffer, fields.qformCode ?? 0, 252);
  short(buffer, fields.sformCode ?? 1, 254);
  each(float, fields.quatern ?? [0, 0, 0], 256, 4);
  each(float, fields.qoffset ?? [0, 0, 0], 268, 4);
  each(float, fields.srow ?? [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0], 280, 4);
  buffer.write(fields.magic ?? 'n+1\0', 344, 'latin1');
  each(PUT[datatype]?.[endian] ?? PUT[2].LE, voxels, start, width);
  return buffer;
}
