import path from 'node:path';
import { ClaraError } from '../base/errors';
import { deriveSeed } from '../base/random';
import { type DecathlonDataset, type LabelledCase, writeDecathlon } from './decathlon';
import { writeNifti } from './nifti';
import { makePhantom, PHANTOM_LABELS, type PhantomOptions } from './phantom';

export interface PhantomDatasetOptions extends PhantomOptions {
  /** Cases to train on. */
  readonly cases: number;
  /** Further cases for the `validation` list. @default 0 */
  readonly heldOut?: number;
  /** Which patients are drawn; another seed is another hospital's patients. */
  readonly seed: number;
  /** @default 'Phantom spleen' */
  readonly name?: string;
  readonly signal?: AbortSignal;
}

/**
 * Writes phantoms as a Decathlon folder: `imagesTr/phantom_000.nii.gz`, `labelsTr/phantom_000.nii.gz` and so on, the held-out
 * cases numbered after the others. The same options give the same bytes.
 *
 * @throws ClaraError invalid-input when a number of cases is not a whole number, or there is none to train on
 */
export async function writePhantomDataset(folder: string, options: PhantomDatasetOptions): Promise<DecathlonDataset> {
  const { cases, heldOut = 0, seed, name, signal, ...phantom } = options;
  if (!Number.isInteger(cases) || !Number.isInteger(heldOut) || cases < 1 || heldOut < 0) {
    throw new ClaraError(
      'invalid-input',
      `a phantom dataset of ${cases} cases and ${heldOut} held out cannot be made: use whole numbers, at least 1 case`,
    );
  }
  return writePhantoms(folder, {
    ...{ cases, heldOut, signal, ...(name !== undefined && { name }) },
    draw: (index) => makePhantom(deriveSeed('phantom dataset', seed, index), phantom),
  });
}

export interface Phantoms {
  readonly cases: number;
  readonly heldOut: number;
  /** @default 'Phantom spleen' */
  readonly name?: string;
  readonly signal?: AbortSignal | undefined;
  /** Asked once for each case, in order. */
  readonly draw: (index: number) => ReturnType<typeof makePhantom>;
}

/** A Decathlon folder of whatever phantoms are drawn, laid out as {@link writePhantomDataset} says. */
export async function writePhantoms(
  folder: string,
  { cases, heldOut, name = 'Phantom spleen', signal, draw }: Phantoms,
): Promise<DecathlonDataset> {
  const written: LabelledCase[] = [];
  for (let index = 0; index < cases + heldOut; index += 1) {
    signal?.throwIfAborted();
    const id = `phantom_${String(index).padStart(3, '0')}`;
    const files = { id, image: `imagesTr/${id}.nii.gz`, label: `labelsTr/${id}.nii.gz` };
    const { image, label } = draw(index);
    await writeNifti(path.join(folder, files.image), image);
    await writeNifti(path.join(folder, files.label), label);
    written.push(files);
  }
  return writeDecathlon(folder, {
    name,
    description: 'Synthetic CT-like volumes with a spleen. They say nothing about clinical quality.',
    modality: { '0': 'CT' },
    labels: PHANTOM_LABELS,
    training: written.slice(0, cases),
    validation: written.slice(cases),
    test: [],
  });
}
