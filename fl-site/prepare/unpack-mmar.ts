import path from 'node:path';
import { z } from 'zod';
import { syncFolder, writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { exists } from '../../base/exists';
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat } from '../../base/files';
import { unpackTar } from '../../base/tar-archive';
import { withArchive } from '../../base/zip-archive';
import { type Helpers, isOf, nameOf, type Prepared, type Source } from './local-file';
import { checkMmar, MMAR_FILES } from './mmar-folder';

/** Largest sum of an MMAR's files; those of Clara Train hold one or two models of less than a gigabyte. */
const MAX_MMAR_BYTES = 16 * 2 ** 30;
const MAX_MMAR_FILES = 10_000;
const NOTE = 'prepared.json';
const noteSchema = z.object({ version: z.literal(1), source: z.string(), pin: z.string().optional() });

/**
 * Was the MMAR unpacked here before?
 * @throws ClaraError `already-exists` when something else is there
 */
export async function isUnpacked(folder: string, source: Source, helpers: Helpers): Promise<boolean> {
  if (!(await exists(folder))) return false;
  const note = await readFile(path.join(folder, NOTE), 'utf8').then(
    (text) => noteSchema.parse(JSON.parse(text)),
    () => undefined,
  );
  if (await isOf(note, source, helpers)) return true;
  const changed = note?.source === nameOf(source) ? ', where there is another content now' : '';
  const what = note ? `was prepared from ${note.source}${changed}` : 'was not made by this command';
  throw new ClaraError('already-exists', `${folder} ${what}: remove it, or name another folder`);
}

/**
 * Unpacks an MMAR, as NVIDIA GPU Cloud gives it (zip) or as somebody packed it (tar), so that `folder` holds its `config/`, whether
 * the archive has a top folder or not. The folder is whole and checked, or absent.
 * @param scratch folder for what is not finished; the caller's to remove
 * @throws ClaraError `invalid-input` with every fault of the MMAR; `corrupt`; `resource-exhausted`
 */
export async function unpackMmar(
  archive: string,
  folder: string,
  { note, scratch, signal }: { readonly note: Prepared; readonly scratch: string; readonly signal: AbortSignal },
): Promise<void> {
  const unpacked = path.join(scratch, 'unpacked');
  // Files of another attempt are of another archive perhaps, and their sizes say nothing.
  await rm(unpacked, { recursive: true, force: true });
  if (await isZip(archive)) await unpackZip(archive, unpacked, signal);
  else await unpackTar(archive, unpacked, { maxBytes: MAX_MMAR_BYTES, maxFiles: MAX_MMAR_FILES, signal });
  const root = await rootIn(unpacked, archive);
  await checkMmar(root);
  await mkdir(path.join(root, 'models'), { recursive: true });
  // Neither zip nor a mount can be trusted to keep what makes a program of a file.
  for (const name of await readdir(path.join(root, path.dirname(MMAR_FILES.train)))) {
    if (name.endsWith('.sh')) await chmod(path.join(root, path.dirname(MMAR_FILES.train), name), 0o755);
  }
  await writeFileDurably(path.join(root, NOTE), `${JSON.stringify({ version: 1, ...note }, undefined, 2)}\n`);
  await mkdir(path.dirname(folder), { recursive: true });
  await rename(root, folder);
  await syncFolder(path.dirname(folder));
}

async function unpackZip(archive: string, folder: string, signal: AbortSignal): Promise<void> {
  await withArchive(archive, async (files) => {
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    if (bytes > MAX_MMAR_BYTES) {
      throw new ClaraError(
        'resource-exhausted',
        `${archive} holds ${bytes} bytes; an MMAR has at most ${MAX_MMAR_BYTES}`,
      );
    }
    for (const file of files) {
      // The archive's reader lets no name through that is absolute or climbs.
      const target = path.join(folder, file.name);
      await mkdir(path.dirname(target), { recursive: true });
      await file.unpack(target, signal);
      await settle(target);
    }
  });
}

async function settle(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.chmod(0o644);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function rootIn(unpacked: string, archive: string): Promise<string> {
  const inner = (await readdir(unpacked, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  for (const candidate of [unpacked, ...inner.map(({ name }) => path.join(unpacked, name))]) {
    const config = await stat(path.join(candidate, 'config')).catch(() => undefined);
    if (config?.isDirectory()) return candidate;
  }
  throw new ClaraError('invalid-input', `${archive} is no MMAR: it must hold config/, at most one folder deep`);
}

async function isZip(file: string): Promise<boolean> {
  const handle = await open(file, 'r');
  try {
    const magic = Buffer.alloc(2);
    const { bytesRead } = await handle.read(magic, 0, 2, 0);
    return bytesRead === 2 && magic.toString('latin1') === 'PK';
  } finally {
    await handle.close();
  }
}
