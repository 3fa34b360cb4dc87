import { existsSync } from 'node:fs';
import path from 'node:path';
import { readNifti } from '../../imaging/nifti';
import { makePhantom } from '../../imaging/phantom';
import type { Mask, Shape3, Volume } from '../../imaging/volume';

/** A structure whose truth is known. */
export interface Organ {
  readonly name: string;
  readonly image: Volume;
  readonly truth: Mask;
}

/** Those that the label map of TotalSegmentator numbers so. */
const LABELS: readonly (readonly [name: string, label: number])[] = [
  ['spleen', 1],
  ['left kidney', 3],
  ['right kidney', 2],
  ['liver', 5],
  ['gallbladder', 4],
  ['stomach', 6],
  ['pancreas', 7],
  ['right lower lung', 14],
  ['duodenum', 18],
  ['vertebra', 31],
  ['aorta', 52],
  ['vena cava', 63],
  ['portal vein', 64],
  ['spinal cord', 79],
  ['back muscle', 86],
  ['psoas muscle', 88],
];
const PHANTOMS = [11, 12, 13];

/** The organs of a labelled CT, or spleens of phantoms where there is none. */
export async function organsIn(folder: string): Promise<Organ[]> {
  const [ct, labels] = ['ct.nii.gz', 'labels.nii.gz'].map((name) => path.join(folder, name));
  if (!existsSync(ct) || !existsSync(labels)) {
    return PHANTOMS.map((seed) => {
      const { image, label } = makePhantom(seed);
      return { name: `spleen of phantom ${seed}`, image, truth: label };
    });
  }
  const [image, map] = [await readNifti(ct), await readNifti(labels)];
  return LABELS.map(([name, label]) => ({
    name,
    image,
    truth: { geometry: map.geometry, data: Uint8Array.from(map.data, (value) => (value === label ? 1 : 0)) },
  })).filter(({ truth }) => truth.data.includes(1));
}

/** First and last voxel along i, j, k, each chosen among those of its face by `choose`, a number from 0 up to 1. */
export function extremesOf({ geometry, data }: Mask, choose: () => number): Shape3[] {
  const [ni, nj] = geometry.shape;
  const faces: { at: number; voxels: Shape3[] }[] = [0, 1, 2].flatMap(() => [
    { at: Number.POSITIVE_INFINITY, voxels: [] },
    { at: Number.NEGATIVE_INFINITY, voxels: [] },
  ]);
  for (let at = 0; at < data.length; at += 1) {
    if (data[at] === 0) continue;
    const voxel: Shape3 = [at % ni, Math.floor(at / ni) % nj, Math.floor(at / (ni * nj))];
    faces.forEach((face, side) => {
      const index = voxel[side >> 1];
      const beyond = side % 2 === 0 ? index < face.at : index > face.at;
      if (beyond) Object.assign(face, { at: index, voxels: [] });
      if (index === face.at) face.voxels.push(voxel);
    });
  }
  return faces.map(({ voxels }) => voxels[Math.floor(choose() * voxels.length)]);
}
