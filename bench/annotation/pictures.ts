import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { encodePng, type RgbaImage } from '../../imaging/png';
import { chooseSlices, type Plane, PREDICTION_COLOUR, renderSlice, TRUTH_COLOUR } from '../../imaging/slice-image';
import type { Mask } from '../../imaging/volume';
import type { Organ } from './organs';

const PLANES: readonly Plane[] = ['axial', 'coronal', 'sagittal'];
const PIXEL_MM = 1;
const GAP = 8;
const OPAQUE_BLACK = 0xff000000;

/** A row for each answer, in the three planes through the middle of the truth: green the truth, orange the answer. */
export async function writeMontage(
  folder: string,
  { name, image, truth }: Organ,
  answers: readonly { readonly method: string; readonly mask: Mask }[],
): Promise<void> {
  const slices = chooseSlices(truth);
  const rows = answers.map(({ mask }) =>
    PLANES.map((plane) =>
      renderSlice(image, {
        plane,
        index: slices[plane],
        pixelMm: PIXEL_MM,
        overlays: [
          { mask, colour: PREDICTION_COLOUR, fill: 0.25 },
          { mask: truth, colour: TRUTH_COLOUR },
        ],
      }),
    ),
  );
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, `${name.replaceAll(' ', '-')}.png`), encodePng(grid(rows)));
}

function grid(rows: readonly (readonly RgbaImage[])[]): RgbaImage {
  const widthOf = (row: readonly RgbaImage[]) => row.reduce((sum, { width }) => sum + width + GAP, -GAP);
  const heightOf = (row: readonly RgbaImage[]) => Math.max(...row.map(({ height }) => height));
  const width = Math.max(...rows.map(widthOf));
  const height = rows.reduce((sum, row) => sum + heightOf(row) + GAP, -GAP);
  const data = new Uint8Array(new Uint32Array(width * height).fill(OPAQUE_BLACK).buffer); // little-endian RGBA
  let top = 0;
  for (const row of rows) {
    let left = 0;
    for (const image of row) {
      for (let y = 0; y < image.height; y += 1) {
        const line = image.data.subarray(y * image.width * 4, (y + 1) * image.width * 4);
        data.set(line, ((top + y) * width + left) * 4);
      }
      left += image.width + GAP;
    }
    top += heightOf(row) + GAP;
  }
  return { width, height, data };
}
