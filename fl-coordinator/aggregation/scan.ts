import type { FloatDtype } from '../../federation/tensors/dtype';
import { throwIfAborted } from '../storage/file-errors';
import type { BlockMemory, InputSet, Reading } from './block-memory';
import { padded } from './kernels';
import type { Block } from './spans';

/** The combined blocks of a round, to be read once more from the start. */
export interface Scan {
  readonly memory: BlockMemory;
  readonly blocks: readonly Block[];
  load(set: InputSet, block: Block, reading: Reading): Promise<void>;
  /** The sentence's subject when the scan is stopped. */
  readonly what: string;
  readonly signal: AbortSignal;
}

/** What is done with one block that lies in the memory, prepared; `n` counts elements, padded with zeros. */
export type Visit = (set: InputSet, dtype: FloatDtype, n: number) => void;

/** One pass over all combined blocks in order; the next block is read while one is worked on. */
export async function scanBlocks(scan: Scan, reading: Reading, visit: Visit): Promise<void> {
  const blocks = scan.blocks.filter((block) => block.treatment === 'combine');
  const load = async (index: number): Promise<void> => {
    const block = blocks[index];
    if (block) await scan.load((index % 2) as InputSet, block, reading);
  };
  let loading = load(0);
  try {
    for (const [index, { dtype, elements }] of blocks.entries()) {
      throwIfAborted(scan.signal, scan.what);
      await loading;
      loading = load(index + 1);
      const set = (index % 2) as InputSet;
      const n = padded(elements);
      scan.memory.prepare(set, dtype, n, reading);
      visit(set, dtype, n);
    }
  } finally {
    // Nothing may touch the memory or a closed file any more.
    await Promise.allSettled([loading]);
  }
}
