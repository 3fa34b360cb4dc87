/** Why compressed pixels cannot be read; the caller knows which file they are of. */
export class PixelDataError extends Error {}

/**
 * One frame of RLE (PS3.5, annex G): a header of 16 numbers, then a segment for each byte of a pixel, most significant first,
 * in PackBits.
 *
 * @returns samples of `bytes` bytes each, least significant first
 * @throws PixelDataError
 */
export function decodeRle(frame: Uint8Array, pixels: number, bytes: number): Uint8Array {
  if (frame.length < 64) throw new PixelDataError('its RLE header is cut off');
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0, true) !== bytes) {
    throw new PixelDataError(`it has ${view.getUint32(0, true)} RLE segments where ${bytes} are needed`);
  }
  const offsets = Array.from({ length: bytes }, (_, segment) => view.getUint32(4 + 4 * segment, true));
  const samples = new Uint8Array(pixels * bytes);
  for (const [segment, start] of offsets.entries()) {
    const end = offsets[segment + 1] ?? frame.length;
    if (start < 64 || start > end || end > frame.length)
      throw new PixelDataError('its RLE segments lie outside the frame');
    unpack(frame.subarray(start, end), samples, bytes - 1 - segment, bytes);
  }
  return samples;
}

function unpack(packed: Uint8Array, samples: Uint8Array, first: number, step: number): void {
  let target = first;
  for (let at = 0; at < packed.length && target < samples.length; ) {
    const control = packed[at];
    at += 1;
    if (control === 128) continue; // no operation
    const repeats = control > 128;
    const count = repeats ? 257 - control : control + 1;
    if (at + (repeats ? 1 : count) > packed.length) throw new PixelDataError('its RLE data break off');
    for (let n = 0; n < count && target < samples.length; n += 1, target += step) {
      samples[target] = packed[repeats ? at : at + n];
    }
    at += repeats ? 1 : count;
  }
  if (target < samples.length) throw new PixelDataError('its RLE data break off');
}
