import { ClaraError } from '../../base/errors';
import type { StoredImage } from './image-folder';

export type OnDamaged = (error: ClaraError, what: 'image' | 'label') => void;

/** What was damaged when a datastore was looked at: by folder, of a label with its tag. */
export class Damage {
  readonly found = new Map<string, readonly [error: ClaraError, what: 'image' | 'label']>();

  /** An image that can be read, of which labels may be damaged. */
  addLabels(folder: string, { damaged }: StoredImage): void {
    for (const tag of damaged) this.found.set(`${folder} ${tag}`, [damagedLabel(), 'label']);
  }

  addImage(folder: string, error: unknown): void {
    this.found.set(folder, [ClaraError.from(error), 'image']);
  }
}

/** Entries of a datastore that cannot be read. Each is told of once, and again when it has been whole meanwhile. */
export class DamagedEntries {
  private readonly told = new Set<string>();

  constructor(private readonly onDamaged: OnDamaged = () => {}) {}

  /** As many as there were when the whole datastore was looked at last. */
  get count(): number {
    return this.told.size;
  }

  /** @param damage of the whole datastore */
  tell({ found }: Damage): void {
    for (const entry of this.told) if (!found.has(entry)) this.told.delete(entry);
    for (const [entry, [error, what]] of found) {
      if (!this.told.has(entry)) this.onDamaged(error, what);
      this.told.add(entry);
    }
  }
}

export function damagedLabel(): ClaraError {
  return new ClaraError('corrupt', 'A label of the datastore is damaged; send it again, or delete it.');
}
