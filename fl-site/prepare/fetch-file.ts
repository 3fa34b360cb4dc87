import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { syncFolder, writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { exists } from '../../base/exists';
import { mkdir, open, readFile, rename, rm, stat, statfs } from '../../base/files';
import { showBytes } from '../../base/show-bytes';

/** One content of one object somewhere else. This room knows no S3: whoever prepares a site brings it. */
export interface RemoteObject {
  readonly size: number;
  /** Names this very content: another content of the same address has another one. */
  readonly pin: string;
  /** Bytes from `from` to the end, through broken connections. @throws ClaraError when the content was replaced meanwhile */
  read(from: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
  close(): void;
}

export interface FetchOptions {
  /** `sha256:<hex>` that the content must have. @default any, what came is told */
  readonly sha256?: string | undefined;
  readonly signal: AbortSignal;
  readonly onBytes?: (done: number, total: number) => void;
}

export interface FetchedFile {
  readonly file: string;
  /** `sha256:<hex>` */
  readonly sha256: string;
}

const noteSchema = z.object({ pin: z.string() });
/** What was fetched is made durable each time so much of it has come. */
const SYNC_BYTES = 64 << 20;

/**
 * Fetches an object into a file, which is there whole and verified or not at all. What an earlier attempt fetched of the same
 * content is not fetched again.
 * @throws ClaraError `corrupt` when the digest is another one
 */
export async function fetchFile(remote: RemoteObject, target: string, options: FetchOptions): Promise<FetchedFile> {
  const { signal, sha256: expected, onBytes } = options;
  const partial = `${target}.partial`;
  const note = `${partial}.json`;
  await mkdir(path.dirname(target), { recursive: true });
  if (await exists(target)) return { file: target, sha256: await digestOf(target, expected, signal) };
  if ((await pinIn(note)) !== remote.pin) {
    await rm(partial, { force: true });
    await writeFileDurably(note, `${JSON.stringify({ pin: remote.pin })}\n`);
  }
  const hash = createHash('sha256');
  const file = await open(partial, 'a');
  try {
    let done = Math.min((await file.stat()).size, remote.size);
    await file.truncate(done);
    await addTo(hash, partial, signal);
    onBytes?.(done, remote.size);
    let unsynced = 0;
    if (done < remote.size) {
      for await (const bytes of remote.read(done, signal)) {
        await file.writeAll(bytes);
        hash.update(bytes);
        done += bytes.length;
        unsynced += bytes.length;
        if (unsynced >= SYNC_BYTES) {
          await file.sync();
          unsynced = 0;
        }
        onBytes?.(done, remote.size);
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
  const sha256 = `sha256:${hash.digest('hex')}`;
  if (expected !== undefined && expected !== sha256) {
    await rm(partial, { force: true });
    throw new ClaraError('corrupt', differs('what was fetched', sha256, expected));
  }
  await rename(partial, target);
  await rm(note, { force: true });
  await syncFolder(path.dirname(target));
  return { file: target, sha256 };
}

/** The digest of a file. @throws ClaraError `corrupt` when another one was expected */
export async function digestOf(file: string, expected: string | undefined, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await addTo(hash, file, signal);
  const sha256 = `sha256:${hash.digest('hex')}`;
  if (expected === undefined || expected === sha256) return sha256;
  throw new ClaraError('corrupt', differs(file, sha256, expected));
}

/** @throws ClaraError `out-of-space` when so many bytes are not free in the folder, or where it will be */
export async function requireSpace(folder: string, bytes: number, what: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (bytes <= free) return;
  const message = `${what} needs ${showBytes(bytes)} in ${folder}, where ${showBytes(free)} are free; make room, or name another folder`;
  throw new ClaraError('out-of-space', message);
}

/** Bytes of what an earlier attempt has fetched already. */
export async function fetchedBytes(target: string): Promise<number> {
  for (const file of [target, `${target}.partial`]) {
    const found = await stat(file).catch(() => undefined);
    if (found) return found.size;
  }
  return 0;
}

function differs(what: string, sha256: string, expected: string): string {
  return `${what} has digest ${sha256}, not the promised ${expected}; check the address and the digest, and fetch it again`;
}

async function addTo(hash: Hash, file: string, signal: AbortSignal): Promise<void> {
  await pipeline(
    createReadStream(file, { highWaterMark: 1 << 20 }),
    async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) hash.update(chunk);
    },
    { signal },
  );
}

async function pinIn(note: string): Promise<string | undefined> {
  try {
    return noteSchema.parse(JSON.parse(await readFile(note, 'utf8'))).pin;
  } catch {
    // Absent, or of an interrupted beginning: nothing was fetched that could be told from something else.
    return undefined;
  }
}
