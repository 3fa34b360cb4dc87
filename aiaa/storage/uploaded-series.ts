import { createWriteStream } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import yauzl, { type ZipFile } from 'yauzl';
import { ClaraError } from '../../base/errors';
import { isDicom } from '../../imaging/dicom';
import { AiaaError } from '../errors';
import { startOf } from './uploaded-volume';

/** More files are no scan of a patient. */
const MAX_ENTRIES = 16_384;

/** The index of a disc or archive: DICOM, but no image. */
const DIRECTORY = 'DICOMDIR';

/** Where what must be known of a DICOM series is kept, beside the volume that it became. */
export function seriesFileOf(volume: string): string {
  return `${volume}.series.json`;
}

/**
 * The slices of an upload: DICOM files, or a zip archive of them, in which other files are passed over.
 *
 * @param files what was sent
 * @param folder where an archive is unpacked; the caller's to remove
 * @param maxBytes what an archive may become
 * @returns paths, or undefined when the upload is one file that is neither
 * @throws ClaraError invalid-input, corrupt; AiaaError 413
 */
export async function slicesOfUpload(
  files: readonly string[],
  folder: string,
  maxBytes: number,
): Promise<readonly string[] | undefined> {
  const start = await startOf(files[0]);
  if (isDicom(start)) return files;
  if (files.length > 1) {
    throw new ClaraError(
      'invalid-input',
      `The form has ${files.length} files; send one volume, or the slices of one DICOM series.`,
    );
  }
  if (start.toString('latin1', 0, 4) !== 'PK\u0003\u0004') return undefined;
  return unpack(files[0], folder, maxBytes);
}

async function unpack(archive: string, folder: string, maxBytes: number): Promise<string[]> {
  let zip: ZipFile | undefined;
  try {
    zip = await yauzl.openPromise(archive, { lazyEntries: true, validateEntrySizes: true });
    const slices: string[] = [];
    let bytes = 0;
    let entries = 0;
    for await (const entry of zip.eachEntry()) {
      if (entry.fileName.endsWith('/') || path.posix.basename(entry.fileName) === DIRECTORY) continue;
      entries += 1;
      // Sizes are what the archive says; yauzl holds each entry to them while it inflates.
      bytes += entry.uncompressedSize;
      if (entries > MAX_ENTRIES || bytes > maxBytes) {
        throw new AiaaError(
          'resource-exhausted',
          413,
          `The archive holds more than the ${MAX_ENTRIES} files or ${maxBytes} bytes that this server unpacks.`,
        );
      }
      // Names in an archive may be anything, also paths out of the folder: none is used.
      const target = path.join(folder, `slice-${entries}`);
      await pipeline(await zip.openReadStreamPromise(entry), createWriteStream(target, { flags: 'wx', mode: 0o600 }));
      if (isDicom(await startOf(target))) slices.push(target);
    }
    if (slices.length > 0) return slices;
  } catch (error) {
    if (error instanceof ClaraError) throw error;
    const known = ClaraError.from(error, 'unpacking the archive');
    throw known.code === 'internal' ? new ClaraError('corrupt', 'The archive is damaged; pack it again.') : known;
  } finally {
    zip?.close();
  }
  throw new ClaraError('invalid-input', 'The archive holds no DICOM file; pack the slices of one series.');
}
