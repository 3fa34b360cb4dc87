import { z } from 'zod';
import { ClaraError, type Fault, showValue } from '../../base/errors';
import { faultsOf } from '../../base/faults';
import { architectureFaults } from './architecture';

/**
 * The model card: what a model file must say, beside its weights, so that anyone can use it on a CT. It is stored as the
 * `__metadata__` of the safetensors file, where every value is a string: numbers and lists are JSON.
 */

/** Names this engine and the meaning of its weights; another meaning gets another number. */
export const ENGINE_ID = 'clara-federation/unet3d@1';

const positive = z.number().positive();

export const modelCardSchema = z.object({
  engine: z.literal(ENGINE_ID, `must be "${ENGINE_ID}", the only engine that reads this model`),
  name: z.string().min(1).max(100),
  description: z.string().max(1000),
  /** What mask value 1 means: one organ, so one name. */
  labels: z.tuple([z.string().min(1).max(100)]),
  /** See {@link Architecture}. */
  channels: z.array(z.number()),
  /** Voxels along i, j, k of the working grid that the network sees at once. */
  patch: z.tuple([z.number(), z.number(), z.number()]),
  /** Millimetres between voxels of the working grid, to the right, front and head. */
  spacing: z.tuple([positive, positive, positive]),
  /** Hounsfield units that become the lowest and the highest input. */
  window: z
    .object({ low: z.number(), high: z.number() })
    .refine(({ low, high }) => high > low, 'high must be above low'),
});

export type ModelCard = z.infer<typeof modelCardSchema>;

/** Metadata are text; these fields are JSON in it. */
const JSON_FIELDS = ['labels', 'channels', 'patch', 'spacing', 'window'] as const;

export type CardMetadata = Readonly<Record<string, string>>;

export function metadataOf(card: ModelCard): CardMetadata {
  const text = { ...card } as Record<string, unknown>;
  for (const field of JSON_FIELDS) text[field] = JSON.stringify(card[field]);
  return text as CardMetadata;
}

/**
 * Other entries of the metadata are left alone.
 *
 * @param what the file, for messages
 * @throws ClaraError invalid-input that lists every fault
 */
export function parseModelCard(metadata: CardMetadata, what: string): ModelCard {
  const faults: Fault[] = [];
  const fields: Record<string, unknown> = { ...metadata };
  for (const field of JSON_FIELDS) {
    if (metadata[field] === undefined) continue;
    try {
      fields[field] = JSON.parse(metadata[field]);
    } catch {
      faults.push({ path: field, value: showValue(metadata[field]), rule: 'must be JSON' });
    }
  }
  const unreadable = new Set(faults.map(({ path }) => path));
  const card = modelCardSchema.safeParse(fields);
  if (!card.success) faults.push(...faultsOf(card.error, fields).filter(({ path }) => !unreadable.has(path)));
  if (card.success) faults.push(...architectureFaults(card.data));
  if (faults.length > 0) throw ClaraError.ofFaults(`model card of ${what}`, faults);
  return card.data!;
}
