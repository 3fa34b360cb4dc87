import { z } from 'zod';
import { ClaraError } from '../../base/errors';
import { faultsOf } from '../../base/faults';
import type { ModelAnnouncement } from '../../federation/gen/federation/v1/federation_pb';
import { modelNameSchema, modelVersionSchema, showVersion } from '../../federation/model-name';
import { MAX_DESCRIPTION } from '../../federation/registered-model';
import type { SiteConfiguration } from '../configuration';

const offerSchema = z.object({
  /** Names the promotion; the same version may be promoted again. */
  promotion: z.bigint().min(1n),
  model: modelNameSchema,
  version: modelVersionSchema,
  description: z.string().max(MAX_DESCRIPTION),
  object: z.string().min(1).max(900),
  /** Bytes. */
  size: z.number().int().min(1),
  /** Lower-case hexadecimal. */
  sha256: z.string().length(64),
});

/** A model that the coordinator offers to this site's annotation server. */
export type Offer = z.output<typeof offerSchema>;

/** @throws ClaraError `invalid-input` with every fault */
export function parseOffer({ reference, ...announced }: ModelAnnouncement): Offer {
  const document = {
    ...announced,
    object: reference?.object,
    size: Number(reference?.size),
    sha256: Buffer.from(reference?.sha256 ?? []).toString('hex'),
  };
  const parsed = offerSchema.safeParse(document);
  if (parsed.success) return parsed.data;
  throw ClaraError.ofFaults('the announcement of a model', faultsOf(parsed.error, document));
}

/** Why this site takes no such model; undefined when it may. */
export function refusalOf(
  offer: Offer,
  { id, annotation, policy, limits }: Pick<SiteConfiguration, 'id' | 'annotation' | 'policy' | 'limits'>,
): string | undefined {
  if (!annotation) return `${id} has no annotation server (annotation)`;
  if (policy.promotions === 'never') return `${id} takes no promoted models (policy.promotions is never)`;
  if (annotation.model !== undefined && annotation.model !== offer.model) {
    return `${id} serves ${annotation.model} only, not ${showVersion(offer)} (annotation.model)`;
  }
  if (offer.size > limits.modelBytes) {
    return `${showVersion(offer)} has ${offer.size} bytes, but ${id} allows ${limits.modelBytes} (limits.modelBytes)`;
  }
  return undefined;
}
