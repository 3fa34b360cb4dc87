import { createHash, type Hash } from 'node:crypto';
import { ClaraError } from '../../base/errors';
import type { Strategy } from '../../federation/strategy';
import type { TensorLayout } from '../../federation/tensors/layout';
import { faultPoint } from '../fault-points';
import type { ObjectStore, ObjectWriter, RangeReader } from '../storage/object-store';
import { BlockKernels } from './block-kernels';
import { fromFloat32, toFloat32 } from './element-codec';
import { MomentFiles } from './moment-files';
import { type Block, blocksOf, combinedElements, spansOf } from './spans';
import { readStoredLayout } from './stored-layout';

/** One contributor, in site order. */
export interface Contribution {
  readonly site: string;
  readonly key: string;
  /** Samples x operator weight. Only the ratio between contributors matters. */
  readonly weight: number;
}

export interface AggregateRequest {
  readonly store: ObjectStore;
  /** The global model of the round before. */
  readonly base: string;
  readonly contributions: readonly Contribution[];
  readonly strategy: Strategy;
  /** Tensors whose name matches keep the base model's values. */
  readonly excluded: readonly RegExp[];
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

/** Elements of a block when few sites contribute: 1 MiB of float32. */
const BLOCK_ELEMENTS = 1 << 18;
/** Elements of all inputs of a block together, so that memory stays bounded whatever the number of sites. */
const INPUT_ELEMENTS = 1 << 23;

/**
 * Makes the next global model out of durable updates, block by block and in site order: memory is contributors x block, and
 * the result is the same bytes for any order of arrival and any number of crashes. Nothing is visible before all is done.
 */
export async function aggregate(request: AggregateRequest): Promise<AggregatedModel> {
  const { store, contributions, strategy, signal } = request;
  if (contributions.length === 0)
    throw new ClaraError('internal', 'an aggregation without contributions was asked for');
  const layout = await readStoredLayout(store, request.base);
  const spans = spansOf(layout, request.excluded);
  const maxElements = Math.min(BLOCK_ELEMENTS, Math.floor(INPUT_ELEMENTS / contributions.length));
  const kernels = new BlockKernels(contributions.length, maxElements);
  const weights = normalised(contributions);
  await using moments = await MomentFiles.open({
    ...request,
    optimiser: strategy.serverOptimiser,
    elements: combinedElements(spans),
  });
  await using inputs = await Inputs.open(request, layout);
  await using output = await Output.create(store, request.target);
  await output.write(layout.headerBytes);

  const blocks = [...blocksOf(spans, maxElements)];
  const load = async (index: number): Promise<void> => {
    const block = blocks[index];
    if (block)
      await Promise.all([inputs.load(kernels, setOf(index), block), moments.load(kernels, setOf(index), block)]);
  };
  await load(0);
  for (const [index, block] of blocks.entries()) {
    signal.throwIfAborted();
    const next = load(index + 1);
    try {
      if (block.treatment === 'combine') {
        const set = setOf(index);
        const values = kernels.combine(set, strategy.combiner, strategy.serverOptimiser, weights, block.elements);
        await output.write(block.dtype === 'F32' ? bytesOf(values) : fromFloat32(block.dtype, values));
        await moments.write(kernels, set, block);
      } else await output.write(inputs.copied(setOf(index)));
    } finally {
      await next.catch(() => undefined);
    }
    await next;
    faultPoint('aggregate.after-block');
  }
  faultPoint('aggregate.before-finish');
  await moments.finish();
  const model = await output.finish();
  faultPoint('aggregate.after-finish');
  return model;
}

const setOf = (index: number): 0 | 1 => (index % 2) as 0 | 1;

/** Divided by the sum of the full weights (samples x operator weight), not by the samples alone. */
function normalised(contributions: readonly Contribution[]): number[] {
  const total = contributions.reduce((sum, { weight }) => sum + weight, 0);
  if (!(total > 0))
    throw new ClaraError('invalid-input', 'the weights of all contributions are 0; at least one must count');
  return contributions.map(({ weight }) => weight / total);
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** The open files of a round: every contribution and the base model. */
class Inputs implements AsyncDisposable {
  readonly #copies: [Buffer, Buffer] = [Buffer.alloc(0), Buffer.alloc(0)];

  private constructor(
    private readonly updates: readonly OpenModel[],
    private readonly base: OpenModel,
  ) {}

  static async open({ store, contributions, base }: AggregateRequest, layout: TensorLayout): Promise<Inputs> {
    const opened: OpenModel[] = [];
    try {
      for (const { key } of [...contributions, { key: base }]) opened.push(await openModel(store, key, layout));
      return new Inputs(opened.slice(0, -1), opened.at(-1)!);
    } catch (error) {
      await Promise.all(opened.map(({ reader }) => reader.close()));
      throw error;
    }
  }

  async load(kernels: BlockKernels, set: 0 | 1, block: Block): Promise<void> {
    if (block.treatment !== 'combine') {
      const copy = Buffer.allocUnsafe(block.end - block.begin);
      await readBytes(block.treatment === 'keep' ? this.base : this.updates[0]!, block.begin, copy);
      this.#copies[set] = copy;
      return;
    }
    await Promise.all([
      ...this.updates.map((update, i) => readElements(update, block, kernels.column(set, i, block.elements))),
      readElements(this.base, block, kernels.model(set, block.elements)),
    ]);
  }

  /** The bytes of a block that is copied, not combined. */
  copied(set: 0 | 1): Buffer {
    return this.#copies[set];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.updates, this.base].map(({ reader }) => reader.close()));
  }
}

interface OpenModel {
  readonly reader: RangeReader;
  /** Where its data section starts. */
  readonly dataBegin: number;
}

async function openModel(store: ObjectStore, key: string, expected: TensorLayout): Promise<OpenModel> {
  const layout = await readStoredLayout(store, key);
  // Updates were compared when they arrived; bytes that differ now were changed in the store.
  const same =
    layout.tensors.length === expected.tensors.length &&
    layout.tensors.every((t, i) => sameTensor(t, expected.tensors[i]!));
  if (!same)
    throw new ClaraError('corrupt', `${key} does not have the tensors of the model any more; the store is damaged`);
  return { reader: await store.openForRanges(key), dataBegin: layout.headerBytes.length };
}

function sameTensor(a: TensorLayout['tensors'][number], b: TensorLayout['tensors'][number]): boolean {
  return a.name === b.name && a.dtype === b.dtype && a.begin === b.begin && a.end === b.end;
}

function readBytes({ reader, dataBegin }: OpenModel, begin: number, target: Uint8Array): Promise<void> {
  return reader.read(dataBegin + begin, target);
}

async function readElements(model: OpenModel, block: Block, target: Float32Array): Promise<void> {
  if (block.dtype === 'F32') {
    await readBytes(model, block.begin, bytesOf(target));
    return;
  }
  const bytes = Buffer.allocUnsafe(block.end - block.begin);
  await readBytes(model, block.begin, bytes);
  toFloat32(block.dtype, bytes, target);
}

/** The new model on its way into the store, digested as it goes; discarded unless finished. */
class Output implements AsyncDisposable {
  readonly #hash: Hash = createHash('sha256');
  #finished = false;

  private constructor(private readonly writer: ObjectWriter) {}

  static async create(store: ObjectStore, key: string): Promise<Output> {
    return new Output(await store.create(key));
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    await this.writer.write(bytes);
  }

  async finish(): Promise<AggregatedModel> {
    const { size } = await this.writer.finish();
    this.#finished = true;
    return { digest: `sha256:${this.#hash.digest('hex')}`, bytes: size };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#finished) await this.writer.discard();
  }
}
