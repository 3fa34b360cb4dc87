import { ClaraError } from '../base/errors';
import { open } from '../base/files';
import { fileChunks } from '../federation/file-chunks';
import type { CoordinatorClient, UploadDescription } from './coordinator-client';
import { type AttemptOptions, untilTransferred } from './transfer-attempts';

export interface UpdateUpload extends AttemptOptions {
  readonly client: Pick<CoordinatorClient, 'upload' | 'uploadStatus'>;
  readonly file: string;
  readonly upload: UploadDescription;
  readonly onBytes: (done: number) => void;
}

/**
 * Uploads an update and returns when the coordinator has verified it and made it durable. Each attempt first asks how much
 * is durable already and sends only what follows.
 *
 * @throws ClaraError `corrupt` when the file is not the one described any more, or the coordinator never gets it whole
 */
export async function uploadUpdate(request: UpdateUpload): Promise<void> {
  const { client, upload, signal } = request;
  const file = await open(request.file, 'r');
  try {
    let durableBefore = -1;
    await untilTransferred(
      async (moved) => {
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
        if (durable === upload.size) return;
        const { size, sha256, task } = upload;
        const chunks = fileChunks(file, {
          what: `the update of ${task}`,
          header: { size, sha256 },
          begin: durable,
          signal,
          onBytes: request.onBytes,
        });
        const receipt = await client.upload(task, chunks, signal);
        if (receipt.size !== upload.size || !Buffer.from(upload.sha256).equals(receipt.sha256)) {
          throw new ClaraError(
            'corrupt',
            `the coordinator's receipt names another update than the one of ${upload.task}`,
          );
        }
        request.onBytes(upload.size);
        // The coordinator's disk is full: its administrator makes room, or finished rounds do.
      },
      { ...request, alsoPassing: ['out-of-space'] },
    );
  } finally {
    await file.close();
  }
}
