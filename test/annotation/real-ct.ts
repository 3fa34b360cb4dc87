import { existsSync } from 'node:fs';
import path from 'node:path';
import { readNifti } from '../../imaging/nifti';
import type { Mask, Shape3, Volume } from '../../imaging/volume';

const FOLDER = path.resolve(__dirname, '../../../shared/data/ct');

export interface LabelledCt {
  readonly ct: Volume;
  organ(label: number): Mask;
}

/** The CT that is kept beside the repository, or undefined, with the reason printed. */
export async function realCt(): Promise<LabelledCt | undefined> {
  if (!existsSync(FOLDER)) {
    console.log(`    skipped: there is no real CT in ${path.relative(process.cwd(), FOLDER)}`);
    return undefined;
  }
  const ct = await readNifti(path.join(FOLDER, 'ct.nii.gz'));
  const labels = await readNifti(path.join(FOLDER, 'labels.nii.gz'));
  const organ = (label: number): Mask => ({
    geometry: labels.geometry,
    data: Uint8Array.from(labels.data, (value) => (value === label ? 1 : 0)),
  });
  return { ct, organ };
}

/** First and last voxel along i, j, k; of an extreme face the `pick`-th share of its voxels. */
export function extremesOf({ geometry, data }: Mask, pick = 0): Shape3[] {
  const [ni, nj] = geometry.shape;
  const voxels: Shape3[] = [];
  data.forEach((value, at) => {
    if (value !== 0) voxels.push([at % ni, Math.floor(at / ni) % nj, Math.floor(at / (ni * nj))]);
  });
  return [0, 1, 2].flatMap((axis) =>
    [Math.min, Math.max].map((end) => {
      const extreme = voxels.reduce((best, voxel) => end(best, voxel[axis]), voxels[0][axis]);
      const face = voxels.filter((voxel) => voxel[axis] === extreme);
      return face[Math.floor(pick * (face.length - 1))];
    }),
  );
}
