import { statfs } from 'node:fs/promises';

/** File systems that lie on the machine itself, by the numbers of statfs(2) (Linux, include/uapi/linux/magic.h). */
const LOCAL = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // Btrfs
  0x2fc12fc1, // ZFS
  0xf2f52010, // F2FS
  0x01021994, // tmpfs
  0x794c7630, // overlayfs, of containers
]);

/** False also when it cannot be told: the server of a network file system may be gone. */
export async function isOnLocalDisk(folder: string): Promise<boolean> {
  const found = await statfs(folder).catch(() => undefined);
  return found !== undefined && LOCAL.has(Number(found.type) >>> 0);
}
