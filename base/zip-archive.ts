import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { type Entry, open, validateFileName, type ZipFile } from 'yauzl';
import { ClaraError, showValue } from './errors';

/** A file in an archive that has not been unpacked. */
export interface ArchivedFile {
  /** With slashes, as the archive has it; never absolute and never climbing. */
  readonly name: string;
  /** Uncompressed, as the archive says; a file that holds more or less is refused. */
  readonly bytes: number;
  /** Writes the file under a name of the caller's own choice, which must be free. @throws ClaraError `corrupt`, `out-of-space` */
  unpack(target: string, signal?: AbortSignal): Promise<void>;
}

/** A zip with more files is no model, and no MMAR. */
const MAX_ENTRIES = 10_000;
/** File types in the upper half of an entry's external attributes, as Unix writes them (APPNOTE 4.4.15). */
const TYPE_MASK = 0o170000;
const REGULAR = 0o100000;

/**
 * Works with the files of a zip archive, one after the other, unpacking none that is not asked for. Names are checked before anything is
 * written, and no name in an archive ever becomes a path here.
 *
 * @throws ClaraError `corrupt` for what is no zip or names files outside of itself
 */
export async function withArchive<Result>(
  file: string,
  work: (files: readonly ArchivedFile[]) => Promise<Result>,
): Promise<Result> {
  const zip = await openZip(file);
  try {
    return await work(await entriesOf(zip));
  } finally {
    zip.close();
  }
}

function openZip(file: string): Promise<ZipFile> {
  return new Promise((resolve, reject) => {
    const options = { lazyEntries: true, autoClose: false, strictFileNames: true, validateEntrySize: true } as const;
    open(file, options, (error, zip) => (error ? reject(damaged(error)) : resolve(zip)));
  });
}

function entriesOf(zip: ZipFile): Promise<readonly ArchivedFile[]> {
  if (zip.entryCount > MAX_ENTRIES) {
    throw new ClaraError('corrupt', `The archive has ${zip.entryCount} files; at most ${MAX_ENTRIES} are opened.`);
  }
  return new Promise((resolve, reject) => {
    const files: ArchivedFile[] = [];
    zip.on('error', (error) => reject(damaged(error)));
    zip.on('end', () => resolve(files));
    zip.on('entry', (entry) => {
      const outside = validateFileName(entry.fileName);
      if (outside !== null) {
        reject(new ClaraError('corrupt', `The archive names ${showValue(entry.fileName)}, which lies outside of it.`));
        return;
      }
      if (isRegularFile(entry)) files.push(archivedFile(zip, entry));
      zip.readEntry();
    });
    zip.readEntry();
  });
}

function isRegularFile({ fileName, externalFileAttributes }: Entry): boolean {
  const type = (externalFileAttributes >>> 16) & TYPE_MASK;
  return !fileName.endsWith('/') && (type === 0 || type === REGULAR);
}

function archivedFile(zip: ZipFile, entry: Entry): ArchivedFile {
  return {
    name: entry.fileName,
    bytes: entry.uncompressedSize,
    async unpack(target, signal) {
      // yauzl ends the stream with an error as soon as it holds more, or at the end less, than the archive says.
      const stream = await new Promise<NodeJS.ReadableStream>((resolve, reject) => {
        zip.openReadStream(entry, (error, opened) => (error ? reject(damaged(error)) : resolve(opened)));
      });
      try {
        await pipeline(stream, createWriteStream(target, { flags: 'wx', mode: 0o600 }), { signal });
      } catch (error) {
        const known = ClaraError.from(error, 'unpacking the archive');
        throw known.code === 'internal' ? damaged(error as Error) : known;
      }
    },
  };
}

function damaged(error: Error): ClaraError {
  return new ClaraError('corrupt', `The archive cannot be read: ${error.message}.`, { cause: error });
}
