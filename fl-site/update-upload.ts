import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { ClaraError } from '../base/errors';
import { CHUNK_BYTES, type WireChunk } from '../federation/chunk-codec';
import { ChunkRing } from '../federation/chunk-ring';
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
        const receipt = await client.upload(upload.task, chunksFrom(file, durable, request), signal);
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

/** Memory is used again: see {@link ChunkRing}. */
async function* chunksFrom(
  file: FileHandle,
  begin: number,
  { upload, signal, onBytes }: UpdateUpload,
): AsyncGenerator<WireChunk> {
  const ring = new ChunkRing();
  for (let offset = begin; offset < upload.size; ) {
    signal.throwIfAborted();
    const data = ring.next(Math.min(CHUNK_BYTES, upload.size - offset));
    const { bytesRead } = await file.read(data, 0, data.length, offset);
    if (bytesRead === 0) {
      throw new ClaraError(
        'precondition-failed',
        `the update of ${upload.task} ends at byte ${offset} of ${upload.size}`,
      );
    }
    const bytes = data.subarray(0, bytesRead);
    const header = offset === begin ? { size: upload.size, sha256: upload.sha256 } : undefined;
    yield { ...(header && { header }), offset, crc32: crc32(bytes), data: bytes };
    offset += bytesRead;
    onBytes(offset);
  }
}
