import type { DecathlonDataset } from '../../imaging/decathlon';
import { caseTitle } from './labelled-scan';
import { type PreparedCase, type PrepareOptions, prepareCase } from './prepared-case';

/** Prepared cases in memory stay below this; others wait in the cache on disk. */
const MEMORY_BYTES = 96 * 1024 * 1024;

/** The training cases of a dataset, prepared when first asked for. */
export class CaseStore {
  /** By index, least recently used first. */
  readonly #inMemory = new Map<number, PreparedCase>();
  #bytes = 0;

  constructor(
    private readonly dataset: DecathlonDataset,
    private readonly options: PrepareOptions,
  ) {}

  get size(): number {
    return this.dataset.training.length;
  }

  async get(index: number): Promise<PreparedCase> {
    const known = this.#inMemory.get(index);
    if (known !== undefined) {
      this.#inMemory.delete(index);
      this.#inMemory.set(index, known);
      return known;
    }
    const prepared = await prepareCase(
      this.dataset,
      this.dataset.training[index],
      caseTitle('training', index),
      this.options,
    );
    this.#inMemory.set(index, prepared);
    this.#bytes += bytesOf(prepared);
    for (const [oldest, other] of this.#inMemory) {
      if (this.#bytes <= MEMORY_BYTES || oldest === index) break;
      this.#inMemory.delete(oldest);
      this.#bytes -= bytesOf(other);
    }
    return prepared;
  }
}

function bytesOf({ intensities, targets, foreground }: PreparedCase): number {
  return intensities.byteLength + targets.byteLength + foreground.byteLength;
}
