import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { syncFolder, writeFileDurably } from '../../base/durable-file';
import { ClaraError, hasCode, showValue } from '../../base/errors';
import { showBytes } from '../../base/show-bytes';
import { digestOfFile } from '../../federation/tensors/file';
import { datastoreFull } from '../errors';
import { seriesFileOf } from '../storage/uploaded-series';
import type { VolumeExtension } from '../storage/uploaded-volume';

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
  /** Name and version. */
  model: z.string(),
  uncertainty: z.number().min(0).max(1),
});

export type Assessment = z.infer<typeof assessmentSchema>;

export interface StoredImage {
  readonly image: StoredFile;
  /** Of the model that looked last. */
  readonly assessment?: Assessment;
  /** By tag, such as `final` (of a person) and `original` (of a model). */
  readonly labels: ReadonlyMap<string, StoredFile>;
}

export interface DatastoreOptions {
  readonly maxImages: number;
  readonly maxBytes: number;
  /** Seconds since 1970. @default the system's clock */
  readonly now?: () => number;
  readonly onDamaged?: (error: ClaraError) => void;
}

/**
 * A volume that is about to be kept; the file is moved, and must be on the workspace's file system. What is known of its DICOM series, a
 * file beside it, goes with it.
 */
export interface NewFile {
  readonly file: string;
  readonly extension: VolumeExtension;
  readonly info?: Readonly<Record<string, unknown>>;
}

const MAX_ID = 256;
const TAG = /^[A-Za-z0-9_-]{1,64}$/;
const IMAGE = 'image.json';
/** Of one content of the image; of another one it says nothing. */
const assessmentFileOf = ({ file }: StoredFile): string => `${file}.assessment.json`;
const LABEL = /^label\.([A-Za-z0-9_-]{1,64})\.json$/;
/** Files that nothing names yet belong to somebody who is about to name them, for so long. */
const UNNAMED_KEPT_SECONDS = 3600;

/**
 * Images that radiologists work through, with their labels, below `<workspace>/datastore`: a folder for each image, named by the digest
 * of its id, since ids may name patients. A file is there when the JSON beside it says so, and that is replaced atomically;
 * each label has its own, so that servers on one workspace do not undo each other's. Unlike everything else that is sent here it
 * stays until somebody deletes it.
 */
export class Datastore {
  private readonly root: string;
  private readonly now: () => number;

  constructor(
    workspace: string,
    private readonly options: DatastoreOptions,
  ) {
    this.root = path.join(workspace, 'datastore');
    this.now = options.now ?? (() => Date.now() / 1000);
  }

  /** All images, oldest first. One whose entry is damaged is left out, and `onDamaged` is told. */
  async list(): Promise<readonly StoredImage[]> {
    const found: StoredImage[] = [];
    for (const name of await namesIn(this.root)) {
      const stored = await this.readUnlessDamaged(name);
      if (stored instanceof ClaraError) this.options.onDamaged?.(stored);
      else if (stored) found.push(stored);
    }
    return found.sort((a, b) => a.image.ts - b.image.ts || (a.image.id < b.image.id ? -1 : 1));
  }

  /** @throws ClaraError `not-found` */
  async find(id: string): Promise<StoredImage> {
    const stored = await this.read(this.folderOf(id));
    if (stored === undefined) {
      throw new ClaraError('not-found', `There is no image ${showValue(id)}; GET /datastore/?output=all lists them.`);
    }
    return stored;
  }

  /** @throws ClaraError `not-found` */
  async findLabel(id: string, tag: string): Promise<StoredFile> {
    const label = (await this.find(id)).labels.get(tag);
    if (label === undefined) {
      throw new ClaraError('not-found', `Image ${showValue(id)} has no label with the tag ${showValue(tag)}.`);
    }
    return label;
  }

  /** Where a file lies. */
  pathOf({ id, file }: StoredFile): string {
    return path.join(this.folderOf(id), file);
  }

  /** Keeps an image; one with the same id is replaced, and its labels go, since they are not of this one. */
  async putImage(id: string, given: NewFile): Promise<StoredFile> {
    if (id.length === 0 || id.length > MAX_ID) {
      throw new ClaraError('invalid-input', `An image's id has 1 to ${MAX_ID} characters, not ${id.length}.`);
    }
    await this.mustHaveRoom(id, given.file);
    const before = await this.read(this.folderOf(id)).catch(() => this.removeImage(id));
    for (const tag of before?.labels.keys() ?? []) await this.removeLabel(id, tag);
    return this.keep(id, 'image', IMAGE, given);
  }

  /** Keeps a label of an image; one with the same tag is replaced. @throws ClaraError `not-found`, `invalid-input` */
  async putLabel(id: string, tag: string, given: NewFile): Promise<StoredFile> {
    if (!TAG.test(tag)) {
      throw new ClaraError('invalid-input', `The tag is ${showValue(tag)}; use 1 to 64 letters, digits, "_" and "-".`);
    }
    await this.find(id);
    await this.mustHaveRoom(id, given.file);
    return this.keep(id, `label-${tag.toLowerCase().replaceAll('_', '-')}`, `label.${tag}.json`, given);
  }

  /** Keeps what a model thinks of an image, in place of what one thought before. An image that has gone meanwhile has no assessment. */
  async putAssessment(image: StoredFile, assessment: Assessment): Promise<void> {
    const now = await this.read(this.folderOf(image.id));
    if (now?.image.file !== image.file) return;
    await writeFileDurably(path.join(this.folderOf(image.id), assessmentFileOf(image)), JSON.stringify(assessment), {
      mode: 0o600,
    });
  }

  /** Removes a damaged one, too. @throws ClaraError `not-found` */
  async removeImage(id: string): Promise<void> {
    await this.find(id).catch((error: unknown) => {
      if (!hasCode(error, 'corrupt')) throw error;
    });
    await rm(path.join(this.folderOf(id), IMAGE), { force: true }); // from here on it is not there
    await rm(this.folderOf(id), { recursive: true, force: true });
  }

  /** @throws ClaraError `not-found` */
  async removeLabel(id: string, tag: string): Promise<void> {
    const label = await this.findLabel(id, tag);
    await rm(path.join(this.folderOf(id), `label.${tag}.json`), { force: true });
    await this.removeFiles(label);
  }

  /** Removes the labels with this tag of all images. */
  async removeTag(tag: string): Promise<void> {
    for (const { image, labels } of await this.list()) if (labels.has(tag)) await this.removeLabel(image.id, tag);
  }

  /** Removes what a killed server left half made. Safe beside other servers. */
  async sweep(): Promise<void> {
    for (const name of await namesIn(this.root)) {
      const folder = path.join(this.root, name);
      const stored = await this.readUnlessDamaged(name);
      if (stored instanceof ClaraError) continue; // its files may be all that is left
      const files = stored ? [stored.image, ...stored.labels.values()] : [];
      const named = files.flatMap((one) => [one.file, seriesFileOf(one.file), assessmentFileOf(one)]);
      for (const file of await namesIn(folder)) {
        const isCard = stored !== undefined && (file === IMAGE || LABEL.test(file));
        if (isCard || named.includes(file) || !(await this.isOld(path.join(folder, file)))) continue;
        await rm(path.join(folder, file), { force: true });
      }
    }
  }

  private async keep(id: string, stem: string, card: string, given: NewFile): Promise<StoredFile> {
    const folder = this.folderOf(id);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const before = await this.readCard(path.join(folder, card));
    const stored: StoredFile = {
      id,
      file: `${stem}-${randomBytes(6).toString('hex')}${given.extension}`,
      ext: given.extension,
      bytes: (await stat(given.file)).size,
      sha256: await digestOfFile(given.file),
      ts: Math.floor(this.now()),
      info: { ...given.info },
    };
    try {
      await rename(given.file, path.join(folder, stored.file));
      await rename(seriesFileOf(given.file), path.join(folder, seriesFileOf(stored.file))).catch(unlessMissing);
      await syncFolder(folder);
      await writeFileDurably(path.join(folder, card), JSON.stringify(stored), { mode: 0o600 });
    } catch (error) {
      await this.removeFiles(stored);
      throw ClaraError.from(error, 'keeping the image');
    }
    if (before) await this.removeFiles(before);
    return stored;
  }

  private async removeFiles(stored: StoredFile): Promise<void> {
    for (const file of [stored.file, seriesFileOf(stored.file), assessmentFileOf(stored)]) {
      await rm(path.join(this.folderOf(stored.id), file), { force: true });
    }
  }

  private async mustHaveRoom(id: string, file: string): Promise<void> {
    const { maxImages, maxBytes } = this.options;
    const stored = await this.list();
    const isNew = !stored.some(({ image }) => image.id === id);
    const files = stored.flatMap(({ image, labels }) => [image, ...labels.values()]);
    const kept = files.reduce((sum, { bytes }) => sum + bytes, 0);
    if ((!isNew || stored.length < maxImages) && kept + (await stat(file)).size <= maxBytes) return;
    throw datastoreFull(`${stored.length} images with ${showBytes(kept)}`);
  }

  private async readUnlessDamaged(name: string): Promise<StoredImage | undefined | ClaraError> {
    return this.read(path.join(this.root, name)).catch((error: unknown) => ClaraError.from(error));
  }

  private async read(folder: string): Promise<StoredImage | undefined> {
    const image = await this.readCard(path.join(folder, IMAGE));
    if (image === undefined) return undefined;
    const labels = new Map<string, StoredFile>();
    for (const name of (await namesIn(folder)).sort()) {
      const tag = LABEL.exec(name)?.[1];
      const label = tag === undefined ? undefined : await this.readCard(path.join(folder, name));
      if (label) labels.set(tag!, label);
    }
    const assessment = await this.readAssessment(path.join(folder, assessmentFileOf(image)));
    return { image, labels, ...(assessment && { assessment }) };
  }

  /** What is damaged is made again. */
  private async readAssessment(file: string): Promise<Assessment | undefined> {
    try {
      return assessmentSchema.parse(JSON.parse(await readFile(file, 'utf8')));
    } catch {
      return undefined;
    }
  }

  private async readCard(file: string): Promise<StoredFile | undefined> {
    try {
      return storedFileSchema.parse(JSON.parse(await readFile(file, 'utf8')));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      // No cause: what parsers say of a card repeats its text, and ids may name patients.
      throw new ClaraError(
        'corrupt',
        'An entry of the datastore is damaged; remove its image, or tell the administrator.',
      );
    }
  }

  private async isOld(file: string): Promise<boolean> {
    const seen = await stat(file).catch(() => undefined);
    return seen !== undefined && this.now() - seen.mtimeMs / 1000 > UNNAMED_KEPT_SECONDS;
  }

  private folderOf(id: string): string {
    return path.join(this.root, createHash('sha256').update(id).digest('hex'));
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw ClaraError.from(error, 'listing the datastore');
  }
}

function unlessMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
