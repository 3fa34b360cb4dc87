import { createHash, randomBytes } from 'node:crypto';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { syncFolder, writeFileDurably } from '../../base/durable-file';
import { ClaraError, hasCode, showValue } from '../../base/errors';
import { namesIn } from '../../base/folder-listing';
import { showBytes } from '../../base/show-bytes';
import { unlessCode } from '../../base/system-codes';
import { digestOfFile } from '../../federation/tensors/file';
import { datastoreFull } from '../errors';
import { seriesFileOf } from '../storage/uploaded-series';
import type { VolumeExtension } from '../storage/uploaded-volume';
import { Damage, DamagedEntries, damagedLabel, type OnDamaged } from './damaged-entries';
import {
  type Assessment,
  assessmentsFile,
  contentPrefix,
  IMAGE_CARD,
  LISTING,
  labelCard,
  namesOf,
  readCard,
  readImage,
  renameOldLabels,
  type StoredFile,
  type StoredImage,
} from './image-folder';

export type { StoredFile, StoredImage } from './image-folder';

export interface DatastoreOptions {
  readonly maxImages: number;
  readonly maxBytes: number;
  /** Seconds since 1970. @default the system's clock */
  readonly now?: () => number;
  /** Told once of each image, or label, that is left out because what is known of it cannot be read. */
  readonly onDamaged?: OnDamaged;
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
/** Of so many models it is kept what they think of an image: more would be asked in turn by nobody. */
const MAX_ASSESSORS = 16;
/** Files that nothing names yet belong to somebody who is about to name them, for so long. */
const UNNAMED_KEPT_SECONDS = 3600;

/**
 * Images that radiologists work through, with their labels, below `<workspace>/datastore`: a folder for each image, named by the digest
 * of its id, since ids may name patients. A file is there when the JSON beside it says so, and that is replaced atomically;
 * each label has its own, so that servers on one workspace do not undo each other's. Labels belong to a content of an image: with another
 * content they are gone, with the same one sent again they stay. Unlike everything else that is sent here it stays until somebody deletes it.
 */
export class Datastore {
  private readonly root: string;
  private readonly now: () => number;
  private readonly damagedEntries: DamagedEntries;

  constructor(
    workspace: string,
    private readonly options: DatastoreOptions,
  ) {
    this.root = path.join(workspace, 'datastore');
    this.now = options.now ?? (() => Date.now() / 1000);
    this.damagedEntries = new DamagedEntries(options.onDamaged);
  }

  /** Images and labels that were left out when it was looked last. */
  get damaged(): number {
    return this.damagedEntries.count;
  }

  /** All images, oldest first. What is damaged is left out, and `onDamaged` is told: an image whose entry is, or a label alone. */
  async list(): Promise<readonly StoredImage[]> {
    const found: StoredImage[] = [];
    const damage = new Damage();
    for (const name of await namesIn(this.root, LISTING)) {
      const stored = await this.look(name, damage);
      if (stored !== 'damaged' && stored) found.push(stored);
    }
    this.damagedEntries.tell(damage);
    return found.sort((a, b) => a.image.ts - b.image.ts || (a.image.id < b.image.id ? -1 : 1));
  }

  /** @throws ClaraError `not-found`; `corrupt` */
  async find(id: string): Promise<StoredImage> {
    const stored = await readImage(this.folderOf(id));
    if (stored === undefined) {
      throw new ClaraError('not-found', `There is no image ${showValue(id)}; GET /datastore/?output=all lists them.`);
    }
    return stored;
  }

  /** @throws ClaraError `not-found`; `corrupt` */
  async findLabel(id: string, tag: string): Promise<StoredFile> {
    const { labels, damaged } = await this.find(id);
    if (damaged.includes(tag)) throw damagedLabel();
    const label = labels.get(tag);
    if (label === undefined) {
      throw new ClaraError('not-found', `Image ${showValue(id)} has no label with the tag ${showValue(tag)}.`);
    }
    return label;
  }

  /** Where a file lies. */
  pathOf({ id, file }: StoredFile): string {
    return path.join(this.folderOf(id), file);
  }

  /**
   * Keeps an image; one with the same id is replaced, and with another content its labels go, since they are not of this one. Whatever ends
   * it in the middle, either the old image is there with its labels, or the new one.
   */
  async putImage(id: string, given: NewFile): Promise<StoredFile> {
    if (id.length === 0 || id.length > MAX_ID) {
      throw new ClaraError('invalid-input', `An image's id has 1 to ${MAX_ID} characters, not ${id.length}.`);
    }
    await this.mustHaveRoom(id, given.file);
    const before = await readImage(this.folderOf(id)).catch(() => undefined); // of a damaged one `sweep` removes what is left
    const kept = await this.keep(id, 'image', IMAGE_CARD, given);
    if (before !== undefined && before.image.sha256 !== kept.sha256) await this.removeContent(before);
    return kept;
  }

  /**
   * Keeps a label of an image; one with the same tag is replaced.
   *
   * @param of digest of the content that it was made of. @default of what is there
   * @throws ClaraError `not-found`, `invalid-input`; `precondition-failed` when the image has another content by now
   */
  async putLabel(id: string, tag: string, given: NewFile, of?: string): Promise<StoredFile> {
    if (!TAG.test(tag)) {
      throw new ClaraError('invalid-input', `The tag is ${showValue(tag)}; use 1 to 64 letters, digits, "_" and "-".`);
    }
    const { image } = await this.find(id);
    mustBeOf(image, of ?? image.sha256);
    await this.mustHaveRoom(id, given.file);
    const stem = `${contentPrefix(image)}label-${tag.toLowerCase().replaceAll('_', '-')}`;
    const kept = await this.keep(id, stem, labelCard(image, tag), given);
    mustBeOf((await this.find(id)).image, image.sha256);
    return kept;
  }

  /** Keeps what a model thinks of an image, in place of what it thought before. An image that has gone meanwhile has no assessment. */
  async putAssessment(image: StoredFile, assessment: Assessment): Promise<void> {
    const now = await readImage(this.folderOf(image.id));
    if (now?.image.sha256 !== image.sha256) return;
    const others = now.assessments.filter(({ model }) => model !== assessment.model);
    await this.writeAssessments(image, [...others, assessment].slice(-MAX_ASSESSORS));
  }

  /** Removes a damaged one, too. @throws ClaraError `not-found` */
  async removeImage(id: string): Promise<void> {
    await this.find(id).catch((error: unknown) => {
      if (!hasCode(error, 'corrupt')) throw error;
    });
    await rm(path.join(this.folderOf(id), IMAGE_CARD), { force: true }); // from here on it is not there
    await rm(this.folderOf(id), { recursive: true, force: true });
  }

  /** Removes a damaged one, too. @throws ClaraError `not-found` */
  async removeLabel(id: string, tag: string): Promise<void> {
    const { image, damaged } = await this.find(id);
    const label = damaged.includes(tag) ? undefined : await this.findLabel(id, tag);
    await rm(path.join(this.folderOf(id), labelCard(image, tag)), { force: true });
    if (label) await this.removeFiles(label); // of a damaged one `sweep` removes what is left
  }

  /** Removes the labels with this tag of all images. */
  async removeTag(tag: string): Promise<void> {
    for (const { image, labels, damaged } of await this.list())
      if (labels.has(tag) || damaged.includes(tag)) await this.removeLabel(image.id, tag);
  }

  /**
   * Removes what a killed server left half made, and what is thought by models that are gone. Safe beside other servers.
   *
   * @param isModel says of the `model` of an assessment whether there is such a one. @default there is
   */
  async sweep(isModel: (model: string) => boolean = () => true): Promise<void> {
    const damage = new Damage();
    for (const name of await namesIn(this.root, LISTING)) {
      const folder = path.join(this.root, name);
      await renameOldLabels(folder);
      const stored = await this.look(name, damage);
      if (stored === 'damaged') continue; // its files may be all that is left
      if (stored) {
        const known = stored.assessments.filter(({ model }) => isModel(model));
        if (known.length < stored.assessments.length) await this.writeAssessments(stored.image, known);
        if (stored.damaged.length > 0) continue;
      }
      const named = stored ? namesOf(stored) : new Set();
      for (const file of await namesIn(folder, LISTING)) {
        if (named.has(file) || !(await this.isOld(path.join(folder, file)))) continue;
        await rm(path.join(folder, file), { force: true });
      }
    }
    this.damagedEntries.tell(damage);
  }

  private async keep(id: string, stem: string, card: string, given: NewFile): Promise<StoredFile> {
    const folder = this.folderOf(id);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const before = await readCard(path.join(folder, card)).catch(() => undefined);
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
      await unlessCode(rename(seriesFileOf(given.file), path.join(folder, seriesFileOf(stored.file))), 'ENOENT');
      await syncFolder(folder);
      await writeFileDurably(path.join(folder, card), JSON.stringify(stored), { mode: 0o600 });
    } catch (error) {
      // Whoever cannot make sure of a card may have replaced it all the same.
      const there = await readCard(path.join(folder, card)).catch(() => stored);
      if (there?.file !== stored.file) await this.removeFiles(stored);
      throw ClaraError.from(error, 'keeping the image');
    }
    if (before) await this.removeFiles(before);
    return stored;
  }

  /** Removes all that belongs to a content that is there no more, damaged or not. */
  private async removeContent({ image, labels }: StoredImage): Promise<void> {
    for (const label of labels.values()) await this.removeFiles(label);
    const folder = this.folderOf(image.id);
    for (const name of await namesIn(folder, LISTING))
      if (name.startsWith(contentPrefix(image))) await rm(path.join(folder, name), { force: true });
  }

  private async removeFiles(stored: StoredFile): Promise<void> {
    for (const file of [stored.file, seriesFileOf(stored.file)])
      await rm(path.join(this.folderOf(stored.id), file), { force: true });
  }

  private writeAssessments(image: StoredFile, assessments: readonly Assessment[]): Promise<void> {
    const file = path.join(this.folderOf(image.id), assessmentsFile(image));
    return writeFileDurably(file, JSON.stringify(assessments), { mode: 0o600 });
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

  private async look(name: string, damage: Damage): Promise<StoredImage | undefined | 'damaged'> {
    try {
      const stored = await readImage(path.join(this.root, name));
      if (stored) damage.addLabels(name, stored);
      return stored;
    } catch (error) {
      damage.addImage(name, error);
      return 'damaged';
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

function mustBeOf(image: StoredFile, sha256: string): void {
  if (image.sha256 === sha256) return;
  throw new ClaraError(
    'precondition-failed',
    `Image ${showValue(image.id)} was replaced meanwhile, and the label is not of what is there now; label that one.`,
  );
}
