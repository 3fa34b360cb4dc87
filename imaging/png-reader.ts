import { inflateSync } from 'node:zlib';
import { ClaraError } from '../base/errors';
import { PNG_SIGNATURE } from './png';

/** A picture as grey values, row by row from the top left: 0..255, or 0..65535 for 16 bits. */
export interface GreyImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint16Array;
}

/** More pixels are no slice of a patient. */
const MAX_PIXELS = 2 ** 26;
/** Samples a pixel by colour type (PNG specification, section 11.2.2): grey, RGB, grey and alpha, RGBA. */
const SAMPLES: Readonly<Record<number, number>> = { 0: 1, 2: 3, 4: 2, 6: 4 };
/** Of red, green and blue in brightness (ITU-R BT.601). */
const LUMA = [0.299, 0.587, 0.114] as const;

export function isPng(bytes: Uint8Array): boolean {
  return PNG_SIGNATURE.every((byte, at) => bytes[at] === byte);
}

/**
 * Reads a PNG file of 8 or 16 bits a sample as grey values; opacity is left out.
 *
 * @throws ClaraError corrupt; unsupported (palettes, interlacing, fewer bits); resource-exhausted
 */
export function decodePng(file: Uint8Array, name: string): GreyImage {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const data: Buffer[] = [];
  let header: Buffer | undefined;
  for (const { type, body } of chunksOf(bytes, name)) {
    if (type === 'IHDR') header = body;
    else if (type === 'IDAT') data.push(body);
    else if (type === 'IEND') break;
  }
  if (header === undefined || header.length !== 13) throw damaged(name, 'it has no header');
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const [depth, colour, , , interlace] = header.subarray(8);
  const samples = SAMPLES[colour];
  if (samples === undefined || interlace !== 0 || (depth !== 8 && depth !== 16)) {
    throw new ClaraError(
      'unsupported',
      `${name} is interlaced, has a palette or fewer than 8 bits: save it as plain grey PNG`,
    );
  }
  if (width < 1 || height < 1 || width * height > MAX_PIXELS) {
    throw new ClaraError(
      'resource-exhausted',
      `${name} has ${width} x ${height} pixels, over the limit of ${MAX_PIXELS}`,
    );
  }
  const step = samples * (depth / 8);
  const rows = inflated(Buffer.concat(data), height * (width * step + 1), name);
  unfilter(rows, height, width * step, step, name);
  return { width, height, data: greyOf(rows, width, height, samples, depth) };
}

function* chunksOf(bytes: Buffer, name: string): Generator<{ type: string; body: Buffer }> {
  if (!isPng(bytes)) throw damaged(name, 'it has no PNG signature');
  for (let at = PNG_SIGNATURE.length; at < bytes.length; ) {
    const length = at + 12 <= bytes.length ? bytes.readUInt32BE(at) : Number.NaN;
    if (!(at + 12 + length <= bytes.length)) throw damaged(name, 'it breaks off');
    yield { type: bytes.toString('latin1', at + 4, at + 8), body: bytes.subarray(at + 8, at + 8 + length) };
    at += 12 + length;
  }
}

function inflated(data: Buffer, expected: number, name: string): Buffer {
  let rows: Buffer;
  try {
    rows = inflateSync(data, { maxOutputLength: expected });
  } catch {
    throw damaged(name, 'its pixels cannot be unpacked');
  }
  if (rows.length !== expected) throw damaged(name, 'it has too few pixels');
  return rows;
}

/** Undoes the filter of each row in place (PNG specification, section 9). */
function unfilter(rows: Buffer, height: number, stride: number, step: number, name: string): void {
  for (let y = 0; y < height; y += 1) {
    const start = y * (stride + 1) + 1;
    const filter = rows[start - 1];
    if (filter > 4) throw damaged(name, 'a row has an unknown filter');
    for (let at = 0; at < stride; at += 1) {
      const left = at < step ? 0 : rows[start + at - step];
      const up = y === 0 ? 0 : rows[start + at - stride - 1];
      const corner = y === 0 || at < step ? 0 : rows[start + at - stride - 1 - step];
      const predicted =
        filter === 0
          ? 0
          : filter === 1
            ? left
            : filter === 2
              ? up
              : filter === 3
                ? (left + up) >> 1
                : paeth(left, up, corner);
      rows[start + at] += predicted;
    }
  }
}

function paeth(left: number, up: number, corner: number): number {
  const estimate = left + up - corner;
  const [a, b, c] = [Math.abs(estimate - left), Math.abs(estimate - up), Math.abs(estimate - corner)];
  if (a <= b && a <= c) return left;
  return b <= c ? up : corner;
}

function greyOf(rows: Buffer, width: number, height: number, samples: number, depth: number): GreyImage['data'] {
  const grey = depth === 8 ? new Uint8Array(width * height) : new Uint16Array(width * height);
  const bytes = depth / 8;
  for (let y = 0, at = 0; y < height; y += 1) {
    let from = y * (width * samples * bytes + 1) + 1;
    for (let x = 0; x < width; x += 1, at += 1, from += samples * bytes) {
      const read = (sample: number): number =>
        bytes === 1 ? rows[from + sample] : rows.readUInt16BE(from + 2 * sample);
      grey[at] = samples < 3 ? read(0) : Math.round(LUMA[0] * read(0) + LUMA[1] * read(1) + LUMA[2] * read(2));
    }
  }
  return grey;
}

function damaged(name: string, why: string): ClaraError {
  return new ClaraError('corrupt', `${name} is no PNG image that can be read: ${why}`);
}
