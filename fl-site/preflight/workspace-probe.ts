import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { writeFileDurably } from '../../base/durable-file';
import { link, mkdir, readFile, rm, statfs } from '../../base/files';
import type { SiteConfiguration } from '../configuration';
import { failed, failedBy, ok, type Verdict, warning } from './verdict';

const PROBE_BYTES = 1 << 20;
/** Below this not even a journal and a small model fit. */
const LEAST_BYTES = 256 * 2 ** 20;
const GIB = 2 ** 30;

/** Does what the agent relies on: writes, fsync, rename and link, and the bytes come back. */
export async function workspaceProbe(workspace: string): Promise<Verdict> {
  const name = `.preflight-${randomBytes(6).toString('hex')}`;
  const [file, linked] = [path.join(workspace, name), path.join(workspace, `${name}.link`)];
  const bytes = randomBytes(PROBE_BYTES);
  try {
    await mkdir(workspace, { recursive: true });
    const began = performance.now();
    await writeFileDurably(file, bytes);
    const millis = performance.now() - began;
    await link(file, linked);
    if (!(await readFile(linked)).equals(bytes)) {
      return failed(`what was written to ${workspace} does not come back`, 'do not use this disk');
    }
    return ok(`${workspace} can be written; fsync of 1 MiB took ${millis.toFixed(0)} ms`);
  } catch (thrown) {
    const mend =
      'give the user of the agent a folder on a disk with room, with rename, link and fsync (no object store mount)';
    return failedBy(thrown, mend);
  } finally {
    await rm(file, { force: true }).catch(() => undefined);
    await rm(linked, { force: true }).catch(() => undefined);
  }
}

/** Room for what the limits allow: a trainer's folder, the model that it starts from, the update that is sent. */
export async function diskProbe(
  workspace: string,
  { diskBytes, modelBytes, updateBytes }: SiteConfiguration['limits'],
): Promise<Verdict> {
  const { bavail, bsize, type } = await statfs(await nearestFolder(workspace));
  const free = bavail * bsize;
  const wanted = diskBytes + modelBytes + updateBytes;
  const found = `${gib(free)} free in ${workspace}${type === TMPFS ? ' (in memory: lost with the machine)' : ''}`;
  if (free < LEAST_BYTES) return failed(`${found}, which holds no model`, 'make room, or choose another disk');
  if (free >= wanted) return ok(`${found}, the limits allow ${gib(wanted)}`);
  return warning(
    `${found}, but the limits allow a trainer, its model and its update ${gib(wanted)}`,
    'make room, or lower limits.diskBytes, limits.modelBytes and limits.updateBytes to what there is',
  );
}

/** TMPFS_MAGIC of linux/magic.h. */
const TMPFS = 0x01021994;

async function nearestFolder(folder: string): Promise<string> {
  const there = await statfs(folder).then(
    () => true,
    () => false,
  );
  return there || path.dirname(folder) === folder ? folder : nearestFolder(path.dirname(folder));
}

function gib(bytes: number): string {
  return `${(bytes / GIB).toFixed(1)} GiB`;
}
