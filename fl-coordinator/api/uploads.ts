import { ClaraError, hasCode } from '../../base/errors';
import { checkCrc, type WireChunk } from '../../federation/chunk-codec';
import { releaseMessage } from '../../federation/grpc-memory';
import { Inspector } from '../../federation/tensors/inspector';
import type { TensorSpec } from '../../federation/tensors/layout';
import { faultPoint } from '../fault-points';
import { updateKey } from '../runs/object-names';
import type { SiteTask } from '../runs/tasks';
import type { ObjectStore } from '../storage/object-store';
import { judging, type OpenUpload, readBack, sameAnnouncement } from './open-upload';
import type { Announcement, SentUpdate, UploadReceipt } from './upload-facts';

export interface UploadsOptions {
  readonly store: ObjectStore;
  /** Tensors that an update of this task must have; none for the first weights. */
  readonly layoutFor: (task: SiteTask) => Promise<{ readonly tensors: readonly TensorSpec[] } | undefined>;
  /** How an update of this task is encoded; absent or none: it is sent as it is stored. */
  readonly encodedFor?: (task: SiteTask) => SentUpdate | undefined;
  readonly onBytes: (task: SiteTask, bytes: number) => void;
  /** Larger announcements are refused. Bytes. */
  readonly maxBytes: number;
}

/** Bytes between two fsyncs of a running upload: what a crash can cost at most. */
const CHECKPOINT_BYTES = 64 << 20;

/**
 * Uploads of updates: durable before they are acknowledged, resumed at the durable offset after any break, judged while they
 * stream in. One upload a task; a site that begins again takes over from its own broken stream.
 */
export class Uploads {
  readonly #open = new Map<string, OpenUpload>();
  /** The newest attempt to open the upload of each task; the next one waits for it. */
  readonly #opening = new Map<string, Promise<unknown>>();
  readonly #receipts = new Map<string, UploadReceipt>();

  constructor(private readonly options: UploadsOptions) {}

  /** How many bytes are durable; the announced size when all are, verified. */
  async status(task: SiteTask, announcement: Announcement): Promise<number> {
    this.#checkSize(announcement);
    if (await this.#isComplete(task, announcement)) return announcement.size;
    const upload = await this.#resume(task, announcement, { busy: false });
    // All bytes were durable when the process died: nothing is left to send, so nobody else would complete it.
    if (upload.inspector.position === announcement.size) await this.#completeOrDiscard(upload);
    return upload.inspector.position;
  }

  /** Receives the rest of an upload. @returns the receipt once everything is verified and durable */
  async receive(task: SiteTask, chunks: AsyncIterable<WireChunk>): Promise<UploadReceipt> {
    let upload: OpenUpload | undefined;
    try {
      for await (const chunk of chunks) {
        upload ??= await this.#begin(task, chunk);
        await this.#take(upload, chunk);
      }
      if (!upload) throw new ClaraError('invalid-input', `the upload of ${task.id} is empty; send at least the header`);
      return await this.#complete(upload);
    } catch (error) {
      if (upload) await this.#breakOff(upload);
      throw error;
    } finally {
      if (upload) upload.busy = false;
    }
  }

  /** The receipt of a finished upload, if there is one. */
  receiptOf(task: string): UploadReceipt | undefined {
    return this.#receipts.get(task);
  }

  /** The task is settled: nothing of its upload is needed in memory any more. */
  forget(task: string): void {
    this.#receipts.delete(task);
    const upload = this.#open.get(task);
    if (!upload) return;
    this.#open.delete(task);
    void upload.target.suspend().catch(() => undefined);
  }

  /** Throws away what is here of updates of this run that nobody waits for any more: their files and locks are released. */
  async release(run: string, isOpen: (task: string) => boolean): Promise<void> {
    // One that is being opened right now is released when it is open.
    const opening = [...this.#opening].filter(([id]) => id.startsWith(`${run}/`) && !isOpen(id));
    await Promise.allSettled(opening.map(([, attempt]) => attempt));
    const closed = [...this.#open.values()].filter(({ task }) => task.run === run && !isOpen(task.id));
    for (const { task } of closed) this.#open.delete(task.id);
    await Promise.allSettled(closed.map(({ target }) => target.discard()));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map((upload) => upload.target.suspend().catch(() => undefined)));
    this.#open.clear();
  }

  async #begin(task: SiteTask, first: WireChunk): Promise<OpenUpload> {
    const { header } = first;
    if (!header)
      throw new ClaraError(
        'invalid-input',
        `the first chunk of the upload of ${task.id} has no header with size and digest`,
      );
    const announcement = { size: header.size, sha256: Buffer.from(header.sha256).toString('hex') };
    this.#checkSize(announcement);
    return this.#resume(task, announcement, { busy: true });
  }

  #checkSize({ size }: Announcement): void {
    const { maxBytes } = this.options;
    if (size > maxBytes) {
      throw new ClaraError(
        'invalid-input',
        `an update of ${size} bytes exceeds this coordinator's limit of ${maxBytes} bytes; train a smaller model`,
      );
    }
  }

  /** A chunk that was damaged or misplaced on the way is not taken, and spoils nothing of what is here. */
  async #take(upload: OpenUpload, chunk: WireChunk): Promise<void> {
    const { inspector, target, task } = upload;
    if (chunk.offset !== inspector.position) {
      throw new ClaraError(
        'unavailable',
        `a chunk of the upload of ${task.id} starts at byte ${chunk.offset}, but ${inspector.position} are here; ask for the upload's status and go on there`,
      );
    }
    checkCrc(chunk);
    judging(upload, () => inspector.push(chunk.data));
    await target.append(chunk.data);
    this.options.onBytes(task, chunk.data.length);
    releaseMessage(chunk.data);
    faultPoint('upload.after-chunk');
    if (crossesCheckpoint(inspector.position, chunk.data.length)) await target.checkpoint();
  }

  async #completeOrDiscard(upload: OpenUpload): Promise<void> {
    try {
      await this.#complete(upload);
    } catch (error) {
      await this.#breakOff(upload);
      throw error;
    }
  }

  async #complete(upload: OpenUpload): Promise<UploadReceipt> {
    const { task, announcement, inspector, target } = upload;
    if (inspector.position < announcement.size) {
      throw new ClaraError(
        'unavailable',
        `the upload of ${task.id} ended after ${inspector.position} of ${announcement.size} bytes; go on from there`,
      );
    }
    const digest = judging(upload, () => {
      const found = inspector.finish().digest;
      if (found === `sha256:${announcement.sha256}`) return found;
      throw new ClaraError(
        'corrupt',
        `the upload of ${task.id} has digest ${found}, announced was sha256:${announcement.sha256}`,
      );
    });
    faultPoint('upload.before-complete');
    await target.complete();
    faultPoint('upload.after-complete');
    const receipt = await this.#received(task, { digest, bytes: announcement.size });
    this.#open.delete(task.id);
    return receipt;
  }

  /** All bytes are durable and judged; what they decode to is durable, too, before anybody hears of it. */
  async #received(task: SiteTask, sent: UploadReceipt): Promise<UploadReceipt> {
    const encoded = this.options.encodedFor?.(task);
    const stored = await encoded?.decode().catch(async (error: unknown) => {
      if (hasCode(error, 'invalid-input')) await this.options.store.delete(encoded.key);
      throw error;
    });
    if (stored) faultPoint('upload.after-decode');
    const receipt = stored ? { ...sent, stored } : sent;
    this.#receipts.set(task.id, receipt);
    return receipt;
  }

  #keyOf(task: SiteTask): string {
    return this.options.encodedFor?.(task)?.key ?? updateKey(task.run, task.stage, task.site);
  }

  /** Keeps what is durable after a broken stream; throws away what was refused, so that it cannot be resumed. */
  async #breakOff(upload: OpenUpload): Promise<void> {
    const { task, target, inspector } = upload;
    const isCurrent = (): boolean => this.#open.get(task.id) === upload;
    if (!isCurrent()) return;
    if (upload.refused) {
      this.#open.delete(task.id);
      await target.discard().catch(() => undefined);
      return;
    }
    const durable = await target.checkpoint().catch(() => undefined);
    if (durable === inspector.position || !isCurrent()) return;
    // Bytes were judged that the disk did not take: the next stream begins with what it has.
    this.#open.delete(task.id);
    await target.suspend().catch(() => undefined);
  }

  async #isComplete(task: SiteTask, { size, sha256 }: Announcement): Promise<boolean> {
    const known = this.#receipts.get(task.id);
    if (known) return known.digest === `sha256:${sha256}`;
    const { store } = this.options;
    const key = this.#keyOf(task);
    const found = await store.head(key).catch((error: unknown) => {
      if (hasCode(error, 'not-found')) return undefined;
      throw error;
    });
    if (!found) return false;
    // Completed before a restart of the coordinator: judged again, since no receipt has survived.
    const inspector = await this.#inspector(task, found.size);
    let digest: string | undefined;
    try {
      for await (const bytes of (await store.get(key)).bytes) inspector.push(bytes);
      digest = inspector.finish().digest;
    } catch (error) {
      if (!hasCode(error, 'invalid-input', 'corrupt')) throw error;
    }
    if (found.size === size && digest === `sha256:${sha256}`) {
      await this.#received(task, { digest, bytes: size });
      return true;
    }
    await store.delete(key);
    return false;
  }

  /** One attempt after another for each task, so that of two streams the later one has the upload. */
  #resume(task: SiteTask, announcement: Announcement, use: { readonly busy: boolean }): Promise<OpenUpload> {
    const before = this.#opening.get(task.id);
    const attempt = (async () => {
      await before?.catch(() => undefined);
      const upload = await this.#openAtDurableOffset(task, announcement);
      upload.busy = use.busy;
      return upload;
    })();
    this.#opening.set(task.id, attempt);
    const forget = (): void => {
      if (this.#opening.get(task.id) === attempt) this.#opening.delete(task.id);
    };
    attempt.then(forget, forget);
    return attempt;
  }

  /** What is durable already is judged again from the store after a restart. */
  async #openAtDurableOffset(task: SiteTask, announcement: Announcement): Promise<OpenUpload> {
    const open = this.#open.get(task.id);
    if (open && sameAnnouncement(open.announcement, announcement) && !open.busy) return open;
    if (open) {
      // A stream that still seems alive belongs to a connection that the site has given up.
      this.#open.delete(task.id);
      await open.target.suspend().catch(() => undefined);
    }
    const upload = (await this.#opened(task, announcement)) ?? (await this.#opened(task, announcement));
    if (!upload) {
      throw new ClaraError('corrupt', `what is here of the upload of ${task.id} is damaged and cannot be removed`);
    }
    this.#open.set(task.id, upload);
    return upload;
  }

  async #opened(task: SiteTask, announcement: Announcement): Promise<OpenUpload | undefined> {
    const inspector = await this.#inspector(task, announcement.size);
    const target = await this.options.store.resumeUpload(this.#keyOf(task), announcement);
    return readBack({ task, announcement, inspector, target });
  }

  async #inspector(task: SiteTask, fileBytes: number): Promise<Inspector> {
    const expected = await this.options.layoutFor(task);
    return new Inspector({ what: `the update of ${task.site} for round ${task.stage.round}`, fileBytes, expected });
  }
}

function crossesCheckpoint(position: number, justAdded: number): boolean {
  return Math.floor(position / CHECKPOINT_BYTES) > Math.floor((position - justAdded) / CHECKPOINT_BYTES);
}
