import path from 'node:path';
import { deriveSeed, seededRandom } from '../base/random';
import { type DecathlonDataset, type LabelledCase, writeDecathlon } from '../imaging/decathlon';
import { writeNifti } from '../imaging/nifti';
import { makePhantom, PHANTOM_LABELS, PHANTOM_SITE_STYLES } from '../imaging/phantom';
import type { Shape3 } from '../imaging/volume';
import { dirichlet, drawKind } from './random-draws';

/** The working grid of the reference trainer's recipe (8 x 8 x 10 mm): nothing is resampled, and a case is small. */
export const PHANTOM_SHAPE: Shape3 = [40, 40, 24];

export interface PhantomSite {
  readonly seed: number;
  readonly site: string;
  /** Cases to train on, and cases that are held out. */
  readonly cases: number;
  readonly heldOut: number;
  /** Of the scanners' shares at a site. @default every case is of a scanner drawn evenly */
  readonly skew?: number | undefined;
  readonly signal: AbortSignal;
}

/**
 * A Decathlon folder of phantoms for one site: each patient is scanned by one of the phantom's scanner styles, and sites differ in
 * which they have (Dirichlet, `skew`). A function of its options alone.
 */
export async function writePhantomSite(folder: string, options: PhantomSite): Promise<DecathlonDataset> {
  const { seed, site, cases, heldOut, skew, signal } = options;
  const random = seededRandom(deriveSeed('phantom site', seed, site));
  const shares = dirichlet(random, PHANTOM_SITE_STYLES.length, skew);
  const written: LabelledCase[] = [];
  for (let index = 0; index < cases + heldOut; index++) {
    signal.throwIfAborted();
    const { name: _, ...style } = PHANTOM_SITE_STYLES[drawKind(random, shares)]!;
    const id = `phantom_${String(index).padStart(3, '0')}`;
    const files = { id, image: `imagesTr/${id}.nii.gz`, label: `labelsTr/${id}.nii.gz` };
    const { image, label } = makePhantom(deriveSeed('phantom patient', seed, site, index), {
      shape: PHANTOM_SHAPE,
      ...style,
    });
    await writeNifti(path.join(folder, files.image), image);
    await writeNifti(path.join(folder, files.label), label);
    written.push(files);
  }
  return writeDecathlon(folder, {
    name: 'Phantom spleen',
    description: 'Synthetic CT-like volumes with a spleen. They say nothing about clinical quality.',
    modality: { '0': 'CT' },
    labels: PHANTOM_LABELS,
    training: written.slice(0, cases),
    validation: written.slice(cases),
    test: [],
  });
}
