import { z } from 'zod';
import { polygonEditSchema } from '../../imaging/polygons/edit';

/** Jobs of the inference process that need no model: they would hold the server's own process up. */

const files = {
  /** File to read. */
  input: z.string(),
  /** File to write. */
  output: z.string(),
  maxVolumeBytes: z.number(),
};

/** The slices of a DICOM series become a volume; what a segmentation must know of them goes beside it. */
const importSchema = z.object({
  kind: z.literal('import-series'),
  slices: z.array(z.string()).min(1),
  /** NIfTI file to write. */
  output: z.string(),
  maxVolumeBytes: z.number(),
});

/** A mask becomes polygons, as JSON. */
const toPolygonsSchema = z.object({
  kind: z.literal('mask-to-polygons'),
  ...files,
  /** Pixels of an outline from one vertex to the next, at most. */
  every: z.int().positive(),
});

/** A vertex of polygons is moved; what they then enclose becomes a mask of the grid of `input`. */
const editSchema = z.object({
  kind: z.literal('edit-polygons'),
  ...files,
  /** JSON file to write with the polygons. */
  answer: z.string(),
  edit: polygonEditSchema,
});

export const fileJobSchemas = [importSchema, toPolygonsSchema, editSchema] as const;

const fileJobSchema = z.discriminatedUnion('kind', fileJobSchemas);

export type FileJob = z.infer<typeof fileJobSchema>;

/** A job before the server has said how large a volume may be. */
export type SizedFileJob = WithoutLimit<FileJob>;

type WithoutLimit<Job> = Job extends unknown ? Omit<Job, 'maxVolumeBytes'> : never;
