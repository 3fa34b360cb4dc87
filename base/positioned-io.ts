import { ClaraError } from './errors';
import type { OpenFile } from './files';

/** pread(2) and pwrite(2) may move less than they were asked to; these move all. */

/** One call moves less than 2^31 bytes, and between two a signal is heard. */
const PIECE_BYTES = 8 << 20;

/** @throws ClaraError `corrupt` when the file ends before `target` is full; the signal's reason */
export async function readFully(
  file: OpenFile,
  position: number,
  target: Uint8Array,
  what: string,
  signal?: AbortSignal,
): Promise<void> {
  for (let done = 0; done < target.length; ) {
    signal?.throwIfAborted();
    const wanted = Math.min(PIECE_BYTES, target.length - done);
    const { bytesRead } = await file.read(target, done, wanted, position + done);
    if (bytesRead === 0) {
      throw new ClaraError(
        'corrupt',
        `${what} ends at byte ${position + done}, before byte ${position + target.length}; write it once more`,
      );
    }
    done += bytesRead;
  }
}

/** @throws the system's error */
export async function writeFully(file: OpenFile, position: number, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const wanted = Math.min(PIECE_BYTES, bytes.length - done);
    done += (await file.write(bytes, done, wanted, position + done)).bytesWritten;
  }
}
