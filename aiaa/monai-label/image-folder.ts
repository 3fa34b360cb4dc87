import { createHash } from 'node:crypto';
import { readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { syncFolder } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { namesIn } from '../../base/folder-listing';
import { hasSystemCode } from '../../base/system-codes';
import { seriesFileOf } from '../storage/uploaded-series';

/**
 * The folder of one image of the datastore. `image.json` names the image's file; all that belongs to a content of the image, its labels
 * and what models think of it, has names that begin with that content's digest. So replacing `image.json` replaces all of it at once, and
 * what belongs to another content is not there, whether it has been removed yet or not.
 */

/** What fails when the datastore cannot be listed, in the words of an error. */
export const LISTING = 'listing the datastore';

/** What is known of one file: an image, or a label of it. Times are seconds since 1970. */
const storedFileSchema = z.object({
  /** The image's id, as the client gave it. */
  id: z.string(),
  /** Name of the file in its folder. */
  file: z.string().regex(/^[a-z0-9.-]+$/),
  ext: z.string(),
  bytes: z.int().nonnegative(),
  /** `sha256:<hex>`. */
  sha256: z.string(),
  ts: z.number(),
  /** What the client said of it. */
  info: z.record(z.string(), z.unknown()),
});

export type StoredFile = z.infer<typeof storedFileSchema>;

/** How unsure a model was of an image, 0..1. */
const assessmentSchema = z.object({
  /** Which model, and which publication of it. */
  model: z.string(),
  uncertainty: z.number().min(0).max(1),
});

export type Assessment = z.infer<typeof assessmentSchema>;

export interface StoredImage {
  readonly image: StoredFile;
  /** Of each model one, the newest last. */
  readonly assessments: readonly Assessment[];
  /** By tag, such as `final` (of a person) and `original` (of a model). */
  readonly labels: ReadonlyMap<string, StoredFile>;
  /** Tags of labels that are left out, since what is known of them cannot be read. */
  readonly damaged: readonly string[];
}

export const IMAGE_CARD = 'image.json';
const LABEL_CARD = /^([0-9a-f]{16})\.label\.([A-Za-z0-9_-]{1,64})\.json$/;
/** As they were called before labels belonged to a content: they are of the image that is there. */
const OLD_LABEL_CARD = /^label\.[A-Za-z0-9_-]{1,64}\.json$/;

/** How names of what belongs to a content of the image begin. */
export function contentPrefix({ sha256 }: Pick<StoredFile, 'sha256'>): string {
  return `${createHash('sha256').update(sha256).digest('hex').slice(0, 16)}.`;
}

export function labelCard(image: StoredFile, tag: string): string {
  return `${contentPrefix(image)}label.${tag}.json`;
}

export function assessmentsFile(image: StoredFile): string {
  return `${contentPrefix(image)}assessments.json`;
}

/** Names of all that makes up an image. */
export function namesOf({ image, labels, damaged }: StoredImage): ReadonlySet<string> {
  const files = [image, ...labels.values()].flatMap(({ file }) => [file, seriesFileOf(file)]);
  const cards = [...labels.keys(), ...damaged].map((tag) => labelCard(image, tag));
  return new Set([IMAGE_CARD, assessmentsFile(image), ...files, ...cards]);
}

/** Gives labels of earlier servers to the image that is there, whose they are. */
export async function renameOldLabels(folder: string): Promise<void> {
  const old = (await namesIn(folder, LISTING)).filter((name) => OLD_LABEL_CARD.test(name));
  const image = old.length === 0 ? undefined : await readCard(path.join(folder, IMAGE_CARD)).catch(() => undefined);
  if (image === undefined) return;
  for (const name of old) await rename(path.join(folder, name), path.join(folder, contentPrefix(image) + name));
  await syncFolder(folder);
}

/** @returns undefined when there is no image. @throws ClaraError `corrupt` when what is known of it cannot be read */
export async function readImage(folder: string): Promise<StoredImage | undefined> {
  const image = await readCard(path.join(folder, IMAGE_CARD));
  if (image === undefined) return undefined;
  const labels = new Map<string, StoredFile>();
  const damaged: string[] = [];
  for (const name of (await namesIn(folder, LISTING)).sort()) {
    const [, , tag] = LABEL_CARD.exec(name) ?? [];
    if (tag === undefined || name !== labelCard(image, tag)) continue;
    try {
      const label = await readCard(path.join(folder, name));
      if (label !== undefined) labels.set(tag, label);
    } catch {
      damaged.push(tag);
    }
  }
  return { image, labels, damaged, assessments: await readAssessments(path.join(folder, assessmentsFile(image))) };
}

/** What is damaged is made again. */
async function readAssessments(file: string): Promise<readonly Assessment[]> {
  try {
    return z.array(assessmentSchema).parse(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    return [];
  }
}

/** @returns undefined when it is not there. @throws ClaraError `corrupt` */
export async function readCard(file: string): Promise<StoredFile | undefined> {
  try {
    return storedFileSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    if (hasSystemCode(error, 'ENOENT')) return undefined;
    // No cause: what parsers say of a card repeats its text, and ids may name patients.
    throw new ClaraError(
      'corrupt',
      'An entry of the datastore is damaged; remove its image, or tell the administrator.',
    );
  }
}
