import { deriveSeed, seededRandom } from '../base/random';
import type { DecathlonDataset } from '../imaging/decathlon';
import { makePhantom, PHANTOM_SITE_STYLES } from '../imaging/phantom';
import { writePhantoms } from '../imaging/phantom-dataset';
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
  return writePhantoms(folder, {
    ...{ cases, heldOut, signal },
    draw: (index) => {
      const { name: _, ...style } = PHANTOM_SITE_STYLES[drawKind(random, shares)]!;
      return makePhantom(deriveSeed('phantom patient', seed, site, index), { shape: PHANTOM_SHAPE, ...style });
    },
  });
}
