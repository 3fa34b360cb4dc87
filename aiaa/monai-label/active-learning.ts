import { randomInt } from 'node:crypto';
import type { StoredImage } from './datastore';

/** The tag of labels that a person has finished. */
export const FINAL = 'final';
/** The tag of labels that a model made. */
export const ORIGINAL = 'original';

export interface Strategy {
  readonly description: string;
  /** What clients may send, with what holds without it. */
  readonly config: Readonly<Record<string, unknown>>;
  /** True when a model has to look at the images first. */
  readonly asksModel: boolean;
  /**
   * Chooses among images without a final label; there is at least one.
   *
   * @param model whose assessments count, as they name it
   */
  readonly choose: (unlabelled: readonly StoredImage[], model?: string) => StoredImage;
}

/** How the next image to be labelled is chosen. */
export const STRATEGIES: Readonly<Record<string, Strategy>> = {
  first: {
    description: 'The image that has waited longest.',
    config: {},
    asksModel: false,
    choose: longestWaiting,
  },
  random: {
    description: 'Any image, each as likely as the others.',
    config: {},
    asksModel: false,
    choose: (unlabelled) => unlabelled[randomInt(unlabelled.length)],
  },
  entropy: {
    description: 'The image of which the model (without a name the newest) is least sure.',
    config: { model: '' },
    asksModel: true,
    choose(unlabelled, model) {
      const assessed = unlabelled.filter(({ assessment }) => assessment?.model === model);
      if (assessed.length === 0) return longestWaiting(unlabelled);
      return assessed.reduce((a, b) => (b.assessment!.uncertainty > a.assessment!.uncertainty ? b : a));
    },
  },
};

function longestWaiting(unlabelled: readonly StoredImage[]): StoredImage {
  return unlabelled.reduce((a, b) => (b.image.ts < a.image.ts ? b : a));
}

/** Images that no person has finished. */
export function unlabelledOf(images: readonly StoredImage[]): readonly StoredImage[] {
  return images.filter(({ labels }) => !labels.has(FINAL));
}
