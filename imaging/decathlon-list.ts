import path from 'node:path';
import { z } from 'zod';
import { ClaraError, type Fault, showValue } from '../base/errors';

/**
 * `dataset.json` of the Medical Segmentation Decathlon (Antonelli et al. 2022, http://medicaldecathlon.com): which images
 * exist and which label belongs to which. Clara's lists add `validation`, cases kept apart to measure on.
 */

export interface DecathlonCase {
  /** File name of the image without folder and `.nii`, `.nii.gz`; unique in the dataset. */
  readonly id: string;
  /** Path below the dataset's folder, with forward slashes and without a leading `./`. */
  readonly image: string;
}

export interface LabelledCase extends DecathlonCase {
  readonly label: string;
}

export interface DecathlonList {
  readonly name: string;
  readonly description: string;
  /** Channel number to name, such as `{"0": "CT"}`. */
  readonly modality: Readonly<Record<string, string>>;
  /** Label value to name, such as `{"0": "background", "1": "spleen"}`. */
  readonly labels: Readonly<Record<string, string>>;
  readonly training: readonly LabelledCase[];
  readonly validation: readonly LabelledCase[];
  readonly test: readonly DecathlonCase[];
}

const numbered = z.record(z.string().regex(/^\d+$/, 'must be numbered "0", "1", ...'), z.string());
const pair = z.object({ image: z.string().min(1), label: z.string().min(1) });

/** `numTraining` and `numTest` are not looked at: lists that were divided by hand keep the old counts. */
const listSchema = z.object({
  name: z.string().min(1),
  description: z.string().default(''),
  modality: numbered.default({ '0': 'CT' }),
  labels: numbered,
  training: z.array(pair).default([]),
  validation: z.array(pair).default([]),
  test: z
    .array(z.union([z.string().min(1), z.object({ image: z.string().min(1) }).transform(({ image }) => image)]))
    .default([]),
});

/**
 * @param text content of dataset.json
 * @param where what messages call it
 * @throws ClaraError invalid-input with every fault: JSON, missing fields, paths out of the folder, cases named twice
 */
export function parseDecathlonList(text: string, where: string): DecathlonList {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new ClaraError('invalid-input', `${where} is no JSON (${(error as Error).message})`, { cause: error });
  }
  const parsed = listSchema.safeParse(json);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => ({ path: issue.path.join('.'), rule: issue.message }));
    throw ClaraError.ofFaults(where, faults);
  }
  const faults: Fault[] = [];
  const cases = new CaseReader(faults);
  const { name, description, modality, labels } = parsed.data;
  const list: DecathlonList = {
    name,
    description,
    modality,
    labels,
    training: cases.labelled('training', parsed.data.training),
    validation: cases.labelled('validation', parsed.data.validation),
    test: cases.unlabelled('test', parsed.data.test),
  };
  if (list.training.length + list.validation.length + list.test.length === 0 && faults.length === 0) {
    faults.push({ path: 'training', rule: 'must list at least one case' });
  }
  if (faults.length > 0) throw ClaraError.ofFaults(where, faults);
  return list;
}

/** The text of dataset.json for a list; the order of cases and keys is kept, so that equal lists are equal bytes. */
export function formatDecathlonList(list: DecathlonList): string {
  const pairs = (cases: readonly LabelledCase[]): object[] =>
    cases.map(({ image, label }) => ({ image: `./${image}`, label: `./${label}` }));
  const content = {
    name: list.name,
    description: list.description,
    tensorImageSize: '3D',
    modality: list.modality,
    labels: list.labels,
    numTraining: list.training.length,
    numTest: list.test.length,
    training: pairs(list.training),
    validation: pairs(list.validation),
    test: list.test.map(({ image }) => `./${image}`),
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}

/** macOS puts a `._name` beside every `name` it archives; those hold no image. */
function isAppleDouble(file: string): boolean {
  return path.posix.basename(file).startsWith('._');
}

/** Turns list entries into cases and collects what is wrong with them. */
class CaseReader {
  private readonly seen = new Map<string, string>();

  constructor(private readonly faults: Fault[]) {}

  labelled(list: string, entries: readonly { readonly image: string; readonly label: string }[]): LabelledCase[] {
    return entries.flatMap(({ image, label }, index): LabelledCase[] => {
      if (isAppleDouble(image) || isAppleDouble(label)) return [];
      const imagePath = this.pathInside(`${list}.${index}.image`, image);
      const labelPath = this.pathInside(`${list}.${index}.label`, label);
      if (imagePath === undefined || labelPath === undefined) return [];
      return [{ id: this.idOf(`${list}.${index}.image`, imagePath), image: imagePath, label: labelPath }];
    });
  }

  unlabelled(list: string, entries: readonly string[]): DecathlonCase[] {
    return entries.flatMap((image, index): DecathlonCase[] => {
      if (isAppleDouble(image)) return [];
      const imagePath = this.pathInside(`${list}.${index}`, image);
      return imagePath === undefined ? [] : [{ id: this.idOf(`${list}.${index}`, imagePath), image: imagePath }];
    });
  }

  private pathInside(where: string, given: string): string | undefined {
    const clean = path.posix.normalize(given);
    const outside = path.posix.isAbsolute(clean) || clean === '..' || clean.startsWith('../');
    if (outside || /[\0\\]/.test(given) || /^[A-Za-z]:/.test(given)) {
      this.faults.push({ path: where, value: showValue(given), rule: "must be a path inside the dataset's folder" });
      return undefined;
    }
    return clean;
  }

  private idOf(where: string, image: string): string {
    const id = path.posix.basename(image).replace(/\.nii(\.gz)?$/, '');
    const before = this.seen.get(id);
    if (before === undefined) this.seen.set(id, where);
    else
      this.faults.push({
        path: where,
        value: showValue(id),
        rule: `must be a case of its own: ${before} names it too`,
      });
    return id;
  }
}
