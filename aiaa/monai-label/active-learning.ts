import { randomInt } from 'node:crypto';
import type { StoredImage } from './datastore';

/** The tag of labels that a person has finished. */
export const FINAL = 'final';
/** The tag of labels that a model made. */
export const ORIGINAL = 'original';

export interface Strategy {
  readonly description: string;
  /** Chooses among images without a final label; there is at least one. */
  readonly choose: (unlabelled: readonly StoredImage[]) => StoredImage;
}

/** How the next image to be labelled is chosen. */
export const STRATEGIES: Readonly<Record<string, Strategy>> = {
  first: {
    description: 'The image that has waited longest.',
    choose: (unlabelled) => unlabelled.reduce((a, b) => (b.image.ts < a.image.ts ? b : a)),
  },
  random: {
    description: 'Any image, each as likely as the others.',
    choose: (unlabelled) => unlabelled[randomInt(unlabelled.length)],
  },
};

/** The image to be labelled next, or undefined when all have a final label. */
export function nextImage(strategy: Strategy, images: readonly StoredImage[]): StoredImage | undefined {
  const unlabelled = images.filter(({ labels }) => !labels.has(FINAL));
  return unlabelled.length === 0 ? undefined : strategy.choose(unlabelled);
}
