import { crc32, deflateSync } from 'node:zlib';
import { ClaraError } from '../base/errors';

/** Pixels row by row from the top left. */
interface PngPixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** Four bytes a pixel: red, green, blue, opacity. */
export type RgbaImage = PngPixels;

export const PNG_SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const BIT_DEPTH = 8;
const GREY = 0;
const COLOUR_WITH_ALPHA = 6;
/** Filter types of the PNG specification, section 9.2. */
const FILTER_SUB = 1;

/** A PNG file (ISO/IEC 15948) of 8-bit RGBA. @throws ClaraError invalid-input when size and data disagree */
export function encodePng(image: RgbaImage): Buffer {
  return encode(image, COLOUR_WITH_ALPHA, 4);
}

/** A PNG file of 8-bit grey values. @throws ClaraError invalid-input when size and data disagree */
export function encodeGreyPng(image: PngPixels): Buffer {
  return encode(image, GREY, 1);
}

function encode({ width, height, data }: PngPixels, colourType: number, bytesPerPixel: number): Buffer {
  if (width < 1 || height < 1 || data.length !== width * height * bytesPerPixel) {
    throw new ClaraError('invalid-input', `an image of ${width} x ${height} pixels cannot have ${data.length} bytes`);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = BIT_DEPTH;
  header[9] = colourType;
  return Buffer.concat([
    PNG_SIGNATURE,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(filtered(width, height, data, bytesPerPixel), { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** The image as a `data:` URL, for pages that must stand alone. */
export function pngDataUrl(image: RgbaImage): string {
  return `data:image/png;base64,${encodePng(image).toString('base64')}`;
}

/** Each row after its filter byte; a pixel is stored as the difference to its left neighbour, which deflates better. */
function filtered(width: number, height: number, data: Uint8Array, bytesPerPixel: number): Buffer {
  const stride = width * bytesPerPixel;
  const rows = Buffer.alloc((stride + 1) * height);
  for (let y = 0; y < height; y += 1) {
    const target = y * (stride + 1);
    rows[target] = FILTER_SUB;
    for (let x = 0; x < stride; x += 1) {
      const left = x < bytesPerPixel ? 0 : data[y * stride + x - bytesPerPixel];
      rows[target + 1 + x] = data[y * stride + x] - left;
    }
  }
  return rows;
}

function chunk(type: string, body: Uint8Array): Buffer {
  const framed = Buffer.alloc(body.length + 12);
  framed.writeUInt32BE(body.length, 0);
  framed.write(type, 4, 'latin1');
  framed.set(body, 8);
  framed.writeUInt32BE(crc32(framed.subarray(4, 8 + body.length)), 8 + body.length);
  return framed;
}
