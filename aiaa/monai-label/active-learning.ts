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
      const uncertainty = (stored: StoredImage) => uncertaintyBy(model, stored) ?? -1;
      const assessed = unlabelled.filter((stored) => uncertainty(stored) >= 0);
      if (assessed.length === 0) return longestWaiting(unlabelled);
      return assessed.reduce((a, b) => (uncertainty(b) > uncertainty(a) ? b : a));
    },
  },
};

function longestWaiting(unlabelled: readonly StoredImage[]): StoredImage {
  return unlabelled.reduce((a, b) => (b.image.ts < a.image.ts ? b : a));
}

/** How unsure a model was of an image; undefined when it has not looked at it. */
export function uncertaintyBy(model: string | undefined, { assessments }: StoredImage): number | undefined {
  return assessments.find((assessment) => assessment.model === model)?.uncertainty;
}

/** Images that no person has finished. */
export function unlabelledOf(images: readonly StoredImage[]): readonly StoredImage[] {
  return images.filter(({ labels }) => !labels.has(FINAL));
}
