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
}

export const TRAINER = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/, 'must be 1 to 32 lower-case letters, digits and hyphens'),
  image: z.string().regex(IMAGE, IMAGE_RULE),
  command: z.array(z.string().min(1)).max(100).default([]),
  gpuFamily: z.enum(GPU_FAMILY_NAMES, { error: `must be one of ${GPU_FAMILY_NAMES.join(', ')}` }),
  supports: z.array(z.string().min(1)).optional(),
});

export const AGENT_SETTINGS = z.strictObject({
  limits: z.record(z.string(), z.unknown()).optional(),
  policy: z.record(z.string(), z.unknown()).optional(),
  statistics: z.record(z.string(), z.unknown()).optional(),
});

export const DATASET_FOLDER = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/, 'must be the name of a folder, such as Task09_Spleen');

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
