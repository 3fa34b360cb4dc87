import { waitForFiles } from '../base/file-waiting';
import { isOnLocalDisk } from '../base/local-disk';

/**
 * For a service that has started: it may look at files itself, without the pool of threads, when all its folders are on disks
 * of this machine. The server of a network file system may be slow or gone, and heartbeats must not wait for it.
 */
export async function lookAtOnceWhenLocal(folders: readonly string[]): Promise<void> {
  const local = await Promise.all(folders.map(isOnLocalDisk));
  if (!local.includes(false)) waitForFiles('looks-at-once');
}
