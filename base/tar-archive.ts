import { createReadStream } from 'node:fs';
import { mkdir, open, stat } from 'node:fs/promises';
import path from 'node:path';
import { createGunzip } from 'node:zlib';
import { extract, type Header } from 'tar-stream';
import { removePartials, writeFileDurably } from './durable-file';
import { ClaraError, showValue } from './errors';

export interface ExtractOptions {
  /** Largest sum of the files' sizes. @default 64 GiB */
  readonly maxBytes?: number;
  /** @default 100000 */
  readonly maxFiles?: number;
  readonly signal?: AbortSignal;
}

const DEFAULT_MAX_BYTES = 64 * 1024 ** 3;
const DEFAULT_MAX_FILES = 100_000;

/**
 * Unpacks the files of a tar archive, gzipped or not, into a folder. Files that an interrupted call had finished are not written
 * again; an archive that was cut between two files looks whole, so what must be there is the caller's to check.
 *
 * @throws ClaraError corrupt for a damaged archive or one with links, devices or names that climb out; resource-exhausted
 */
export async function unpackTar(tar: string, folder: string, options: ExtractOptions = {}): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { maxBytes = DEFAULT_MAX_BYTES, maxFiles = DEFAULT_MAX_FILES, signal } = options;
  const entries = extract();
  const feeding = feed(tar, entries, signal);
  // Its failure also ends the loop below, which may notice later than this promise.
  feeding.catch(() => undefined);
  let bytes = 0;
  let files = 0;
  const folders = new Set<string>();
  try {
    for await (const entry of entries) {
      signal?.throwIfAborted();
      const place = placeOf(entry.header, folder, tar);
      bytes += entry.header.size;
      files += 1;
      if (bytes > maxBytes || files > maxFiles) {
        throw new ClaraError('resource-exhausted', `${tar} holds more than ${maxBytes} bytes or ${maxFiles} files`);
      }
      if (place === undefined || (await hasSize(place, entry.header.size))) entry.resume();
      else {
        await writeFileDurably(place, entry as AsyncIterable<Uint8Array>, { signal });
        folders.add(path.dirname(place));
      }
    }
    await feeding;
    for (const finished of folders) await removePartials(finished);
  } catch (error) {
    entries.destroy();
    await feeding.catch(() => undefined);
    if (error instanceof ClaraError) throw error;
    if (signal?.aborted === true) throw ClaraError.from(signal.reason, `unpacking ${tar}`);
    if ((error as NodeJS.ErrnoException).syscall !== undefined) throw ClaraError.from(error, `unpacking ${tar}`);
    throw new ClaraError('corrupt', `${tar} is no whole tar archive (${(error as Error).message})`, { cause: error });
  }
}

/** Pumps the archive into the parser; a failure of either ends both. */
async function feed(tar: string, entries: ReturnType<typeof extract>, signal?: AbortSignal): Promise<void> {
  try {
    const gunzip = (await isGzipped(tar)) ? createGunzip() : undefined;
    const raw = createReadStream(tar, { highWaterMark: 256 * 1024 });
    const bytes = gunzip === undefined ? raw : raw.pipe(gunzip);
    raw.on('error', (error) => gunzip?.destroy(error));
    gunzip?.on('close', () => raw.destroy());
    for await (const chunk of bytes) {
      signal?.throwIfAborted();
      if (entries.destroying) return;
      if (!entries.write(chunk)) await drained(entries);
    }
    entries.end(null);
  } catch (error) {
    entries.destroy(error as Error);
    throw error;
  }
}

function drained(entries: ReturnType<typeof extract>): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      entries.off('drain', done);
      entries.off('close', done);
      resolve();
    };
    if (entries.destroying) return done();
    entries.on('drain', done);
    entries.on('close', done);
  });
}

/** Where an entry goes, or undefined for what is not wanted: folders and macOS resource forks. */
function placeOf(header: Header, folder: string, tar: string): string | undefined {
  const { name, type } = header;
  if (type === 'directory') return undefined;
  if (type !== 'file' && type !== 'contiguous-file') {
    throw new ClaraError(
      'corrupt',
      `${tar} holds a ${type} named ${showValue(name)}: only files and folders are unpacked`,
    );
  }
  const clean = path.posix.normalize(name);
  const climbs = path.posix.isAbsolute(clean) || clean.split('/').includes('..');
  if (climbs || /[\0\\]/.test(name) || /^[A-Za-z]:/.test(name)) {
    throw new ClaraError(
      'corrupt',
      `${tar} holds ${showValue(name)}, a name that leads out of the folder: do not use it`,
    );
  }
  return path.posix.basename(clean).startsWith('._') ? undefined : path.join(folder, clean);
}

async function isGzipped(file: string): Promise<boolean> {
  const handle = await open(file, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(new Uint8Array(2), 0, 2, 0);
    return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b;
  } finally {
    await handle.close();
  }
}

async function hasSize(file: string, size: number): Promise<boolean> {
  const found = await stat(file).catch(() => undefined);
  return found?.isFile() === true && found.size === size;
}
