import { ClaraError } from '../../base/errors';
import { type Block, BlockReader, type FloatTensor } from './blocks';
import { BLOCK_ELEMENTS } from './elements';
import { encodedTensors } from './encoded-layout';
import type { Encoding } from './encoding';
import { residualLayout } from './residual';
import type { TensorBytes } from './tensor-bytes';

export interface ChangesSource {
  readonly encoding: Encoding;
  readonly source: TensorBytes;
  readonly base?: TensorBytes | undefined;
  readonly residual?: TensorBytes | undefined;
  readonly isKept: (name: string) => boolean;
}

/**
 * The numbers that are encoded, block by block: the file's own; with `delta` less the base, and with a residual of earlier
 * rounds plus that, both in float64.
 */
export class Changes {
  readonly #source: BlockReader;
  readonly #base: BlockReader | undefined;
  readonly #residual: BlockReader | undefined;
  readonly #values = new Float64Array(BLOCK_ELEMENTS);
  readonly #other = new Float64Array(BLOCK_ELEMENTS);

  /** @throws ClaraError `corrupt` for a residual of another model, `internal` for a delta without a base */
  constructor({ encoding, source, base, residual, isKept }: ChangesSource) {
    if (encoding.delta && !base)
      throw new ClaraError('internal', 'a delta needs the model that it is the difference to');
    if (residual) {
      const { headerBytes } = residualLayout(encodedTensors(source.layout, encoding, isKept));
      if (!Buffer.from(headerBytes).equals(residual.layout.headerBytes)) {
        throw new ClaraError('corrupt', 'what earlier rounds left to send belongs to another model; abort the run');
      }
    }
    this.#source = new BlockReader(source);
    this.#base = encoding.delta ? new BlockReader(base!) : undefined;
    this.#residual = residual && new BlockReader(residual);
  }

  /** Valid until the next call. */
  async read({ tensor: { name } }: FloatTensor, block: Block): Promise<Float64Array> {
    const values = await this.#source.read(name, block, this.#values);
    const base = await this.#base?.read(name, block, this.#other);
    if (base) for (let i = 0; i < values.length; i++) values[i]! -= base[i]!;
    const residual = await this.#residual?.read(name, block, this.#other);
    if (residual) for (let i = 0; i < values.length; i++) values[i]! += residual[i]!;
    return values;
  }
}
