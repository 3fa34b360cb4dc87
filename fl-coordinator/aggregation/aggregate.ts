import { createHash, type Hash } from 'node:crypto';
import { ClaraError } from '../../base/errors';
import { requireUpdates } from '../../federation/combiner-needs';
import { isControl } from '../../federation/controls';
import { matchesAny, type Patterns } from '../../federation/sent-tensors';
import type { Strategy } from '../../federation/strategy';
import type { TensorLayout } from '../../federation/tensors/layout';
import { faultPoint } from '../fault-points';
import { throwIfAborted } from '../storage/file-errors';
import type { ObjectStore, ObjectWriter } from '../storage/object-store';
import { BlockKernels } from './block-kernels';
import { BlockMemory, type InputSet, type Reading } from './block-memory';
import { clipFactors } from './clipping';
import type { Combination } from './combination';
import { combinationOf, scratchBytes } from './combiners';
import { type Contribution, inSiteOrder } from './contribution';
import { MomentFiles } from './moment-files';
import { RebasedTensors } from './rebased-tensors';
import type { Scan } from './scan';
import { type Block, blocksOf, combinedElements, spansOf } from './spans';
import { readStoredLayout } from './stored-layout';
import { StoredTensors } from './stored-tensors';

export interface AggregateRequest {
  readonly store: ObjectStore;
  /** The global model of the round before. */
  readonly base: string;
  /** In any order; they are combined in the order of site ids. */
  readonly contributions: readonly Contribution[];
  readonly strategy: Pick<Strategy, 'clip' | 'combiner' | 'serverOptimiser'>;
  /** Tensors whose name matches keep the base model's values; contributions need not have them. */
  readonly excluded: readonly RegExp[];
  /** Floating-point tensors whose name matches are those of the first contribution, as integers are. @default none */
  readonly first?: Patterns;
  readonly target: string;
  /** Key prefix of the server optimiser's moments: after the round before (none at the first round), after this one. */
  readonly momentsBefore?: string | undefined;
  readonly momentsAfter?: string | undefined;
  readonly signal: AbortSignal;
}

export interface AggregatedModel {
  /** `sha256:<hex>` of the new model's file. */
  readonly digest: string;
  readonly bytes: number;
}

/**
 * Makes the next global model out of durable updates, block by block and in site order; clipping and some combiners first go
 * through all blocks to learn distances. Memory is contributors x block, at most
 * about 50 MiB whatever the model and the number of sites. The result is the same bytes for any order of arrival and any
 * number of crashes; its header is that of the base model. Nothing is visible before all is done.
 *
 * @throws ClaraError `invalid-input` when weights cannot be used or a new value would not be finite, `not-found` and
 *   `corrupt` for what the store holds, `out-of-space`, `cancelled`
 */
export async function aggregate(request: AggregateRequest): Promise<AggregatedModel> {
  const contributions = inSiteOrder(request.contributions);
  const layout = await readStoredLayout(request.store, request.base);
  const isKept = (name: string): boolean => isControl(name) || request.excluded.some((pattern) => pattern.test(name));
  return combineStored({ ...request, contributions, layout, header: layout.headerBytes, isKept });
}

/** What is combined, in the terms of the files. */
export interface StoredCombination extends Omit<AggregateRequest, 'base' | 'excluded'> {
  /** The model that updates are relative to; may be absent when nothing asks for it. */
  readonly base: string | undefined;
  /** In site order. */
  readonly contributions: readonly Contribution[];
  /** The tensors of the new object, by the names that they have in the contributions. */
  readonly layout: TensorLayout;
  /** How the new object begins. */
  readonly header: Uint8Array;
  /** Tells tensors that keep the base's value, and those of contributions that are not looked at. */
  readonly isKept: (name: string) => boolean;
  /** @default what the strategy's combiner comes down to */
  readonly combination?: Combination;
}

/** As {@link aggregate}, of any objects with the same tensors. */
export async function combineStored(request: StoredCombination): Promise<AggregatedModel> {
  const { store, contributions, layout, isKept, strategy, target, signal } = request;
  throwIfAborted(signal, `aggregating ${target}`);
  const spans = spansOf(layout, isKept, (name) => matchesAny(name, request.first ?? []));
  const { clip, combiner, serverOptimiser: optimiser } = strategy;
  requireUpdates(combiner, contributions.length);
  const memory = new BlockMemory(contributions.length, scratchBytes(combiner, contributions.length));
  const blocks = [...blocksOf(spans, (dtype) => memory.maxElements(dtype))];

  await using inputs = await Inputs.open(request);
  await using moments = await MomentFiles.open({
    ...request,
    optimiser,
    elements: combinedElements(spans),
  });
  await using output = new Output(await store.create(target));
  await output.write(request.header);

  const scan: Scan = {
    memory,
    blocks,
    load: (set, block, reading) => inputs.load(memory, set, block, reading),
    what: `aggregating ${target}`,
    signal,
  };
  const factors = clip === undefined ? contributions.map(() => 1) : await clipFactors(scan, contributions.length, clip);
  const combination = request.combination ?? (await combinationOf(combiner, contributions, scan, factors));
  faultPoint('aggregate.after-scan');
  const kernels = new BlockKernels(memory, { combination, optimiser, clipFactors: factors });
  const load = async (index: number): Promise<void> => {
    const block = blocks[index];
    if (!block) return;
    const set = setOf(index);
    await settled([inputs.load(memory, set, block, kernels.reading), moments.load(memory, set, block)]);
  };
  let loading = load(0);
  let writing: Promise<void> = Promise.resolve();
  try {
    for (const [index, block] of blocks.entries()) {
      throwIfAborted(signal, `aggregating ${target}`);
      // The block before is written while this one is read; its memory is free for the next one after that.
      await settled([loading, writing]);
      loading = load(index + 1);
      const set = setOf(index);
      const bytes =
        block.treatment === 'combine' ? kernels.combine(set, block.dtype, block.elements) : inputs.copied(set);
      if (bytes === undefined) throw notFinite(layout, block, target);
      writing = settled([output.write(bytes), moments.write(memory, set, block)]);
      faultPoint('aggregate.after-block');
    }
    await writing;
  } finally {
    // Nothing may touch the kernels' memory or a closed file any more.
    await Promise.allSettled([loading, writing]);
  }
  memory.release();
  faultPoint('aggregate.before-finish');
  await moments.finish();
  const model = await output.finish();
  faultPoint('aggregate.after-finish');
  return model;
}

const setOf = (index: number): InputSet => (index % 2) as InputSet;

/** Waits for all, also when one fails: those that still run use memory that is about to be used again. */
async function settled(work: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) if (result.status === 'rejected') throw result.reason;
}

function notFinite(layout: TensorLayout, block: Block, target: string): ClaraError {
  const touched = layout.tensors.filter(({ begin, end }) => begin < block.end && end > block.begin);
  const names = touched.slice(0, 3).map(({ name, dtype }) => `${name} (${dtype})`);
  const rest = touched.length > names.length ? ` or ${touched.length - names.length} more` : '';
  return new ClaraError(
    'invalid-input',
    `${target} or its moments would not be finite in ${names.join(' or ')}${rest}; lower the learning rates of the strategy or of the trainer`,
  );
}

/** The open files of a round: every contribution and the base model, if there is one. */
class Inputs implements AsyncDisposable {
  readonly #copies: [Buffer, Buffer] = [Buffer.alloc(0), Buffer.alloc(0)];

  private constructor(
    private readonly updates: readonly (StoredTensors | RebasedTensors)[],
    private readonly base: StoredTensors | undefined,
  ) {}

  static async open({ store, contributions, base, layout, isKept }: StoredCombination): Promise<Inputs> {
    const open = (key: string) => StoredTensors.open(store, key, layout, (name) => !isKept(name));
    const opening = contributions.map(({ key, from }) =>
      from && base !== undefined
        ? RebasedTensors.open(open, { update: key, from: from.key, onto: base, factor: from.factor })
        : open(key),
    );
    const openingBase = base === undefined ? undefined : StoredTensors.open(store, base, layout, () => true);
    try {
      // Both at once: a base that fails while updates are being opened is waited for by somebody.
      const [updates, model] = await Promise.all([Promise.all(opening), openingBase]);
      return new Inputs(updates, model);
    } catch (error) {
      const opened = await Promise.allSettled([...opening, openingBase]);
      await Promise.allSettled(
        opened.map((each) => (each.status === 'fulfilled' ? each.value?.[Symbol.asyncDispose]() : undefined)),
      );
      throw error;
    }
  }

  async load(memory: BlockMemory, set: InputSet, block: Block, reading: Reading): Promise<void> {
    if (block.treatment !== 'combine') {
      const copy = Buffer.allocUnsafe(block.end - block.begin);
      await (block.treatment === 'keep' ? this.base! : this.updates[0]!).read(block.begin, copy);
      this.#copies[set] = copy;
      return;
    }
    const { begin, dtype, elements } = block;
    const reads = reading.contributors.map((contributor, column) =>
      this.updates[contributor]!.readFloats(begin, dtype, memory.column(set, column, dtype, elements)),
    );
    if (reading.model) reads.push(this.base!.read(begin, memory.model(set, dtype, elements)));
    await settled(reads);
  }

  /** The bytes of a block that is copied, not combined. */
  copied(set: InputSet): Buffer {
    return this.#copies[set];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.updates, this.base].map((tensors) => tensors?.[Symbol.asyncDispose]()));
  }
}

/** The new model on its way into the store, digested as it goes; discarded unless finished. */
class Output implements AsyncDisposable {
  readonly #hash: Hash = createHash('sha256');

  constructor(private readonly writer: ObjectWriter) {}

  async write(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    await this.writer.write(bytes);
  }

  async finish(): Promise<AggregatedModel> {
    const { size } = await this.writer.finish();
    return { digest: `sha256:${this.#hash.digest('hex')}`, bytes: size };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.writer.discard();
  }
}
