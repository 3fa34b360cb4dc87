import { PixelDataError } from './rle';

/** What a compressed frame says of itself, read before any decoder reserves memory for it. */
export interface CodedFrame {
  readonly width: number;
  readonly height: number;
  readonly components: number;
  /** Bits of a sample. */
  readonly precision: number;
}

/** Segment of a JPEG stream (ITU-T T.81, annex B): its marker, where its content begins and how long that is. */
export interface Segment {
  readonly marker: number;
  readonly start: number;
  readonly length: number;
}

const SOI = 0xd8;
const EOI = 0xd9;
export const START_OF_SCAN = 0xda;

/** The segments from the beginning to the first start of scan. @throws PixelDataError */
export function* segmentsOf(stream: Uint8Array): Generator<Segment> {
  if (stream[0] !== 0xff || stream[1] !== SOI) throw new PixelDataError('its JPEG data have no beginning');
  for (let at = 2; ; ) {
    while (stream[at] === 0xff && stream[at + 1] === 0xff) at += 1; // fill bytes
    const marker = stream[at + 1];
    const length = stream[at + 2] * 256 + stream[at + 3];
    if (stream[at] !== 0xff || marker === EOI || !(length >= 2) || at + 2 + length > stream.length) {
      throw new PixelDataError('its JPEG data are cut off or damaged');
    }
    yield { marker, start: at + 4, length: length - 2 };
    if (marker === START_OF_SCAN) return;
    at += 2 + length;
  }
}

/** Start-of-frame markers; C4, C8 and CC are something else, F7 is JPEG-LS (ITU-T T.87). */
export function isStartOfFrame(marker: number): boolean {
  return (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) || marker === 0xf7;
}

/** @throws PixelDataError */
export function jpegFrame(stream: Uint8Array): CodedFrame {
  for (const { marker, start, length } of segmentsOf(stream)) {
    if (isStartOfFrame(marker) && length >= 6) {
      const [precision, h1, h0, w1, w0, components] = stream.subarray(start);
      return { precision, height: h1 * 256 + h0, width: w1 * 256 + w0, components };
    }
  }
  throw new PixelDataError('its JPEG data have no frame header');
}

const JP2_SIGNATURE = Uint8Array.of(0, 0, 0, 12, 0x6a, 0x50, 0x20, 0x20);

/** Reads the SIZ segment, which comes first in a codestream (ITU-T T.800, annex A.5.1). @throws PixelDataError */
export function jpeg2000Frame(stream: Uint8Array): CodedFrame {
  if (JP2_SIGNATURE.every((byte, at) => stream[at] === byte)) {
    throw new PixelDataError('its JPEG 2000 data are a whole .jp2 file, where DICOM has a bare codestream');
  }
  if (stream.length < 43 || stream[0] !== 0xff || stream[1] !== 0x4f || stream[2] !== 0xff || stream[3] !== 0x51) {
    throw new PixelDataError('its JPEG 2000 data have no beginning');
  }
  const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
  const width = view.getUint32(8) - view.getUint32(16);
  const height = view.getUint32(12) - view.getUint32(20);
  return { width, height, components: view.getUint16(40), precision: (stream[42] & 0x7f) + 1 };
}
