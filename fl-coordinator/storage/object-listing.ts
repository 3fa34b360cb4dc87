import type { Dirent } from 'node:fs';
import path from 'node:path';
import { readdir, stat } from '../../base/files';
import { unlessCode } from '../../base/system-codes';
import { isKeySegment } from './object-key';
import type { ListedObject, ListOptions } from './object-store';

/**
 * The keys of a folder tree in the order of their bytes, as S3 lists them. A folder is sorted as its name followed by `/`,
 * which stands before digits and letters but behind `-` and `.`, so that `a-b` comes before `a/b`. Folders that lie outside
 * the prefix or wholly before `after` are not read.
 */
export async function* listTree(root: string, prefix: string, options: ListOptions = {}): AsyncGenerator<ListedObject> {
  const { after = '', limit = Number.POSITIVE_INFINITY } = options;
  let left = limit;
  if (left <= 0) return;
  for await (const key of keysBelow(root, folderOf(prefix), prefix, after)) {
    const found = await unlessCode(stat(path.join(root, key)), 'ENOENT', 'ENOTDIR');
    if (found === undefined) continue;
    yield { key, size: found.size };
    if (--left <= 0) return;
  }
}

/** The folder that all keys with a prefix lie in, with its `/`; the root where the prefix is none of a key. */
function folderOf(prefix: string): string {
  const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
  return folder.split('/').slice(0, -1).every(isKeySegment) ? folder : '';
}

async function* keysBelow(root: string, folder: string, prefix: string, after: string): AsyncGenerator<string> {
  const found = await unlessCode(readdir(path.join(root, folder), { withFileTypes: true }), 'ENOENT', 'ENOTDIR');
  const names = (found ?? []).filter((entry) => isKeySegment(entry.name)).flatMap((entry) => sortName(entry) ?? []);
  // Keys are ASCII, so the order of UTF-16 units is the order of bytes.
  for (const name of names.sort()) {
    const key = folder + name;
    if (!name.endsWith('/')) {
      if (key.startsWith(prefix) && key > after) yield key;
      continue;
    }
    const withinPrefix = key.startsWith(prefix) || prefix.startsWith(key);
    const behindAfter = key > after || after.startsWith(key);
    if (withinPrefix && behindAfter) yield* keysBelow(root, key, prefix, after);
  }
}

function sortName(entry: Dirent): string | undefined {
  if (entry.isDirectory()) return `${entry.name}/`;
  return entry.isFile() ? entry.name : undefined;
}
