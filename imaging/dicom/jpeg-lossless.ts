import { isStartOfFrame, START_OF_SCAN, segmentsOf } from './jpeg-markers';
import { PixelDataError } from './rle';

/**
 * Lossless JPEG with Huffman codes (ITU-T T.81, process 14, annex H), one component of 2 to 16 bits, all seven predictors,
 * restart intervals and point transform. Written here because it is short, and because whatever arrives it ends after as many
 * samples as the caller has room for.
 *
 * @param pixels width x height of the frame, which the caller has compared with the image's
 * @returns samples, row by row
 * @throws PixelDataError
 */
export function decodeJpegLossless(stream: Uint8Array, pixels: number): Uint16Array {
  const { width, precision, tables, tableId, predictor, shift, restart, scan } = headersOf(stream);
  const table = tables.get(tableId);
  if (table === undefined) throw new PixelDataError('its JPEG data lack a table of codes');
  if (restart % width !== 0) throw new PixelDataError('its JPEG data start again within a row');
  const bits = new BitReader(stream, scan);
  const samples = new Uint16Array(pixels);
  for (let row = 0; row < pixels; row += width) {
    const first = row === 0 || (restart > 0 && row % restart === 0);
    if (first && row > 0) bits.skipRestartMarker();
    samples[row] = (first ? 1 << (precision - shift - 1) : samples[row - width]) + bits.difference(table);
    for (let at = row + 1; at < row + width; at += 1) {
      const left = samples[at - 1];
      const predicted = first ? left : PREDICTORS[predictor - 1](left, samples[at - width], samples[at - width - 1]);
      samples[at] = predicted + bits.difference(table);
    }
  }
  if (shift > 0) for (let at = 0; at < pixels; at += 1) samples[at] <<= shift;
  return samples;
}

/** Table H.1, from the samples to the left, above, and left of above. */
const PREDICTORS: readonly ((left: number, above: number, corner: number) => number)[] = [
  (left) => left,
  (_, above) => above,
  (_left, _above, corner) => corner,
  (left, above, corner) => left + above - corner,
  (left, above, corner) => left + ((above - corner) >> 1),
  (left, above, corner) => above + ((left - corner) >> 1),
  (left, above) => (left + above) >> 1,
];

const SOF3 = 0xc3;
const DHT = 0xc4;
const DRI = 0xdd;

interface Headers {
  readonly width: number;
  readonly precision: number;
  readonly tables: ReadonlyMap<number, HuffmanTable>;
  readonly tableId: number;
  readonly predictor: number;
  /** Point transform: how many low bits were dropped. */
  readonly shift: number;
  /** Samples between restart markers; 0 for none. */
  readonly restart: number;
  /** Where the coded data begin. */
  readonly scan: number;
}

function headersOf(stream: Uint8Array): Headers {
  const tables = new Map<number, HuffmanTable>();
  let frame: { width: number; precision: number } | undefined;
  let restart = 0;
  for (const { marker, start, length } of segmentsOf(stream)) {
    const content = stream.subarray(start, start + length);
    if (isStartOfFrame(marker)) {
      if (marker !== SOF3) throw new PixelDataError('its JPEG data are not lossless with Huffman codes');
      frame = { precision: content[0], width: content[3] * 256 + content[4] };
    } else if (marker === DHT) readTables(content, tables);
    else if (marker === DRI && length >= 2) restart = content[0] * 256 + content[1];
    else if (marker === START_OF_SCAN) {
      const [components, , ids, predictor, , transform] = content;
      const shift = transform & 15;
      const precision = frame?.precision ?? 0;
      const sane = predictor >= 1 && predictor <= 7 && precision >= 2 && precision <= 16 && shift < precision;
      if (components !== 1 || frame === undefined || frame.width === 0 || !sane || length < 6) break;
      return { ...frame, tables, tableId: ids >> 4, predictor, shift, restart, scan: start + length };
    }
  }
  throw new PixelDataError('its JPEG headers are incomplete');
}

/** Canonical codes by length (annex C). */
interface HuffmanTable {
  /** Largest code of each length, or -1. */
  readonly largest: readonly number[];
  /** What to add to a code of a length to have the index of its value. */
  readonly offset: readonly number[];
  readonly values: Uint8Array;
}

const LONGEST_CODE = 16;

function readTables(content: Uint8Array, tables: Map<number, HuffmanTable>): void {
  for (let at = 0; at < content.length; ) {
    const id = content[at] & 15;
    const counts = content.subarray(at + 1, at + 1 + LONGEST_CODE);
    const total = counts.reduce((sum, count) => sum + count, 0);
    const values = content.subarray(at + 1 + LONGEST_CODE, at + 1 + LONGEST_CODE + total);
    if (counts.length < LONGEST_CODE || values.length < total) {
      throw new PixelDataError('its JPEG data have a table of codes that is cut off');
    }
    const largest = [-1];
    const offset = [0];
    let code = 0;
    let index = 0;
    for (const count of counts) {
      offset.push(index - code);
      index += count;
      code += count;
      largest.push(count === 0 ? -1 : code - 1);
      code *= 2;
    }
    tables.set(id, { largest, offset, values });
    at += 1 + LONGEST_CODE + total;
  }
}

class BitReader {
  private byte = 0;
  /** Bits of `byte` that have not been taken. */
  private left = 0;

  constructor(
    private readonly stream: Uint8Array,
    private at: number,
  ) {}

  /** The next difference of annex H.1.2.2: a code for its number of bits, then those. */
  difference({ largest, offset, values }: HuffmanTable): number {
    let code = 0;
    for (let length = 1; length <= LONGEST_CODE; length += 1) {
      code = code * 2 + this.bit();
      if (code <= largest[length]) {
        const size = values[code + offset[length]];
        if (size === 0) return 0;
        if (size >= 16) return 32768;
        let value = 0;
        for (let n = 0; n < size; n += 1) value = value * 2 + this.bit();
        return value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
      }
    }
    throw new PixelDataError('its JPEG data have a code that is not in the table');
  }

  /** Goes on behind the next restart marker. */
  skipRestartMarker(): void {
    this.left = 0;
    while (this.stream[this.at] === 0xff && this.stream[this.at + 1] === 0xff) this.at += 1;
    const marker = this.stream[this.at + 1];
    if (this.stream[this.at] !== 0xff || !(marker >= 0xd0 && marker <= 0xd7)) {
      throw new PixelDataError('its JPEG data lack a restart marker');
    }
    this.at += 2;
  }

  private bit(): number {
    if (this.left === 0) {
      this.byte = this.stream[this.at];
      // 0xff is followed by a stuffed 0; anything else is a marker, where the data end.
      if (this.byte === undefined || (this.byte === 0xff && this.stream[this.at + 1] !== 0)) {
        throw new PixelDataError('its JPEG data break off');
      }
      this.at += this.byte === 0xff ? 2 : 1;
      this.left = 8;
    }
    this.left -= 1;
    return (this.byte >> this.left) & 1;
  }
}
