import { firstBytes, withInput } from './byte-cursor';
import { type NiftiHeader, type ReadNiftiOptions, readNifti, readNiftiHeader, writeNifti } from './nifti';
import { readNrrd, readNrrdHeader, writeNrrd } from './nrrd';
import type { Volume } from './volume';

/** Volumes that are one file, whatever its format: NIfTI-1 or NRRD, told apart by content. */

export type ReadVolumeOptions = ReadNiftiOptions;

/** A volume, and what to repeat when a mask of it is written as NIfTI. */
export interface VolumeOfFile extends Volume {
  readonly header?: NiftiHeader;
}

const NRRD_MAGIC = 'NRRD';

export function isNrrd(start: Uint8Array): boolean {
  return Buffer.from(start.subarray(0, NRRD_MAGIC.length)).toString('latin1') === NRRD_MAGIC;
}

/** @throws ClaraError as {@link readNifti} and {@link readNrrd} */
export async function readVolume(source: string, options: ReadVolumeOptions = {}): Promise<VolumeOfFile> {
  return (await holdsNrrd(source)) ? readNrrd(source, options) : readNifti(source, options);
}

/** Checks the header alone: whether it can be true, and what it declares is within `maxBytes`. */
export async function checkVolumeHeader(source: string, options: ReadVolumeOptions = {}): Promise<void> {
  await ((await holdsNrrd(source)) ? readNrrdHeader(source, options) : readNiftiHeader(source, options));
}

export interface WriteVolumeOptions {
  /** Header of the NIfTI volume that this one was made from. */
  readonly like?: NiftiHeader;
  /** Whether a `.nrrd` file is compressed; for NIfTI the name decides. @default true */
  readonly compress?: boolean;
}

/** Writes NRRD to a name that ends in `.nrrd`, else NIfTI. */
export async function writeVolume(target: string, volume: Volume, options: WriteVolumeOptions = {}): Promise<void> {
  const { like, compress = true } = options;
  if (target.endsWith('.nrrd')) await writeNrrd(target, volume, { encoding: compress ? 'gzip' : 'raw' });
  else await writeNifti(target, volume, { like });
}

function holdsNrrd(source: string): Promise<boolean> {
  return withInput(source, source, async (input) => isNrrd(await firstBytes(input, NRRD_MAGIC.length)));
}
