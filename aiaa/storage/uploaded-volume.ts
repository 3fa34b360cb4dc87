import { open } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { ClaraError } from '../../base/errors';
import { checkVolumeHeader, isNrrd } from '../../imaging/volume-file';
import { AiaaError } from '../errors';

/** Extension under which an uploaded volume is kept. It follows from the bytes: names sent by clients are not trusted. */
export type VolumeExtension = '.nii' | '.nii.gz' | '.nrrd';

/** Signatures of what people send by mistake, at their byte offset. */
const FOREIGN: readonly { readonly offset: number; readonly bytes: string; readonly what: string }[] = [
  { offset: 0, bytes: 'NRRD', what: 'a gzipped NRRD file' },
  { offset: 128, bytes: 'DICM', what: 'a gzipped DICOM file' },
  { offset: 0, bytes: 'ObjectType', what: 'a MetaImage file' },
  { offset: 344, bytes: 'ni1\0', what: 'the header half of a NIfTI pair (.hdr/.img)' },
];

const NIFTI_1_HEADER_BYTES = 348;
const ENOUGH_BYTES = 352;

/**
 * Judges an uploaded file before it costs anybody time: what it is, and whether its header can be true.
 *
 * @param maxBytes largest size after decompression
 * @returns the extension to keep it under
 * @throws ClaraError `invalid-input`, `corrupt`, `unsupported`; AiaaError 413 for a volume that is larger than `maxBytes`
 */
export async function inspectVolume(file: string, maxBytes: number): Promise<VolumeExtension> {
  const extension = await volumeExtensionOf(file);
  try {
    await checkVolumeHeader(file, { maxBytes });
  } catch (thrown) {
    throw aboutTheUpload(thrown, file);
  }
  return extension;
}

/** The same error in words for the person who sent the volume: the server's path of it means nothing to them. */
export function aboutTheUpload(thrown: unknown, file: string): ClaraError {
  const error = ClaraError.from(thrown);
  const message = error.message.replaceAll(file, 'the uploaded volume');
  if (error.code === 'resource-exhausted') return new AiaaError(error.code, 413, message);
  return new ClaraError(error.code, message, { cause: error.cause });
}

/**
 * Looks at the first bytes of a file (after decompression) and tells whether it is a single-file NIfTI-1 volume, as the
 * reader needs it: `sizeof_hdr` 348 in either byte order and the magic `n+1` at byte 344 (NIfTI-1 standard, nifti1.h).
 *
 * @throws ClaraError `invalid-input` naming what it is instead
 */
async function volumeExtensionOf(file: string): Promise<VolumeExtension> {
  const start = await startOf(file);
  if (isNrrd(start)) return '.nrrd';
  const gzipped = start[0] === 0x1f && start[1] === 0x8b;
  const head = gzipped ? await gunzipStart(start) : start;
  if (head.length >= ENOUGH_BYTES && isNifti1(head)) return gzipped ? '.nii.gz' : '.nii';
  const foreign = FOREIGN.find(({ offset, bytes }) => head.toString('latin1', offset, offset + bytes.length) === bytes);
  const what =
    foreign?.what ?? (head.length === 0 ? 'empty' : head.length < ENOUGH_BYTES ? 'too short' : 'something else');
  throw new ClaraError(
    'invalid-input',
    `The uploaded volume is ${what}; send a NIfTI-1 volume in a single file (.nii or .nii.gz), a NRRD volume (.nrrd), ` +
      'or the slices of a DICOM series.',
  );
}

function isNifti1(head: Buffer): boolean {
  const size = [head.readInt32LE(0), head.readInt32BE(0)];
  return size.includes(NIFTI_1_HEADER_BYTES) && head.toString('latin1', 344, 348) === 'n+1\0';
}

/** The first bytes of a file, more than any signature needs. */
export async function startOf(file: string): Promise<Buffer> {
  const handle = await open(file, 'r');
  try {
    const bytes = Buffer.alloc(64 * 1024);
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
    return bytes.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** The first bytes of a gzip member; stops as soon as there are enough, so a bomb costs nothing here. */
function gunzipStart(start: Buffer): Promise<Buffer> {
  return new Promise((resolve) => {
    const gunzip = createGunzip();
    const parts: Buffer[] = [];
    let length = 0;
    const finish = () => {
      gunzip.destroy();
      resolve(Buffer.concat(parts));
    };
    gunzip.on('data', (part: Buffer) => {
      parts.push(part);
      length += part.length;
      if (length >= ENOUGH_BYTES) finish();
    });
    gunzip.on('end', finish);
    gunzip.on('error', finish); // the start is cut off, or not deflated at all: whatever came out is judged
    gunzip.end(start);
  });
}
