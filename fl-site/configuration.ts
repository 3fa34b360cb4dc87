import path from 'node:path';
import { z } from 'zod';
import { ClaraError } from '../base/errors';
import { faultsOf } from '../base/faults';
import { readFile } from '../base/files';
import { readYaml } from '../base/yaml';
import { siteIdSchema } from '../federation/cohort';
import { durationSchema } from '../federation/duration';
import { modelNameSchema } from '../federation/model-name';
import { hoursSchema } from './hours';
import { trainerSchema } from './trainer-configuration';

/**
 * The site's own configuration file: who it is, whom it calls, what it trains on, with which program and within which
 * limits. The hospital owns it; nothing that a coordinator sends changes it. YAML or JSON; relative paths start at the
 * folder of the file.
 */

const MAX_CHARACTERS = 100_000;
const UNIT: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };

/** `500MiB`, `4GiB` or a whole number; kept as bytes. */
const bytesSchema = z
  .union([z.number(), z.string()])
  .transform((value, context) => {
    if (typeof value === 'number') return value;
    const match = /^(\d{1,6}(?:\.\d{1,3})?)\s*([KMGT]iB)$/.exec(value.trim());
    if (match) return Math.floor(Number(match[1]) * UNIT[match[2]]);
    context.addIssue({ code: 'custom', message: 'must be bytes, or a size such as 500MiB or 4GiB' });
    return z.NEVER;
  })
  .refine((bytes) => Number.isSafeInteger(bytes) && bytes > 0, 'must be a whole number of bytes above 0');

const addressSchema = z.string().refine((text) => {
  const match = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})$/.exec(text);
  return match !== null && Number(match[1]) >= 1 && Number(match[1]) <= 65535;
}, 'must be host:port, with a port from 1 to 65535');

/** One address, or those of several coordinators of which one leads. */
const addressesSchema = z.union([addressSchema, z.array(addressSchema).min(1).max(10)], {
  error: 'must be host:port, with a port from 1 to 65535, or a list of 1 to 10 of them',
});

const fileSystemPath = z.string().min(1, 'must be a path').max(4096);

const limitsSchema = z.strictObject({
  /** The longest plan that this site approves. @default 1000 */
  maxRounds: z.number().int().min(1).max(10_000).default(1000),
  /** The fewest sites, this one included, whose updates are averaged. @default 1 */
  minimumCohort: z.number().int().min(1).max(1000).default(1),
  /** The largest update that leaves this site. @default 4GiB */
  updateBytes: bytesSchema.default(4 * UNIT.GiB),
  /** The largest model that this site downloads. @default 4GiB */
  modelBytes: bytesSchema.default(4 * UNIT.GiB),
  /** What a trainer may keep in its folder, its state included. @default 50GiB */
  diskBytes: bytesSchema.default(50 * UNIT.GiB),
  /** The longest time that one task may take, whatever the plan's deadline. @default 1d */
  taskTimeout: durationSchema.default(86400e3),
});

const policySchema = z.strictObject({
  /**
   * `automatic`: runs within the limits are approved; `person`: somebody must approve them too; `never`: this site takes part
   * in nothing. @default automatic
   */
  approve: z
    .enum(['automatic', 'person', 'never'], { error: 'must be automatic, person or never' })
    .default('automatic'),
  /**
   * `automatic`: promoted models are served at once; `person`: somebody must approve each version first; `never`: none is.
   * @default person
   */
  promotions: z
    .enum(['automatic', 'person', 'never'], { error: 'must be automatic, person or never' })
    .default('person'),
  /** When trainers may work. @default always */
  hours: hoursSchema.optional(),
});

const annotationSchema = z.strictObject({
  /** Workspace of this hospital's annotation server (`clara-fed aiaa start --workspace`). */
  workspace: fileSystemPath,
  /** The one registered model that it takes; under its name it is served. @default any */
  model: modelNameSchema.optional(),
});

const statisticsSchema = z.strictObject({
  /** Whether runs of statistics are approved at all. @default false */
  allow: z.boolean().default(false),
  /** The fewest cases that a told bin, and the site as a whole, must have. @default 5 */
  minimumCount: z.number().int().min(1).max(1_000_000).default(5),
  /** Privacy loss of one answer for one case; noise is added for it. @default none: exact sums are told */
  noiseEpsilon: z.number().min(0.001).max(100).optional(),
  /** The most bins of a histogram. @default 64 */
  maximumBins: z.number().int().min(2).max(256).default(64),
});

const configurationSchema = z.strictObject({
  id: siteIdSchema,
  coordinator: addressesSchema,
  /** Folder of the site's key and certificates, as enrolment wrote it. */
  credentials: fileSystemPath,
  /** Folder for models, task folders and the trainers' private state; one agent at a time uses it. */
  workspace: fileSystemPath,
  dataset: z.discriminatedUnion(
    'kind',
    [
      z.strictObject({ kind: z.literal('decathlon'), path: fileSystemPath }),
      z.strictObject({ kind: z.literal('none') }),
    ],
    { error: 'must be decathlon or none' },
  ),
  trainer: trainerSchema,
  limits: limitsSchema.prefault({}),
  policy: policySchema.prefault({}),
  statistics: statisticsSchema.prefault({}),
  /** Where promoted models go. @default none: this site serves no models */
  annotation: annotationSchema.optional(),
});

/** What a site's configuration says after parsing: every default filled in, every path absolute. */
export type SiteConfiguration = Readonly<Omit<z.output<typeof configurationSchema>, 'dataset'>> & {
  readonly dataset: { readonly kind: 'decathlon' | 'none'; readonly path: string };
};
/** What a person writes into the file. */
export type SiteConfigurationInput = z.input<typeof configurationSchema>;

/**
 * Reads a configuration file.
 * @throws ClaraError `not-found` without the file, `invalid-input` with every fault.
 */
export async function loadSiteConfiguration(file: string): Promise<SiteConfiguration> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw ClaraError.from(error, `cannot read the site configuration ${file}`);
  }
  const what = `the site configuration ${file}`;
  const document = readYaml(text, { what, maxCharacters: MAX_CHARACTERS });
  return checkSiteConfiguration(document, path.dirname(path.resolve(file)), what);
}

/** As {@link loadSiteConfiguration}, for a document that is already parsed; `folder` is where relative paths start. */
export function checkSiteConfiguration(
  document: unknown,
  folder: string,
  what = 'the site configuration',
): SiteConfiguration {
  const result = configurationSchema.safeParse(document);
  if (!result.success) throw ClaraError.ofFaults(what, faultsOf(result.error, document));
  const parsed = result.data;
  const absolute = (name: string) => path.resolve(folder, name);
  return {
    ...parsed,
    credentials: absolute(parsed.credentials),
    workspace: absolute(parsed.workspace),
    ...(parsed.annotation && {
      annotation: { ...parsed.annotation, workspace: absolute(parsed.annotation.workspace) },
    }),
    dataset:
      parsed.dataset.kind === 'none'
        ? { kind: 'none', path: '' }
        : { ...parsed.dataset, path: absolute(parsed.dataset.path) },
  };
}
