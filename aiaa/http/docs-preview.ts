/**
 * Part of the page's script: reads NIfTI-1 files (nifti1.h) in the browser and draws the slice with most of the mask. It looks at
 * nothing but what the form has sent and got.
 */
export const DOCS_PREVIEW = `
'use strict';
const KINDS = { 2: ['getUint8', 1], 4: ['getInt16', 2], 8: ['getInt32', 4], 16: ['getFloat32', 4], 64: ['getFloat64', 8], 256: ['getInt8', 1], 512: ['getUint16', 2], 768: ['getUint32', 4] };
const COLOURS = [[0, 200, 170], [255, 170, 40], [240, 90, 120], [110, 150, 255], [190, 220, 60], [220, 120, 255]];
const MOST_BYTES = 512 * 2 ** 20;

/** Bytes of a file, unpacked when they are gzip; undefined when that is more than a page should hold. */
async function unpacked(blob) {
  const head = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  if (head[0] !== 0x1f || head[1] !== 0x8b) return blob.size <= MOST_BYTES ? blob.arrayBuffer() : undefined;
  if (typeof DecompressionStream === 'undefined') return undefined;
  const reader = blob.stream().pipeThrough(new DecompressionStream('gzip')).getReader();
  const parts = [];
  let size = 0;
  for (let step = await reader.read(); !step.done; step = await reader.read()) {
    size += step.value.byteLength;
    if (size > MOST_BYTES) { await reader.cancel(); return undefined; }
    parts.push(step.value);
  }
  return new Blob(parts).arrayBuffer();
}

/** Shape, spacing and a reader of voxels; undefined when it is no NIfTI-1 file of a known number type. */
function parseNifti(buffer) {
  if (buffer === undefined || buffer.byteLength < 352) return undefined;
  const view = new DataView(buffer);
  const little = view.getInt32(0, true) === 348;
  if (!little && view.getInt32(0, false) !== 348) return undefined;
  const short = (at) => view.getInt16(at, little);
  const float = (at) => view.getFloat32(at, little);
  const shape = [0, 1, 2].map((axis) => (axis < short(40) ? short(42 + 2 * axis) : 1));
  const spacing = [0, 1, 2].map((axis) => Math.abs(float(80 + 4 * axis)) || 1);
  const kind = KINDS[short(70)];
  const offset = float(108);
  const count = shape[0] * shape[1] * shape[2];
  if (kind === undefined || shape.some((size) => size < 1) || offset + count * kind[1] > buffer.byteLength) return undefined;
  const slope = float(112) || 1;
  const shift = float(116) || 0;
  const raw = (at) => view[kind[0]](offset + at * kind[1], little);
  const placed = short(254) > 0; // by an sform, whose first row says where the patient's right is
  return {
    shape, spacing, count, raw, value: (at) => raw(at) * slope + shift,
    rightwards: placed && float(280) > 0,
    backwards: placed && float(300) < 0,
  };
}

/** Voxels of each label, and the slice that has most of them all. */
function countLabels(mask) {
  const counts = new Map();
  const plane = mask.shape[0] * mask.shape[1];
  let best = { slice: Math.floor(mask.shape[2] / 2), voxels: 0 };
  for (let slice = 0; slice < mask.shape[2]; slice += 1) {
    let voxels = 0;
    for (let at = slice * plane; at < (slice + 1) * plane; at += 1) {
      const label = mask.raw(at);
      if (label === 0) continue;
      counts.set(label, (counts.get(label) || 0) + 1);
      voxels += 1;
    }
    if (voxels > best.voxels) best = { slice, voxels };
  }
  return { counts, slice: best.slice };
}

/** One slice in soft-tissue window (-160 to 240 HU) with the mask over it, as radiologists look at it: the patient's right is left, the front up. */
function drawSlice(canvas, volume, mask, slice) {
  const [width, height] = mask.shape;
  canvas.width = width;
  canvas.height = height;
  canvas.style.aspectRatio = (width * mask.spacing[0]) + ' / ' + (height * mask.spacing[1]);
  const context = canvas.getContext('2d');
  const image = context.createImageData(width, height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const from = (slice * height + y) * width + x;
      const to = ((mask.backwards ? y : height - 1 - y) * width + (mask.rightwards ? width - 1 - x : x)) * 4;
      const grey = Math.max(0, Math.min(255, ((volume.value(from) + 160) / 400) * 255));
      const label = mask.raw(from);
      const colour = label === 0 ? [grey, grey, grey] : COLOURS[(label - 1) % COLOURS.length].map((part) => 0.55 * grey + 0.45 * part);
      image.data.set([...colour, 255], to);
    }
  }
  context.putImageData(image, 0, 0);
}
`;
