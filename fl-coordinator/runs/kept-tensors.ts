import { ClaraError } from '../../base/errors';
import { matchesAny, patternsOf, withoutTensors } from '../../federation/sent-tensors';
import type { TensorInfo } from '../../federation/tensors/layout';
import { compareLayouts } from '../../federation/tensors/layout-check';
import { layoutOf } from '../aggregation/stored-layout';
import type { ObjectStore, RangeReader } from '../storage/object-store';

const PIECE_BYTES = 1 << 20;

/**
 * What a trainer made of an initial model: every tensor but those that the plan has made anew must be the initial model's,
 * byte for byte.
 * @throws ClaraError `invalid-input`, naming every tensor that is missing, of another shape, or changed
 */
export async function requireKept(
  store: ObjectStore,
  made: string,
  { of, except }: { readonly of: string; readonly except: readonly string[] },
  signal: AbortSignal,
): Promise<void> {
  const patterns = patternsOf(except);
  const [before, after] = await Promise.all([store.openForRanges(of), store.openForRanges(made)]);
  try {
    const [wanted, found] = [await layoutOf(before, of), await layoutOf(after, made)];
    const kept = withoutTensors(wanted, patterns);
    const faults = compareLayouts(kept, withoutTensors(found, patterns));
    const anew = found.tensors.filter(({ name }) => matchesAny(name, patterns));
    if (anew.length === 0)
      faults.push({ path: 'initialModel.reinitialise', rule: 'no tensor of the result matches it' });
    const places = new Map(found.tensors.map((tensor) => [tensor.name, tensor]));
    for (const tensor of faults.length > 0 ? [] : kept.tensors) {
      signal.throwIfAborted();
      const same = await sameBytes(
        { reader: before, offset: wanted.headerBytes.length + tensor.begin },
        { reader: after, offset: found.headerBytes.length + places.get(tensor.name)!.begin },
        lengthOf(tensor),
      );
      if (!same)
        faults.push({ path: tensor.name, rule: 'was changed; only tensors that the plan names are made anew' });
    }
    if (faults.length > 0) throw ClaraError.ofFaults('the first weights', faults);
  } finally {
    await Promise.all([before.close(), after.close()]);
  }
}

const lengthOf = ({ begin, end }: TensorInfo): number => end - begin;

interface Place {
  readonly reader: RangeReader;
  readonly offset: number;
}

async function sameBytes(a: Place, b: Place, length: number): Promise<boolean> {
  const pieces = [Buffer.alloc(Math.min(PIECE_BYTES, length)), Buffer.alloc(Math.min(PIECE_BYTES, length))] as const;
  for (let done = 0; done < length; done += PIECE_BYTES) {
    const [one, other] = pieces.map((piece) => piece.subarray(0, Math.min(PIECE_BYTES, length - done)));
    await Promise.all([a.reader.read(a.offset + done, one!), b.reader.read(b.offset + done, other!)]);
    if (!one!.equals(other!)) return false;
  }
  return true;
}
