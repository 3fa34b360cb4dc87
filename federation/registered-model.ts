import { z } from 'zod';
import { siteIdSchema } from './cohort';
import { modelNameSchema, modelVersionSchema } from './model-name';
import { planSchema } from './plan';
import { metricsSchema } from './trainer-contract';

/**
 * The card of a registered model, `models/<name>/<version>/card.json`: what it is and where it comes from, written once and
 * never changed. What may change, its stage and where it is served, is in the registry's journal only.
 */

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);
export const MAX_DESCRIPTION = 1000;
export const MAX_LICENCE = 200;

/** Where the run itself started from, when it was not from weights of a trainer. */
const parentSchema = z.discriminatedUnion('from', [
  z.object({ from: z.literal('run'), run: z.string().max(100), round: z.number().int().min(0), digest }),
  z.object({ from: z.literal('file'), digest }),
  z.object({ from: z.literal('registry'), model: modelNameSchema, version: modelVersionSchema, digest }),
]);
export type ModelParent = z.output<typeof parentSchema>;

export const registeredCardSchema = z.object({
  model: modelNameSchema,
  version: modelVersionSchema,
  /** Of the safetensors file `models/<sha256>.safetensors`. */
  digest,
  bytes: z.number().int().min(1),
  description: z.string().max(MAX_DESCRIPTION),
  /** For people, such as `CC-BY-4.0`. */
  licence: z.string().max(MAX_LICENCE),
  /** RFC 3339, by the coordinator's clock. */
  registeredAt: z.iso.datetime(),
  operator: z.string(),
  run: z.string(),
  /** Of the run, after which the model is what it is; 0 is the model that the run started from. */
  round: z.number().int().min(0),
  /** As the run was submitted, every default filled in. */
  plan: planSchema,
  parents: z.array(parentSchema),
  /** Of the weights before round 1, whoever made them. */
  initialDigest: digest,
  /** Whose updates are in the model, in site order. */
  sites: z.array(
    z.object({
      site: siteIdSchema,
      /** Rounds to which it contributed. */
      rounds: z.number().int().min(1),
      /** Training cases behind its last update. */
      samples: z.number().int().min(0),
    }),
  ),
  metrics: z.object({
    /** Of this very model on each site's held-out cases. */
    sites: z.array(z.object({ site: siteIdSchema, samples: z.number().int().min(0), metrics: metricsSchema })),
    /** Over the sites, each weighing the same, of metrics that all of them report. */
    mean: metricsSchema,
  }),
});
export type RegisteredCard = z.output<typeof registeredCardSchema>;
