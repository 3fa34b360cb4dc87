import { z } from 'zod';
import { ClaraError } from '../../base/errors';
import { faultsOf } from '../../base/faults';

/**
 * What a plan may say to the built-in convex problem: multinomial logistic regression ("softmax regression") on data that are
 * generated. The first three make the problem, the others train it.
 */
const parametersSchema = z.strictObject({
  /** Numbers in an example. The model has `classes x (features + 1)` weights. */
  features: z.int().min(1).max(1_000_000).default(20),
  classes: z.int().min(2).max(1000).default(10),
  /** Training examples of a site on average; half as many are held out. */
  samples: z.int().min(2).max(100_000).default(40),
  /** Factor on half the squared norm of the weights; above 0 the problem has one solution. */
  regularisation: z.number().min(0).max(100).default(0.01),
  learningRate: z.number().positive().max(1000).default(0.1),
  /** Passes over the site's examples in one round. */
  epochs: z.int().min(1).max(1000).default(5),
  /** Examples of one gradient; 0: all of them. */
  batch: z.int().min(0).max(100_000).default(10),
});

export type SoftmaxParameters = z.output<typeof parametersSchema>;

/** Of weights together; so that a site's thread does not run out of memory by a typing error. */
const MAX_WEIGHTS = 64 * 2 ** 20;

/** @throws ClaraError `invalid-input` that lists every fault */
export function softmaxParameters(document: unknown): SoftmaxParameters {
  const parsed = parametersSchema.safeParse(document);
  if (!parsed.success) throw ClaraError.ofFaults('trainer parameters', faultsOf(parsed.error, document));
  const { features, classes } = parsed.data;
  const weights = classes * (features + 1);
  if (weights <= MAX_WEIGHTS) return parsed.data;
  const rule = `with ${classes} classes makes ${weights} weights; at most ${MAX_WEIGHTS} are simulated`;
  throw ClaraError.ofFaults('trainer parameters', [{ path: 'features', value: String(features), rule }]);
}
