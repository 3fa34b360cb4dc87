import { ClaraError } from '../../base/errors';
import type { ServerOptimiser } from '../../federation/strategy';
import { encodeHeader } from '../../federation/tensors/header';
import type { ObjectStore, ObjectWriter, RangeReader } from '../storage/object-store';
import type { BlockMemory, InputSet } from './block-memory';
import type { Block } from './spans';
import { layoutOf } from './stored-layout';

export interface MomentFilesOptions {
  readonly store: ObjectStore;
  readonly optimiser: ServerOptimiser;
  /** Combined elements of the model, in model order. */
  readonly elements: number;
  readonly momentsBefore?: string | undefined;
  readonly momentsAfter?: string | undefined;
}

/**
 * The server optimiser's moments as safetensors objects, one a moment, each a float32 vector over the combined elements in
 * model order. At the first round they start from their defined values: 0, and tau squared for the second moment of the
 * adaptive optimisers (Reddi 2021, algorithm 2).
 */
export class MomentFiles implements AsyncDisposable {
  private constructor(
    private readonly names: readonly string[],
    private readonly starts: readonly number[],
    private readonly readers: readonly { readonly reader: RangeReader; readonly dataBegin: number }[],
    private readonly writers: readonly ObjectWriter[],
  ) {}

  static async open({
    store,
    optimiser,
    elements,
    momentsBefore,
    momentsAfter,
  }: MomentFilesOptions): Promise<MomentFiles> {
    const moments = momentsOf(optimiser);
    const readers: { reader: RangeReader; dataBegin: number }[] = [];
    const opened: RangeReader[] = [];
    const writers: ObjectWriter[] = [];
    try {
      for (const { name } of moments) {
        if (momentsBefore) {
          const key = momentKey(momentsBefore, name);
          const reader = await store.openForRanges(key);
          opened.push(reader);
          readers.push({ reader, dataBegin: await dataBeginOf(reader, key, elements) });
        }
        if (momentsAfter) {
          const writer = await store.create(momentKey(momentsAfter, name));
          writers.push(writer);
          await writer.write(encodeHeader([{ name, dtype: 'F32', shape: [elements] }]));
        }
      }
    } catch (error) {
      await closeAll(opened, writers);
      throw error;
    }
    return new MomentFiles(
      moments.map(({ name }) => name),
      moments.map(({ start }) => start),
      readers,
      writers,
    );
  }

  async load(memory: BlockMemory, set: InputSet, block: Block): Promise<void> {
    if (block.treatment !== 'combine') return;
    for (const i of this.names.keys()) {
      const target = memory.moment(set, i, block.elements);
      const source = this.readers[i];
      if (!source) target.fill(this.starts[i]!);
      else await source.reader.read(source.dataBegin + block.firstElement * 4, bytesOf(target));
    }
  }

  async write(memory: BlockMemory, set: InputSet, block: Block): Promise<void> {
    if (block.treatment !== 'combine') return;
    for (const [i, writer] of this.writers.entries()) {
      await writer.write(bytesOf(memory.moment(set, i, block.elements)));
    }
  }

  /** Durable before the model is: from a model without its moments nobody could go on. */
  async finish(): Promise<void> {
    for (const writer of this.writers) await writer.finish();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await closeAll(
      this.readers.map(({ reader }) => reader),
      this.writers,
    );
  }
}

/** How many vectors of the model's size the optimiser keeps between rounds. */
export function momentCount(optimiser: ServerOptimiser): number {
  return momentsOf(optimiser).length;
}

const momentKey = (prefix: string, name: string): string => `${prefix}/${name}.safetensors`;

function momentsOf(optimiser: ServerOptimiser): readonly { readonly name: string; readonly start: number }[] {
  switch (optimiser.kind) {
    case 'replace':
      return [];
    case 'momentum':
      return [{ name: 'velocity', start: 0 }];
    case 'adagrad':
    case 'adam':
    case 'yogi':
      return [
        { name: 'first', start: 0 },
        { name: 'second', start: optimiser.tau ** 2 },
      ];
  }
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

async function dataBeginOf(reader: RangeReader, key: string, elements: number): Promise<number> {
  const { tensors, headerBytes } = await layoutOf(reader, key);
  const [tensor] = tensors;
  if (tensors.length === 1 && tensor?.dtype === 'F32' && tensor.end === elements * 4) return headerBytes.length;
  throw new ClaraError('corrupt', `${key} is not a vector of ${elements} float32; it belongs to another model`);
}

async function closeAll(readers: readonly RangeReader[], writers: readonly ObjectWriter[]): Promise<void> {
  await Promise.all([...readers.map((reader) => reader.close()), ...writers.map((writer) => writer.discard())]);
}
