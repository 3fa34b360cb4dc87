import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { writeFileDurably } from '../base/durable-file';
import { ClaraError } from '../base/errors';
import type { Volume } from './volume';

/** What the writers of volume files have in common. */

/** RFC 1952: "unknown" in the header byte that names the operating system, so that all systems write the same bytes. */
const GZIP_UNKNOWN_SYSTEM = 255;
const GZIP_SYSTEM_BYTE = 9;

const compress = promisify(gzip);

/** Node's zlib leaves the time stamp 0; only the system byte differs between platforms. */
export async function gzipSameEverywhere(bytes: Uint8Array): Promise<Uint8Array> {
  const compressed = await compress(bytes, { level: 6 });
  compressed[GZIP_SYSTEM_BYTE] = GZIP_UNKNOWN_SYSTEM;
  return compressed;
}

/** @throws ClaraError invalid-input when an axis is empty or longer than the format knows, or voxels are missing */
export function checkVoxelCount({ geometry, data }: Volume, format: string, longestAxis: number): void {
  const { shape } = geometry;
  if (shape.some((size) => !Number.isInteger(size) || size < 1 || size > longestAxis)) {
    throw new ClaraError(
      'invalid-input',
      `a volume of ${shape.join(' x ')} is not ${format}: axes have 1 to ${longestAxis} voxels`,
    );
  }
  if (shape[0] * shape[1] * shape[2] !== data.length) {
    throw new ClaraError(
      'invalid-input',
      `a volume of ${shape.join(' x ')} must have as many voxels, not ${data.length}`,
    );
  }
}

/** Puts the file there whole or not at all. @throws ClaraError */
export async function storeVolume(target: string, bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
  try {
    await writeFileDurably(target, bytes, { signal });
  } catch (error) {
    throw ClaraError.from(error, `cannot write ${target}`);
  }
}
