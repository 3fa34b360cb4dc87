import { ClaraError } from '../../base/errors';
import { type DecathlonDataset, imagePath, type LabelledCase, labelPath, openDecathlon } from '../../imaging/decathlon';
import { geometriesAgree } from '../../imaging/geometry';
import { readNifti } from '../../imaging/nifti';
import type { Mask, Volume } from '../../imaging/volume';

/**
 * Reading what a site trains and measures on. What this program prints may travel to the coordinator, and names of files may
 * be names of patients: messages here count cases and never name them.
 */

/** Where the case stands in its list, in words: `training case 3`. */
export type CaseTitle = string;

export function caseTitle(list: 'training' | 'held-out', index: number): CaseTitle {
  return `${list} case ${index + 1}`;
}

/** @throws ClaraError as `openDecathlon`, without names of cases */
export async function openSiteDataset(source: string): Promise<DecathlonDataset> {
  try {
    return await openDecathlon(source);
  } catch (thrown) {
    const error = ClaraError.from(thrown);
    if (error.faults.length === 0) throw error;
    const count = error.faults.length === 1 ? 'a fault' : `${error.faults.length} faults`;
    const message = `the dataset list of this site has ${count}; at the site, clara-fed dataset inspect says more`;
    throw new ClaraError(error.code, message, { cause: error });
  }
}

export interface LabelledScan {
  readonly scan: Volume;
  /** 1 in the organ, 0 elsewhere, on the grid of the scan. */
  readonly truth: Mask;
}

/**
 * @param labelValue which value of the label file is the organ
 * @throws ClaraError as `readNifti`; invalid-input when image and label do not share a grid
 */
export async function readLabelledScan(
  dataset: DecathlonDataset,
  labelled: LabelledCase,
  title: CaseTitle,
  labelValue: number,
  signal?: AbortSignal,
): Promise<LabelledScan> {
  const { scan, label } = await readScanAndLabel(dataset, labelled, title, signal);
  const organ = Uint8Array.from(label.data, (found) => (found === labelValue ? 1 : 0));
  return { scan, truth: { geometry: label.geometry, data: organ } };
}

/** Both as they are, on one grid. @throws as {@link readLabelledScan} */
export async function readScanAndLabel(
  dataset: DecathlonDataset,
  labelled: LabelledCase,
  title: CaseTitle,
  signal?: AbortSignal,
): Promise<{ readonly scan: Volume; readonly label: Volume }> {
  const scan = await readNameless(imagePath(dataset, labelled), `the image of ${title}`, signal);
  const label = await readNameless(labelPath(dataset, labelled), `the label of ${title}`, signal);
  if (!geometriesAgree(scan.geometry, label.geometry)) {
    throw new ClaraError('invalid-input', `image and label of ${title} lie on different grids; resample the label`);
  }
  return { scan, label };
}

async function readNameless(file: string, title: string, signal?: AbortSignal): Promise<Volume> {
  try {
    return await readNifti(file, { signal });
  } catch (thrown) {
    const error = ClaraError.from(thrown);
    throw new ClaraError(error.code, error.message.replaceAll(file, title));
  }
}
