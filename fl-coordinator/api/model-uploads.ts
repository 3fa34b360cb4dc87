import { ClaraError, hasCode } from '../../base/errors';
import { checkCrc, type WireBlobHeader, type WireChunk } from '../../federation/chunk-codec';
import { Inspector } from '../../federation/tensors/inspector';
import { faultPoint } from '../fault-points';
import { uploadedModelKey } from '../runs/object-names';
import type { ObjectStore } from '../storage/object-store';

export interface ModelUploadsOptions {
  readonly store: Pick<ObjectStore, 'head' | 'create'>;
  /** Larger models are refused. Bytes. */
  readonly maxBytes: number;
  /** Uploads at one time; more are refused, to be tried again. @default 4 */
  readonly atOnce?: number;
}

export interface UploadedModel {
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  readonly bytes: number;
}

/**
 * Models that operators bring for plans to start from. Each is judged while it streams in (safetensors header, finite
 * numbers, digest), and is in the store whole, under its digest, or not at all: an upload that breaks off, or whose
 * coordinator dies, is begun again. Which tensors a model has is not compared with anything: no run has begun yet.
 */
export class ModelUploads {
  #running = 0;

  constructor(private readonly options: ModelUploadsOptions) {}

  /**
   * Receives a model, or answers at once when it is here already.
   * @throws ClaraError `invalid-input` or `corrupt` for what is not the announced model, `resource-exhausted` while too many
   *   others are on their way
   */
  async receive(chunks: AsyncIterable<WireChunk>): Promise<UploadedModel> {
    const { atOnce = 4 } = this.options;
    if (this.#running >= atOnce) {
      throw new ClaraError('resource-exhausted', `${atOnce} models are being uploaded; try again when one is here`);
    }
    this.#running++;
    const iterator = chunks[Symbol.asyncIterator]();
    try {
      const first = await iterator.next();
      const header = first.done ? undefined : first.value.header;
      if (first.done || !header) {
        throw new ClaraError('invalid-input', 'the upload of a model must begin with a header of size and digest');
      }
      const { maxBytes } = this.options;
      if (header.size > maxBytes) {
        throw new ClaraError(
          'invalid-input',
          `a model of ${header.size} bytes exceeds this coordinator's limit of ${maxBytes} bytes`,
        );
      }
      const announced = { sha256: Buffer.from(header.sha256).toString('hex'), bytes: header.size };
      if (!(await this.#isHere(announced))) await this.#write(header, first.value, iterator);
      return announced;
    } finally {
      this.#running--;
      await iterator.return?.();
    }
  }

  async #isHere({ sha256, bytes }: UploadedModel): Promise<boolean> {
    try {
      return (await this.options.store.head(uploadedModelKey(sha256))).size === bytes;
    } catch (error) {
      if (hasCode(error, 'not-found')) return false;
      throw error;
    }
  }

  async #write(header: WireBlobHeader, first: WireChunk, rest: AsyncIterator<WireChunk>): Promise<void> {
    const sha256 = Buffer.from(header.sha256).toString('hex');
    const inspector = new Inspector({ what: 'the uploaded model', fileBytes: header.size });
    const writer = await this.options.store.create(uploadedModelKey(sha256));
    try {
      for (let chunk = first; ; ) {
        checkCrc(chunk);
        if (chunk.offset !== inspector.position) {
          throw new ClaraError(
            'invalid-input',
            `a chunk of the uploaded model starts at byte ${chunk.offset}, but ${inspector.position} are here; send it from the start`,
          );
        }
        inspector.push(chunk.data);
        await writer.write(chunk.data);
        faultPoint('model-upload.half-written');
        const next = await rest.next();
        if (next.done) break;
        chunk = next.value;
      }
      const { digest, layout } = inspector.finish();
      if (digest !== `sha256:${sha256}`) {
        throw new ClaraError('corrupt', `the uploaded model has digest ${digest}, announced was sha256:${sha256}`);
      }
      if (layout.tensors.length === 0) {
        throw new ClaraError('invalid-input', 'the uploaded model has no tensors; there is nothing to train');
      }
      await writer.finish();
    } finally {
      await writer.discard();
    }
  }
}
