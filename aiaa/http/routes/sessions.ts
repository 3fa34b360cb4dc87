import { ClaraError, showValue } from '../../../base/errors';
import { sessionGone } from '../../errors';
import { inspectVolume } from '../../storage/uploaded-volume';
import type { AnnotationContext } from '../context';
import { sendFile } from '../file-reply';
import { type ReceivedFile, receiveForm } from '../receive-form';

/** `PUT /session/?expiry=SECONDS`: keeps a volume for later requests. */
export async function openSession(c: AnnotationContext): Promise<Response> {
  const { sessions, limits } = c.var.services;
  const expiry = expiryOf(c.req.query('expiry'));
  checkSaveAs(c.req.query('save_as'));
  const form = await receiveForm(c.env.incoming, await c.var.scope.folder(), { fileBytes: limits.uploadBytes });
  const { path, field } = onlyVolume(form.files);
  const session = await sessions.create(path, await inspectVolume(path, limits.volumeBytes), expiry);
  // MONAI Label's clients share the address; the field tells them apart.
  const details = field === 'files' ? { session_info: session } : session;
  return c.json({ session_id: session.name, ...details });
}

/** `GET /session/{id}`: what is kept; `image=true` downloads the volume, `update_ts=true` counts as a use. */
export async function showSession(c: AnnotationContext): Promise<Response> {
  const { sessions } = c.var.services;
  const id = c.req.param('id') ?? '';
  const session = isTrue(c.req.query('update_ts')) ? await sessions.use(id) : await sessions.find(id);
  if (!isTrue(c.req.query('image'))) return c.json(session);
  const file = sessions.volumeOf(session);
  try {
    return await sendFile(c, { file, name: file.endsWith('.gz') ? 'image.nii.gz' : 'image.nii' });
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? sessionGone() : error;
  }
}

/** `DELETE /session/{id}`: the volume is gone when this answers. */
export async function closeSession(c: AnnotationContext): Promise<Response> {
  await c.var.services.sessions.remove(c.req.param('id') ?? '');
  return c.json({ success: true });
}

function expiryOf(text: string | undefined): number {
  if (text === undefined || text === '') return 0;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new ClaraError(
    'invalid-input',
    `The expiry is ${showValue(text)}; give whole seconds, or 0 for the server's maximum.`,
  );
}

function checkSaveAs(extension: string | undefined): void {
  if (extension === undefined || /^(\.?nii(\.gz)?)?$/i.test(extension)) return;
  throw new ClaraError(
    'unsupported',
    `Volumes are not kept as ${showValue(extension)}; leave save_as out, or use ".nii" or ".nii.gz".`,
  );
}

function onlyVolume(files: readonly ReceivedFile[]): ReceivedFile {
  if (files.length === 1) return files[0];
  const what = files.length === 0 ? 'no file' : `${files.length} files`;
  const hint =
    files.length === 0
      ? 'send one in the field "image"'
      : 'convert a DICOM series to one NIfTI volume before sending it';
  throw new ClaraError('invalid-input', `The form has ${what}; ${hint}.`);
}

function isTrue(text: string | undefined): boolean {
  return text !== undefined && /^(true|1|yes)$/i.test(text);
}
