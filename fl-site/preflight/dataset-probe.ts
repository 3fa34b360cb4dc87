import { ClaraError } from '../../base/errors';
import { type DecathlonDataset, imagePath, type LabelledCase, labelPath, openDecathlon } from '../../imaging/decathlon';
import { geometriesAgree, spacingOf } from '../../imaging/geometry';
import { readNifti } from '../../imaging/nifti';
import type { SiteConfiguration } from '../configuration';
import { failed, failedBy, ok, skipped, type Verdict, warning } from './verdict';

/** What a trainer would see: the list, every file that it names, and a few cases opened. Cases are counted, never named. */

interface Sample {
  readonly title: string;
  readonly labelled: LabelledCase;
}

const INSPECT = 'clara-fed dataset inspect, at the site, names every file and fault';

export async function datasetProbe({ kind, path }: SiteConfiguration['dataset']): Promise<Verdict> {
  if (kind === 'none') return skipped('dataset.kind is none: the trainer finds its data by itself');
  let dataset: DecathlonDataset;
  try {
    dataset = await openDecathlon(path);
  } catch (thrown) {
    const { code, faults, message } = ClaraError.from(thrown);
    const found = faults.length > 0 ? `its list has ${faults.length} faults, such as: ${faults[0]!.rule}` : message;
    const mend = code === 'permission-denied' ? 'let the user of the agent read the dataset' : INSPECT;
    return failed(found, mend);
  }
  const { training, validation } = dataset;
  if (training.length === 0) return failed('it lists no training case', 'list labelled cases under "training"');
  const seen: string[] = [];
  const empty: string[] = [];
  for (const { title, labelled } of samplesOf(dataset)) {
    try {
      const { words, voxels } = await open(dataset, labelled);
      seen.push(`${title} ${words}`);
      if (voxels === 0) empty.push(title);
    } catch (thrown) {
      return failedBy(nameless(thrown, dataset, labelled, title), INSPECT);
    }
  }
  const found = `${training.length} training and ${validation.length} held-out cases; ${seen.join('; ')}`;
  if (empty.length === seen.length) {
    return warning(`${found}; none of them has a labelled voxel`, 'check that the labels are those of these images');
  }
  if (validation.length === 0) {
    return warning(`${found}; nothing is held out`, 'list some cases under "validation", or no model is judged here');
  }
  return ok(found);
}

function samplesOf({ training, validation }: DecathlonDataset): Sample[] {
  const first = (list: readonly LabelledCase[], name: string) =>
    list.slice(0, 1).map((labelled): Sample => ({ title: `${name} case 1`, labelled }));
  return [...first(training, 'training'), ...first(validation, 'held-out')];
}

async function open(
  dataset: DecathlonDataset,
  labelled: LabelledCase,
): Promise<{ readonly words: string; readonly voxels: number }> {
  const image = await readNifti(imagePath(dataset, labelled));
  const label = await readNifti(labelPath(dataset, labelled));
  if (!geometriesAgree(image.geometry, label.geometry)) {
    throw new ClaraError('invalid-input', 'image and label lie on different grids; resample the label');
  }
  let [low, high, voxels] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
  for (const value of image.data) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  for (const value of label.data) if (value > 0) voxels++;
  const spacing = spacingOf(image.geometry).map((mm) => Number(mm.toFixed(2)));
  const words = `is ${image.geometry.shape.join(' x ')} voxels of ${spacing.join(' x ')} mm, values ${low} to ${high}, ${voxels} labelled`;
  return { words, voxels };
}

/** File names may be names of patients. */
function nameless(thrown: unknown, dataset: DecathlonDataset, labelled: LabelledCase, title: string): ClaraError {
  const { code, message } = ClaraError.from(thrown);
  const plain = message
    .replaceAll(imagePath(dataset, labelled), `the image of ${title}`)
    .replaceAll(labelPath(dataset, labelled), `the label of ${title}`);
  return new ClaraError(code, plain.startsWith('the ') ? plain : `${title}: ${plain}`);
}
