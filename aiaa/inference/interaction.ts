import { z } from 'zod';

/** Enough for a day of clicking; more is not a person. */
const MAX_POINTS = 10_000;

/** Image indices of a voxel. */
const voxelSchema = z.tuple([z.int().nonnegative(), z.int().nonnegative(), z.int().nonnegative()]);

const voxelsSchema = z.array(voxelSchema).max(MAX_POINTS);

/** What a person has pointed at in a volume, as image indices (i, j, k); interactive models work from it. */
export const interactionSchema = z.discriminatedUnion('kind', [
  /** The extreme points of a structure, in any order. */
  z.object({ kind: z.literal('extreme-points'), points: voxelsSchema.min(6) }),
  /** Clicks on what belongs to the structure and on what does not. */
  z.object({
    kind: z.literal('clicks'),
    foreground: voxelsSchema,
    background: voxelsSchema,
    /** The last click. */
    current: voxelSchema.optional(),
  }),
]);

export type Interaction = z.infer<typeof interactionSchema>;
