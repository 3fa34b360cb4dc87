import { randomUUID } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { writeFileDurably } from '../../base/durable-file';
import { ClaraError, hasCode } from '../../base/errors';
import { lockWorkspace } from '../../fl-site/workspace-lock';

/** What a demonstration is made of; it cannot change once its workspace exists. */
const settingsSchema = z.object({
  rounds: z.number().int().min(1).max(1000),
  sites: z.array(z.string()).min(1),
  seed: z.number().int().min(0).max(0xffffffff),
  /** Absolute path of a Decathlon folder or archive; none for phantoms. */
  dataset: z.string().optional(),
  submitToken: z.string(),
});

export type DemoSettings = z.infer<typeof settingsSchema>;

const SITE_NAMES = ['northern', 'riverside', 'st-marys', 'lakeside', 'hillcrest', 'university', 'children', 'coastal'];
export const MAX_SITES = 16;

/** Hospitals of a demonstration, in site order. */
export function siteNames(count: number): string[] {
  const names = Array.from({ length: count }, (_, i) => SITE_NAMES[i] ?? `hospital-${String(i + 1).padStart(2, '0')}`);
  return names.sort();
}

const SETTINGS_FILE = 'demo.json';

/**
 * Two demonstrations in one workspace would be two coordinators of one federation.
 * @returns gives the workspace back
 * @throws ClaraError `precondition-failed` while another demonstration runs there
 */
export async function lockDemoWorkspace(folder: string): Promise<() => Promise<void>> {
  try {
    return await lockWorkspace(folder);
  } catch (error) {
    if (!hasCode(error, 'precondition-failed')) throw error;
    throw new ClaraError(
      'precondition-failed',
      `a demonstration is running in ${folder}; end it, or choose another --workspace`,
      { cause: error },
    );
  }
}

/**
 * The settings of the demonstration in a workspace: those that are kept there, or new ones. Starting again in the same workspace
 * goes on with what is there, so the settings must be the same.
 * @throws ClaraError `already-exists`, naming every setting that differs
 */
export async function openDemoWorkspace(
  folder: string,
  wanted: Omit<DemoSettings, 'submitToken'>,
): Promise<{ settings: DemoSettings; resumed: boolean }> {
  const file = path.join(folder, SETTINGS_FILE);
  const found = await readSettings(file);
  if (!found) return { settings: { ...wanted, submitToken: randomUUID() }, resumed: false };
  const differing = (['rounds', 'sites', 'seed', 'dataset'] as const).filter(
    (key) => JSON.stringify(found[key]) !== JSON.stringify(wanted[key]),
  );
  if (differing.length === 0) return { settings: found, resumed: true };
  const details = differing.map((key) => `--${key} ${shown(found[key])}`).join(', ');
  throw new ClaraError(
    'already-exists',
    `${folder} holds a demonstration with ${details}; use the same settings, another --workspace, or remove the folder`,
  );
}

function shown(value: DemoSettings[keyof DemoSettings]): string {
  return Array.isArray(value) ? String(value.length) : String(value ?? 'not given');
}

/** From here on the workspace belongs to these settings. Not before the images are there: until then they may prove impossible. */
export async function keepDemoSettings(folder: string, settings: DemoSettings): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFileDurably(path.join(folder, SETTINGS_FILE), JSON.stringify(settings));
}

async function readSettings(file: string): Promise<DemoSettings | undefined> {
  try {
    return settingsSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    if (hasCode(ClaraError.from(error), 'not-found')) return undefined;
    throw new ClaraError('corrupt', `${file} is not the settings file of a demonstration; choose another --workspace`, {
      cause: error,
    });
  }
}
