import { z } from 'zod';
import { IMAGE, IMAGE_RULE } from './containers/image';
import { GPU_FAMILY_NAMES, type GpuFamilyName } from './gpu/gpu-families';

/**
 * Settings that people write, with their rules: checked by a stack's configuration before anything is made, and again by the
 * component that takes them. Nothing of AWS is loaded for it.
 */

/** One kind of training that a site offers. */
export interface Trainer {
  /** What plans ask for by name. */
  readonly name: string;
  /** Image that keeps the trainer contract; the task folder is its last argument. */
  readonly image: string;
  /** Program and arguments before the task folder; none where the image's entry point is the trainer. @default [] */
  readonly command?: readonly string[];
  readonly gpuFamily: GpuFamilyName;
  /** What it does beyond plain training, by the trainer contract. @default nothing */
  readonly supports?: readonly string[];
  /** An MMAR that the image, of Clara Train, trains: the agent brings the program between the two. @default the image keeps the contract */
  readonly mmar?: MmarTrainer;
}

/** How an MMAR is trained, by docs/site-configuration.md. */
export interface MmarTrainer {
  /** Folder below the MMARs of the training room. */
  readonly folder: string;
  readonly launch?: 'module' | 'script';
  readonly python?: string;
  readonly set?: Readonly<Record<string, string | number | boolean>>;
  readonly allow?: readonly string[];
}

const FOLDER = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/;
const folder = z.string().regex(FOLDER, 'must be the name of a folder');

const variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, 'must be a variable of config_train.json');

const MMAR_TRAINER = z.strictObject({
  folder,
  launch: z.enum(['module', 'script'], { error: 'must be module or script' }).optional(),
  python: z.string().min(1).optional(),
  set: z
    .record(
      variable,
      z.union([
        z.number(),
        z.boolean(),
        z.string().regex(/^[A-Za-z0-9_.+-]{1,100}$/, 'must be one word of letters, digits and "_.+-"'),
      ]),
    )
    .optional(),
  allow: z.array(variable).max(100).optional(),
});

export const TRAINER = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/, 'must be 1 to 32 lower-case letters, digits and hyphens'),
    image: z.string().regex(IMAGE, IMAGE_RULE),
    command: z.array(z.string().min(1)).max(100).default([]),
    gpuFamily: z.enum(GPU_FAMILY_NAMES, { error: `must be one of ${GPU_FAMILY_NAMES.join(', ')}` }),
    supports: z.array(z.string().min(1)).optional(),
    mmar: MMAR_TRAINER.optional(),
  })
  .refine(
    ({ mmar, command, supports }) => mmar === undefined || (command.length === 0 && supports === undefined),
    'must have no command and no supports beside mmar: the agent knows both',
  );

export const AGENT_SETTINGS = z.strictObject({
  limits: z.record(z.string(), z.unknown()).optional(),
  policy: z.record(z.string(), z.unknown()).optional(),
  statistics: z.record(z.string(), z.unknown()).optional(),
});

export const DATASET_FOLDER = z.string().regex(FOLDER, 'must be the name of a folder, such as Task09_Spleen');

const objectKey = z
  .string()
  .regex(/^[A-Za-z0-9_.=-][A-Za-z0-9_.=/-]{0,1000}$/, "must be the key of an object in the site's dataset bucket");
const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'must be sha256: and 64 hexadecimal digits');

/** How the bootstrap task fills the workspace from the dataset bucket: options of `clara-fed site prepare`. */
export const PREPARATION = z.strictObject({
  /** Of the dataset's archive, `<dataset>.tar`. @default any */
  sha256: digest.optional(),
  /** Cases that are not trained on. @default as the archive's own list says */
  heldOut: z.number().int().min(0).max(10_000).optional(),
  /** Which cases are held out. @default 1 */
  seed: z.number().int().min(0).max(0xffffffff).optional(),
  /** Volumes are stored unpacked. @default false */
  gunzip: z.boolean().optional(),
  /** An archive with an MMAR of Clara Train, unpacked to `mmars/<folder>` of the training room. @default none */
  mmar: z.strictObject({ from: objectKey, sha256: digest.optional(), folder }).optional(),
  /** What the annotation server serves first. Without `from` the model that the MMAR brings. @default nothing */
  model: z
    .strictObject({
      name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/, 'must be a name such as clara_ct_seg_spleen'),
      from: objectKey.optional(),
      sha256: digest.optional(),
    })
    .optional(),
});

export type Preparation = Readonly<z.output<typeof PREPARATION>>;

/** What is wrong with a preparation beside its own rules: path below it, and rule. */
export function preparationFaults(
  { mmar, model, ...rest }: Preparation,
  dataset: string | undefined,
): { readonly path: string; readonly rule: string }[] {
  const faults: { path: string; rule: string }[] = [];
  const isSaid = mmar !== undefined || model !== undefined || Object.values(rest).some((value) => value !== undefined);
  if (isSaid && dataset === undefined) faults.push({ path: '', rule: 'needs dataset: the folder that is prepared' });
  if (model && model.from === undefined && mmar === undefined) {
    faults.push({ path: 'model.from', rule: 'must say where the model is, because there is no MMAR that brings one' });
  }
  if (model && model.from === undefined && model.sha256 !== undefined) {
    faults.push({
      path: 'model.sha256',
      rule: 'belongs to model.from; what an MMAR brings has the digest of its archive',
    });
  }
  return faults;
}

export const ENDPOINT_SERVICE = /^com\.amazonaws\.vpce\.[a-z0-9-]+\.vpce-svc-[0-9a-f]{17}$/;

export const EMAIL = z.string().regex(/^[^@\s]+@[^@\s]+\.[^@\s]+$/, 'must be an e-mail address');
export const USD = z.number().min(1, 'must be at least 1 USD').max(1_000_000);

/** Days that CloudWatch Logs accepts as a retention (CloudWatch Logs API, PutRetentionPolicy). */
export const LOG_RETENTION_DAYS = [
  30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 3653,
] as const;

export interface NightHours {
  /** `22:00`, in {@link timezone}: when the service goes to sleep. */
  readonly from: string;
  /** `06:30`: when it wakes up, on working days. */
  readonly to: string;
  /** IANA name, such as Europe/London. */
  readonly timezone: string;
}

const time = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be a time of day such as 06:30');

export const NIGHT_HOURS = z.strictObject({
  from: time,
  to: time,
  timezone: z.string().refine(isTimezone, 'must be an IANA time zone such as Europe/London'),
});

function isTimezone(text: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: text });
    return text.includes('/') || text === 'UTC';
  } catch {
    return false;
  }
}
