import makeCharls from '@cornerstonejs/codec-charls/decodewasmjs';
import makeTurbo from '@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs';
import makeOpenJpeg from '@cornerstonejs/codec-openjpeg/decodewasmjs';
import { decodeJpegLossless } from './jpeg-lossless';
import { type CodedFrame, jpeg2000Frame, jpegFrame } from './jpeg-markers';
import { decodeRle, PixelDataError } from './rle';
import type { PixelFormat } from './slice';
import type { Encoding } from './uids';

/** Decoders of compressed pixels: CharLS, libjpeg-turbo and OpenJPEG as WebAssembly, the rest in this folder. */

/**
 * One frame as it would be uncompressed: `bitsAllocated / 8` bytes a sample, least significant first.
 *
 * @throws PixelDataError when the frame is not what rows, columns and bits promise, or is damaged
 */
export async function decodeFrame(
  coded: Uint8Array,
  rows: number,
  columns: number,
  format: PixelFormat,
): Promise<Uint8Array> {
  const { encoding, bitsAllocated } = format;
  const bytes = bitsAllocated / 8;
  if (encoding === 'rle') return decodeRle(coded, rows * columns, bytes);
  const frame = encoding === 'jpeg-2000' ? jpeg2000Frame(coded) : jpegFrame(coded);
  // Before any decoder reserves memory for what the frame says of itself.
  if (frame.width !== columns || frame.height !== rows || frame.components !== 1) {
    throw new PixelDataError(
      `its compressed frame is ${frame.width} x ${frame.height} with ${frame.components} values a pixel, ` +
        `where the header says ${columns} x ${rows} with one`,
    );
  }
  if (frame.precision > bitsAllocated) {
    throw new PixelDataError(
      `its compressed frame has ${frame.precision} bits a pixel, where ${bitsAllocated} have room`,
    );
  }
  const samples =
    encoding === 'jpeg-lossless'
      ? bytesOf(decodeJpegLossless(coded, rows * columns))
      : await decodeByModule(encoding as ModuleEncoding, coded, frame);
  return widened(samples, rows * columns, bytes, encoding === 'jpeg-lossless' || frame.precision > 8 ? 2 : 1);
}

type ModuleEncoding = Exclude<Encoding, 'native' | 'rle' | 'jpeg-lossless'>;

const MODULES: Readonly<Record<ModuleEncoding, CornerstoneFactory>> = {
  'jpeg-2000': makeOpenJpeg,
  'jpeg-ls': makeCharls,
  jpeg: makeTurbo,
};

const DECODERS: Readonly<Record<ModuleEncoding, keyof CornerstoneModule>> = {
  'jpeg-2000': 'J2KDecoder',
  'jpeg-ls': 'JpegLSDecoder',
  jpeg: 'JPEGDecoder',
};

const loaded = new Map<ModuleEncoding, Promise<CornerstoneModule>>();

async function decodeByModule(encoding: ModuleEncoding, coded: Uint8Array, frame: CodedFrame): Promise<Uint8Array> {
  if (encoding === 'jpeg' && frame.precision !== 8) {
    throw new PixelDataError(
      `it is lossy JPEG of ${frame.precision} bits, which is not read here; send it uncompressed, or as JPEG lossless or JPEG 2000`,
    );
  }
  // Emscripten would else take over what this process does with errors that nobody caught.
  const module = loaded.get(encoding) ?? MODULES[encoding]({ print: () => {}, printErr: () => {} });
  loaded.set(encoding, module);
  let decoder: CornerstoneDecoder | undefined;
  try {
    decoder = new (await module)[DECODERS[encoding]]();
    decoder.getEncodedBuffer(coded.length).set(coded);
    decoder.decode();
    const { width, height, componentCount } = decoder.getFrameInfo();
    if (width !== frame.width || height !== frame.height || componentCount !== 1) throw new Error('another frame');
    return decoder.getDecodedBuffer().slice();
  } catch {
    loaded.delete(encoding); // its memory may be in any state
    throw new PixelDataError(`its ${NAMES[encoding]} data are damaged`);
  } finally {
    if (loaded.has(encoding)) decoder?.delete();
  }
}

const NAMES: Readonly<Record<ModuleEncoding, string>> = {
  'jpeg-2000': 'JPEG 2000',
  'jpeg-ls': 'JPEG-LS',
  jpeg: 'JPEG',
};

function bytesOf(samples: Uint16Array): Uint8Array {
  const bytes = new Uint8Array(samples.length * 2);
  for (let at = 0; at < samples.length; at += 1) {
    bytes[2 * at] = samples[at];
    bytes[2 * at + 1] = samples[at] >> 8;
  }
  return bytes;
}

/** Samples of `from` bytes as samples of `to` bytes. */
function widened(samples: Uint8Array, pixels: number, to: number, from: number): Uint8Array {
  if (samples.length < pixels * from) throw new PixelDataError('its compressed frame has too few pixels');
  if (from === to) return samples;
  const wide = new Uint8Array(pixels * to);
  for (let at = 0; at < pixels; at += 1) {
    for (let byte = 0; byte < Math.min(from, to); byte += 1) wide[at * to + byte] = samples[at * from + byte];
  }
  return wide;
}
