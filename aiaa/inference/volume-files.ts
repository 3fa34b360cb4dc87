import { readFile } from 'node:fs/promises';
import { ClaraError } from '../../base/errors';
import { type SeriesReference, seriesReferenceSchema, writeSegmentation } from '../../imaging/dicom';
import type { Mask, Volume, VoxelArray } from '../../imaging/volume';
import { type ReadVolumeOptions, readVolume, type VolumeOfFile, writeVolume } from '../../imaging/volume-file';
import { seriesFileOf } from '../storage/uploaded-series';
import { aboutTheUpload } from '../storage/uploaded-volume';
import type { InferenceJob, MaskDtype } from './worker-protocol';

/** Volumes that were sent and masks that are sent back, as files. */

/** @throws ClaraError in words for the person who sent it */
export async function readUpload(
  file: string,
  maxBytes: number,
  signal?: AbortSignal,
  unknownOrientation?: ReadVolumeOptions['unknownOrientation'],
): Promise<VolumeOfFile> {
  try {
    return await readVolume(file, { maxBytes, signal, unknownOrientation });
  } catch (error) {
    throw aboutTheUpload(error, file);
  }
}

type SegmentJob = Extract<InferenceJob, { kind: 'segment' }>;

/**
 * What writes the mask of a job, found before anything is computed.
 *
 * @throws ClaraError invalid-input when a DICOM segmentation is wanted of what is no DICOM series
 */
export async function maskWriter(job: SegmentJob): Promise<(mask: Mask, volume: VolumeOfFile) => Promise<void>> {
  const { output, dtype, compress, about } = job;
  if (!output.endsWith('.dcm')) {
    return (mask, { header: like }) => writeVolume(output, withDtype(mask, dtype), { like, compress });
  }
  const series = await seriesOf(job.input);
  return (mask) =>
    writeSegmentation(output, mask, series, {
      labels: about.labels,
      algorithm: about.name,
      algorithmVersion: about.version,
      algorithmType: job.interaction === undefined ? 'AUTOMATIC' : 'SEMIAUTOMATIC',
    });
}

async function seriesOf(volume: string): Promise<SeriesReference> {
  let text: string;
  try {
    text = await readFile(seriesFileOf(volume), 'utf8');
  } catch {
    throw new ClaraError(
      'invalid-input',
      'A DICOM segmentation refers to the slices that it was made from; send the DICOM series itself, or ask for the result_extension ".nii.gz".',
    );
  }
  return seriesReferenceSchema.parse(JSON.parse(text));
}

const ARRAYS: Readonly<Record<MaskDtype, new (from: ArrayLike<number>) => VoxelArray>> = {
  uint8: Uint8Array,
  int8: Int8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  float32: Float32Array,
  float64: Float64Array,
};

function withDtype(mask: Mask, dtype: MaskDtype): Volume {
  return dtype === 'uint8' ? mask : { geometry: mask.geometry, data: new ARRAYS[dtype](mask.data) };
}
