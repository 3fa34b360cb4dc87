import { ClaraError, showFault } from '../../base/errors';
import type { FloatDtype } from '../../federation/tensors/dtype';
import type { TensorLayout } from '../../federation/tensors/layout';
import { compareLayouts } from '../../federation/tensors/layout-check';
import type { ObjectStore, RangeReader } from '../storage/object-store';
import { layoutOf } from './stored-layout';

/** A run of bytes that lie side by side both in the model's data section and in this object. */
interface Stretch {
  /** In the model's data section. */
  readonly begin: number;
  readonly end: number;
  /** Where `begin` lies in this object. */
  readonly offset: number;
}

/**
 * The tensors of a stored model or update, read by their place in the global model: files may hold the same tensors in another
 * order and under another header.
 */
export class StoredTensors implements AsyncDisposable {
  private constructor(
    private readonly reader: RangeReader,
    private readonly stretches: readonly Stretch[],
  ) {}

  /**
   * @param model the layout in whose data section ranges are named
   * @param isNeeded tells tensors that may be asked for; the others may be absent
   * @throws ClaraError `not-found`; `corrupt` when needed tensors are not those of the model: updates were compared when they
   *   arrived, so what differs now was changed in the store
   */
  static async open(
    store: ObjectStore,
    key: string,
    model: TensorLayout,
    isNeeded: (name: string) => boolean,
  ): Promise<StoredTensors> {
    const reader = await store.openForRanges(key);
    try {
      const layout = await layoutOf(reader, key);
      const needed = (tensors: TensorLayout['tensors']) => tensors.filter(({ name }) => isNeeded(name));
      const faults = compareLayouts({ tensors: needed(model.tensors) }, { tensors: needed(layout.tensors) });
      if (faults.length > 0) {
        const rest = faults.length > 1 ? ` and ${faults.length - 1} more` : '';
        throw new ClaraError('corrupt', `${key} does not fit the model any more: ${showFault(faults[0]!)}${rest}`, {
          faults,
        });
      }
      return new StoredTensors(reader, stretchesOf(model, layout));
    } catch (error) {
      await reader.close();
      throw error;
    }
  }

  /** Fills `target` with the bytes from `begin` on in the model's data section. */
  async read(begin: number, target: Uint8Array): Promise<void> {
    const end = begin + target.length;
    const reads: Promise<void>[] = [];
    for (const stretch of this.stretches) {
      const from = Math.max(begin, stretch.begin);
      const to = Math.min(end, stretch.end);
      if (from >= to) continue;
      reads.push(this.reader.read(stretch.offset + from - stretch.begin, target.subarray(from - begin, to - begin)));
    }
    await Promise.all(reads);
  }

  /** As {@link read}, of a range of floating-point elements of one type. */
  readFloats(begin: number, _dtype: FloatDtype, target: Uint8Array): Promise<void> {
    return this.read(begin, target);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.reader.close();
  }
}

function stretchesOf(model: TensorLayout, layout: TensorLayout): Stretch[] {
  const places = new Map(layout.tensors.map((tensor) => [tensor.name, tensor.begin]));
  const stretches: Stretch[] = [];
  for (const { name, begin, end } of model.tensors) {
    const place = places.get(name);
    if (place === undefined || begin === end) continue;
    const offset = layout.headerBytes.length + place;
    const last = stretches.at(-1);
    const continues = last !== undefined && last.end === begin && last.offset + (last.end - last.begin) === offset;
    if (continues) stretches[stretches.length - 1] = { ...last, end };
    else stretches.push({ begin, end, offset });
  }
  return stretches;
}
