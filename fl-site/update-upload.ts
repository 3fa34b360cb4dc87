import { ClaraError } from '../base/errors';
import { open } from '../base/files';
import { fileChunks } from '../federation/file-chunks';
import type { CoordinatorClient, UploadDescription } from './coordinator-client';
import { type AttemptOptions, untilTransferred } from './transfer-attempts';

export interface UpdateUpload extends AttemptOptions {
  readonly client: Pick<CoordinatorClient, 'upload' | 'uploadStatus'>;
  readonly file: string;
  readonly upload: UploadDescription;
  /** Nothing of it was sent so far, as far as is known here: the first attempt saves the question if it is small. */
  readonly isNew?: boolean;
  readonly onBytes: (done: number) => void;
}

/**
 * What costs about as much to send as to ask about. With many large ones that begin at the same moment, questions also let a
 * coordinator narrow its windows before the bytes come.
 */
const SMALL_BYTES = 4 << 20;

/**
 * Uploads an update and returns when the coordinator has verified it and made it durable. Each attempt first asks how much
 * is durable already and sends only what follows; the first one of a small update that is new sends all of it.
 *
 * @throws ClaraError `corrupt` when the file is not the one described any more, or the coordinator never gets it whole
 */
export async function uploadUpdate(request: UpdateUpload): Promise<void> {
  const { client, upload, signal } = request;
  const file = await open(request.file, 'r');
  const sendFrom = async (begin: number): Promise<void> => {
    const { size, sha256, task } = upload;
    const { onBytes } = request;
    const chunks = fileChunks(file, {
      what: `the update of ${task}`,
      header: { size, sha256 },
      begin,
      signal,
      onBytes,
    });
    const receipt = await client.upload(task, chunks, signal);
    if (receipt.size !== size || !Buffer.from(sha256).equals(receipt.sha256)) {
      throw new ClaraError('corrupt', `the coordinator's receipt names another update than the one of ${task}`);
    }
    onBytes(size);
  };
  let asksFirst = !request.isNew || upload.size > SMALL_BYTES;
  let durableBefore = -1;
  try {
    await untilTransferred(
      async (moved) => {
        if (!asksFirst) {
          // Should the coordinator have a part of it after all, from before this site lost its workspace for example, it says
          // so as a failure that passes, and the next attempt asks.
          asksFirst = true;
          return sendFrom(0);
        }
        const durable = await client.uploadStatus(upload, signal);
        if (durable > upload.size) {
          throw new ClaraError(
            'precondition-failed',
            `the coordinator holds ${durable} bytes of the update of task ${upload.task}, which has only ${upload.size}`,
          );
        }
        if (durable > durableBefore && durableBefore >= 0) moved();
        durableBefore = durable;
        request.onBytes(durable);
        if (durable < upload.size) await sendFrom(durable);
      },
      // The coordinator's disk is full: its administrator makes room, or finished rounds do.
      { ...request, alsoPassing: ['out-of-space'] },
    );
  } finally {
    await file.close();
  }
}
