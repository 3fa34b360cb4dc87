import { copyFile, link, rename } from 'node:fs/promises';
import path from 'node:path';
import { ClaraError } from '../../base/errors';
import { hasSystemCode, unlessCode } from '../../base/system-codes';
import { sessionGone } from '../errors';
import { seriesFileOf, slicesOfUpload } from '../storage/uploaded-series';
import { inspectVolume, type VolumeExtension } from '../storage/uploaded-volume';
import type { AnnotationContext } from './context';
import type { ReceivedForm } from './receive-form';

/** A volume in a request's folder. What is known of its DICOM series lies beside it. */
export interface TakenVolume {
  readonly file: string;
  readonly extension: VolumeExtension;
}

/**
 * The volume of a form: one file, or the slices of a DICOM series, each a file or all in one archive; a series is read in the
 * inference process and becomes one file.
 *
 * @throws ClaraError invalid-input and others, in words for the person who sent it; AiaaError 413
 */
export async function takeUpload(c: AnnotationContext, { files }: ReceivedForm, folder: string): Promise<TakenVolume> {
  const { limits, inference } = c.var.services;
  if (files.length === 0) {
    throw new ClaraError(
      'invalid-input',
      'The form has no file; send one volume in the field "datapoint" or "image", a DICOM series in "image0", "image1" ' +
        'and so on, or the session_id of a kept one.',
    );
  }
  const slices = await slicesOfUpload(
    files.map((file) => file.path),
    folder,
    limits.volumeBytes,
  );
  if (slices === undefined) {
    const extension = await inspectVolume(files[0].path, limits.volumeBytes);
    const file = path.join(folder, `volume${extension}`);
    await rename(files[0].path, file);
    return { file, extension };
  }
  const file = path.join(folder, 'volume.nii');
  await inference.work({ kind: 'import-series', slices: [...slices], output: file }, c.var.scope.signal);
  return { file, extension: '.nii' };
}

/** The session's volume under a name of this request's own, so that it stays when the session ends meanwhile. */
export async function takeFromSession(c: AnnotationContext, id: string, folder: string): Promise<string> {
  const { sessions } = c.var.services;
  const session = await sessions.use(id);
  c.var.scope.repeat((session.expiry * 1000) / 3, () => sessions.use(id)); // waiting in line is a use
  const kept = sessions.volumeOf(session);
  const target = path.join(folder, path.basename(kept));
  try {
    await takeKept(kept, target);
  } catch (error) {
    throw hasSystemCode(error, 'ENOENT') ? sessionGone() : error;
  }
  return target;
}

/** A kept volume under another name, with what is known of its DICOM series. */
export async function takeKept(kept: string, target: string): Promise<void> {
  await linkOrCopy(kept, target);
  await unlessCode(linkOrCopy(seriesFileOf(kept), seriesFileOf(target)), 'ENOENT'); // it may be no series
}

/** Not every file system has hard links. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  await link(from, to).catch(() => copyFile(from, to));
}
