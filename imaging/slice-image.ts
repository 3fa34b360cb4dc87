import { ClaraError } from '../base/errors';
import { geometriesAgree, spacingOf, toCanonical } from './geometry';
import { ABDOMEN_WINDOW, type HuWindow } from './intensity';
import type { RgbaImage } from './png';
import type { Mask, Shape3, Volume } from './volume';

/**
 * Pictures of slices, in the radiologist's view: axial and coronal from the feet and from the front, so that the patient's
 * left is on the right; sagittal with the face to the left; head and front up.
 */
export type Plane = 'axial' | 'coronal' | 'sagittal';

export type Rgb = readonly [red: number, green: number, blue: number];

/** How a mask is drawn over the grey image. */
export interface Overlay {
  readonly mask: Mask;
  readonly colour: Rgb;
  /** Opacity of the inside, 0 to 1. @default 0 */
  readonly fill?: number;
  /** Whether the border is drawn, one picture pixel wide. @default true */
  readonly outline?: boolean;
}

export interface SliceOptions {
  readonly plane: Plane;
  /** Slice number along the plane's axis of the volume in RAS+ order; see {@link chooseSlices}. */
  readonly index: number;
  /** @default ABDOMEN_WINDOW */
  readonly window?: HuWindow;
  /** Drawn in order, each on the grid of the volume. */
  readonly overlays?: readonly Overlay[];
  /** Millimetres of one picture pixel, which is square. @default the smaller voxel size in the plane */
  readonly pixelMm?: number;
}

export const TRUTH_COLOUR: Rgb = [64, 224, 120];
export const PREDICTION_COLOUR: Rgb = [255, 140, 40];

/** The usual pair: the truth as an outline over the prediction as a tinted area. */
export function truthAndPrediction(truth?: Mask, prediction?: Mask): Overlay[] {
  return [
    ...(prediction === undefined ? [] : [{ mask: prediction, colour: PREDICTION_COLOUR, fill: 0.4, outline: false }]),
    ...(truth === undefined ? [] : [{ mask: truth, colour: TRUTH_COLOUR }]),
  ];
}

/** RAS+ axis of the picture's columns, rows and depth. Columns and rows run against the index in all three planes. */
const AXES: Readonly<Record<Plane, { column: 0 | 1; row: 1 | 2; depth: 0 | 1 | 2 }>> = {
  axial: { column: 0, row: 1, depth: 2 },
  coronal: { column: 0, row: 2, depth: 1 },
  sagittal: { column: 1, row: 2, depth: 0 },
};

/**
 * Draws one slice; grey values are interpolated, masks are not.
 *
 * @throws ClaraError invalid-input when the index is not in the volume, or an overlay lies on another grid
 */
export function renderSlice(volume: Volume, options: SliceOptions): RgbaImage {
  const { plane, index, window = ABDOMEN_WINDOW, overlays = [] } = options;
  const canonical = toCanonical(volume);
  const { shape } = canonical.geometry;
  const { depth } = AXES[plane];
  if (!Number.isInteger(index) || index < 0 || index >= shape[depth]) {
    throw new ClaraError('invalid-input', `the volume has no ${plane} slice ${index}: use 0 to ${shape[depth] - 1}`);
  }
  const picture = new Picture(canonical, plane, options.pixelMm);
  const image = {
    width: picture.width,
    height: picture.height,
    data: new Uint8Array(picture.width * picture.height * 4),
  };
  paintGrey(image, picture.interpolated(canonical, index), window);
  for (const overlay of overlays) {
    if (!geometriesAgree(overlay.mask.geometry, volume.geometry)) {
      throw new ClaraError(
        'invalid-input',
        'a mask can be drawn only over the grid that it lies on: resample it first',
      );
    }
    paintOverlay(image, picture.nearest(toCanonical(overlay.mask), index), overlay);
  }
  return image;
}

/**
 * The slices, in RAS+ order, through the middle of what the mask marks: for each plane the slice nearest to the centroid that
 * holds some of it. The middle of the volume when the mask is empty.
 */
export function chooseSlices(mask: Mask): Readonly<Record<Plane, number>> {
  const { geometry, data } = toCanonical(mask);
  const counts = geometry.shape.map((size) => new Float64Array(size));
  const [ni, nj, nk] = geometry.shape;
  let at = 0;
  for (let k = 0; k < nk; k += 1) {
    for (let j = 0; j < nj; j += 1) {
      for (let i = 0; i < ni; i += 1, at += 1) {
        if (data[at] === 0) continue;
        counts[0][i] += 1;
        counts[1][j] += 1;
        counts[2][k] += 1;
      }
    }
  }
  const [sagittal, coronal, axial] = counts.map(middleOf);
  return { axial, coronal, sagittal };
}

function middleOf(counts: Float64Array): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return Math.floor(counts.length / 2);
  const centroid = counts.reduce((sum, count, index) => sum + count * index, 0) / total;
  let best = 0;
  counts.forEach((count, index) => {
    if (count > 0 && (counts[best] === 0 || Math.abs(index - centroid) < Math.abs(best - centroid))) best = index;
  });
  return best;
}

/** The grid of picture pixels over one plane of a volume in RAS+ order. */
class Picture {
  readonly width: number;
  readonly height: number;
  private readonly plane: Plane;
  private readonly shape: Shape3;

  constructor({ geometry }: Volume, plane: Plane, pixelMm?: number) {
    const { column, row } = AXES[plane];
    const spacing = spacingOf(geometry);
    const pixel = pixelMm ?? Math.min(spacing[column], spacing[row]);
    if (!(pixel > 0)) throw new ClaraError('invalid-input', `a pixel of ${pixel} mm cannot be drawn: use more than 0`);
    this.plane = plane;
    this.shape = geometry.shape;
    this.width = Math.max(1, Math.round((geometry.shape[column] * spacing[column]) / pixel));
    this.height = Math.max(1, Math.round((geometry.shape[row] * spacing[row]) / pixel));
  }

  /** Voxel position, fractional, along an axis that the picture shows reversed. */
  private position(pixel: number, pixels: number, voxels: number): number {
    const reversed = (1 - (pixel + 0.5) / pixels) * voxels - 0.5;
    return Math.min(voxels - 1, Math.max(0, reversed));
  }

  private sample(
    slice: number,
    at: (offset: number, columnStep: number, rowStep: number, u: number, v: number) => number,
  ): Float32Array {
    const { column, row, depth } = AXES[this.plane];
    const strides = [1, this.shape[0], this.shape[0] * this.shape[1]];
    const values = new Float32Array(this.width * this.height);
    for (let y = 0; y < this.height; y += 1) {
      const v = this.position(y, this.height, this.shape[row]);
      const j = Math.min(Math.floor(v), this.shape[row] - 1);
      const rowStep = j + 1 < this.shape[row] ? strides[row] : 0;
      for (let x = 0; x < this.width; x += 1) {
        const u = this.position(x, this.width, this.shape[column]);
        const i = Math.min(Math.floor(u), this.shape[column] - 1);
        const columnStep = i + 1 < this.shape[column] ? strides[column] : 0;
        const offset = slice * strides[depth] + j * strides[row] + i * strides[column];
        values[y * this.width + x] = at(offset, columnStep, rowStep, u - i, v - j);
      }
    }
    return values;
  }

  interpolated({ data }: Volume, slice: number): Float32Array {
    return this.sample(slice, (offset, columnStep, rowStep, u, v) => {
      const near = data[offset] + u * (data[offset + columnStep] - data[offset]);
      const start = offset + rowStep;
      const far = data[start] + u * (data[start + columnStep] - data[start]);
      return near + v * (far - near);
    });
  }

  nearest({ data }: Mask, slice: number): Float32Array {
    return this.sample(slice, (offset, columnStep, rowStep, u, v) => {
      const nearest = offset + (u >= 0.5 ? columnStep : 0) + (v >= 0.5 ? rowStep : 0);
      return data[nearest] === 0 ? 0 : 1;
    });
  }
}

function paintGrey({ data }: RgbaImage, values: Float32Array, { low, high }: HuWindow): void {
  values.forEach((value, pixel) => {
    const grey = Math.round(255 * Math.min(1, Math.max(0, (value - low) / (high - low))));
    data.fill(grey, pixel * 4, pixel * 4 + 3);
    data[pixel * 4 + 3] = 255;
  });
}

function paintOverlay(image: RgbaImage, inside: Float32Array, { colour, fill = 0, outline = true }: Overlay): void {
  const { width, height, data } = image;
  const outsideOf = (x: number, y: number): boolean =>
    x < 0 || y < 0 || x >= width || y >= height || inside[y * width + x] === 0;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const pixel = y * width + x;
      if (inside[pixel] === 0) continue;
      const onBorder =
        outline && (outsideOf(x - 1, y) || outsideOf(x + 1, y) || outsideOf(x, y - 1) || outsideOf(x, y + 1));
      const opacity = onBorder ? 1 : fill;
      for (let channel = 0; channel < 3; channel += 1) {
        const under = data[pixel * 4 + channel];
        data[pixel * 4 + channel] = Math.round(under + opacity * (colour[channel] - under));
      }
    }
  }
}
