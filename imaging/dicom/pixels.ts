import { type ByteArray, readEncapsulatedImageFrame, readEncapsulatedPixelDataFromFragments } from 'dicom-parser';
import { ClaraError } from '../../base/errors';
import { decodeFrame } from './codecs';
import type { DicomFile } from './data-set';
import { PixelDataError } from './rle';
import type { PixelFormat, Slice } from './slice';

const PIXEL_DATA = 'x7fe00010';

/** Writes the real values of a slice into `target`. */
export type PutSlice = (target: { [index: number]: number }, first: number) => void;

/**
 * Decodes the pixels of a slice.
 *
 * @returns what puts them, scaled, wherever they are wanted
 * @throws ClaraError corrupt when there are fewer pixels than rows and columns promise, or they are damaged
 */
export async function pixelsOf(file: DicomFile, slice: Slice): Promise<PutSlice> {
  const { rows, columns, format } = slice;
  const stored =
    format.encoding === 'native'
      ? nativeFrame(file, slice)
      : await decodeFrame(codedFrame(file, slice), rows, columns, format).catch((error) => {
          throw error instanceof PixelDataError ? damaged(slice, error.message) : error;
        });
  const read = sampleReader(stored, format);
  const { slope, intercept, inverted } = slice;
  const turned = format.signed ? -1 : 2 ** format.bitsStored - 1;
  return (target, first) => {
    for (let at = 0; at < rows * columns; at += 1) {
      const value = read(at);
      target[first + at] = (inverted ? turned - value : value) * slope + intercept;
    }
  };
}

/** Least and greatest value that a slice can have. */
export function rangeOf({ format, slope, intercept, inverted }: Slice): readonly [number, number] {
  const { signed, bitsStored } = format;
  const least = signed ? -(2 ** (bitsStored - 1)) : 0;
  const ends = [least, least + 2 ** bitsStored - 1];
  const turned = signed ? -1 : 2 ** bitsStored - 1;
  const real = ends.map((value) => (inverted ? turned - value : value) * slope + intercept);
  return [Math.min(...real), Math.max(...real)];
}

/** A view of the frame's bytes, least significant first. */
function nativeFrame({ dataSet }: DicomFile, slice: Slice): Uint8Array {
  const { rows, columns, frame, format } = slice;
  const element = dataSet.elements[PIXEL_DATA];
  const bytes = rows * columns * (format.bitsAllocated / 8);
  const start = element.dataOffset + frame * bytes;
  const end = Math.min(element.dataOffset + element.length, dataSet.byteArray.length);
  if (element.encapsulatedPixelData || start + bytes > end) {
    throw damaged(slice, `its pixels end after ${Math.max(0, end - start)} of ${bytes} bytes`);
  }
  const stored = Uint8Array.prototype.slice.call(dataSet.byteArray, start, start + bytes);
  if (format.bigEndian && format.bitsAllocated === 16) Buffer.from(stored.buffer).swap16();
  if (format.bigEndian && format.bitsAllocated === 32) Buffer.from(stored.buffer).swap32();
  return stored;
}

/** The compressed bytes of a frame, put together from the fragments that they may be cut into (PS3.5, annex A.4). */
function codedFrame({ dataSet }: DicomFile, slice: Slice): ByteArray {
  const element = dataSet.elements[PIXEL_DATA];
  const fragments = element.fragments ?? [];
  if (fragments.length === 0) throw damaged(slice, 'its compressed pixels are not there');
  const { frame, frames } = slice;
  try {
    if (frames === 1) return readEncapsulatedPixelDataFromFragments(dataSet, element, 0, fragments.length);
    if ((element.basicOffsetTable ?? []).length === frames) return readEncapsulatedImageFrame(dataSet, element, frame);
    if (fragments.length === frames) return readEncapsulatedPixelDataFromFragments(dataSet, element, frame, 1);
  } catch {
    throw damaged(slice, 'its compressed pixels are cut off');
  }
  throw damaged(slice, `its ${fragments.length} fragments cannot be told apart into ${frames} frames`);
}

/** Reads a sample by its index: the stored bits alone, with their sign. */
function sampleReader(stored: Uint8Array, { bitsAllocated, bitsStored, highBit, signed }: PixelFormat) {
  const view = new DataView(stored.buffer, stored.byteOffset, stored.byteLength);
  const raw =
    bitsAllocated === 8
      ? (at: number) => stored[at]
      : bitsAllocated === 16
        ? (at: number) => view.getUint16(2 * at, true)
        : (at: number) => view.getUint32(4 * at, true);
  const low = highBit + 1 - bitsStored;
  // Shifting to the left end first drops the bits above; the shift back brings the sign, or zeros.
  const up = 32 - bitsStored - low;
  const down = 32 - bitsStored;
  return signed ? (at: number) => (raw(at) << up) >> down : (at: number) => (raw(at) << up) >>> down;
}

function damaged({ name }: Slice, why: string): ClaraError {
  return new ClaraError('corrupt', `${name} cannot be read: ${why}`);
}
