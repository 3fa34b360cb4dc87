import { readFile } from 'node:fs/promises';
import { writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { readDicomSeries } from '../../imaging/dicom';
import { writeNifti } from '../../imaging/nifti';
import { encodeGreyPng } from '../../imaging/png';
import { decodePng, isPng } from '../../imaging/png-reader';
import {
  editSlice,
  editVolume,
  type Polygons,
  paint,
  paintVolume,
  polygonsOfSlice,
  sliceOf,
} from '../../imaging/polygons';
import { writeVolume } from '../../imaging/volume-file';
import { seriesFileOf } from '../storage/uploaded-series';
import { aboutTheUpload } from '../storage/uploaded-volume';
import type { FileJob } from './file-jobs';
import { readUpload } from './volume-files';
import type { InferenceJob } from './worker-protocol';

export function isFileJob(job: InferenceJob): job is FileJob {
  return job.kind !== 'segment' && job.kind !== 'probe' && job.kind !== 'assess';
}

/** @throws ClaraError in words for the person who sent the files */
export async function runFileJob(job: FileJob, signal?: AbortSignal): Promise<void> {
  switch (job.kind) {
    case 'import-series':
      return importSeries(job, signal);
    case 'mask-to-polygons':
      return maskToPolygons(job, signal);
    case 'edit-polygons':
      return editPolygons(job, signal);
  }
}

type Job<Kind extends FileJob['kind']> = Extract<FileJob, { kind: Kind }>;

async function importSeries({ slices, output, maxVolumeBytes: maxBytes }: Job<'import-series'>, signal?: AbortSignal) {
  try {
    const volume = await readDicomSeries(slices, { maxBytes, signal });
    await writeNifti(output, volume);
    await writeFileDurably(seriesFileOf(output), JSON.stringify(volume.series), { mode: 0o600 });
  } catch (error) {
    throw aboutTheUpload(error, output);
  }
}

async function maskToPolygons({ input, output, every, maxVolumeBytes }: Job<'mask-to-polygons'>, signal?: AbortSignal) {
  const volume = await readUpload(input, maxVolumeBytes, signal, 'assume-ras'); // indices need no anatomy
  const slices: Polygons[] = [];
  for (let k = 0; k < volume.geometry.shape[2]; k += 1) {
    slices.push(polygonsOfSlice(sliceOf(volume, k), every));
    await mayStop(signal);
  }
  await writeFileDurably(output, JSON.stringify(slices));
}

/** Lets the event loop hear a cancellation. */
async function mayStop(signal?: AbortSignal): Promise<void> {
  await new Promise(setImmediate);
  if (signal?.aborted) throw ClaraError.from(signal.reason, 'the work on polygons');
}

async function editPolygons(job: Job<'edit-polygons'>, signal?: AbortSignal): Promise<void> {
  const { input, output, answer, edit } = job;
  if (output.endsWith('.png')) {
    const file = await readFile(input);
    if (!isPng(file) || edit.dimension !== 2)
      throw new ClaraError('invalid-input', 'A picture has polygons of two dimensions.');
    const image = decodePng(file, 'the uploaded picture');
    const polygons = editSlice(edit, image);
    await writeFileDurably(answer, JSON.stringify(polygons));
    await writeFileDurably(output, encodeGreyPng(paint(polygons, image.width, image.height)));
    return;
  }
  const volume = await readUpload(input, job.maxVolumeBytes, signal, 'assume-ras');
  const count = volume.geometry.shape[2];
  if (edit.dimension === 2 && count !== 1) {
    throw new ClaraError(
      'invalid-input',
      `Polygons of two dimensions need one slice, and the volume has ${count}; send three dimensions.`,
    );
  }
  if (edit.dimension === 3 && edit.slices.length !== count) {
    throw new ClaraError(
      'invalid-input',
      `There are polygons of ${edit.slices.length} slices, and the volume has ${count}; send all slices.`,
    );
  }
  const slices =
    edit.dimension === 2 ? [editSlice(edit, sliceOf(volume, 0))] : editVolume(edit, (slice) => sliceOf(volume, slice));
  await writeFileDurably(answer, JSON.stringify(edit.dimension === 2 ? slices[0] : slices));
  await writeVolume(output, paintVolume(slices, volume.geometry), { like: volume.header });
}
