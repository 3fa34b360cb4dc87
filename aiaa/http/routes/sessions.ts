import path from 'node:path';
import { ClaraError, showValue } from '../../../base/errors';
import { hasSystemCode } from '../../../base/system-codes';
import { sessionGone } from '../../errors';
import type { AnnotationContext } from '../context';
import { sendFile } from '../file-reply';
import { receiveForm } from '../receive-form';
import { takeUpload } from '../take-volume';

/** `PUT /session/?expiry=SECONDS`: keeps a volume for later requests. */
export async function openSession(c: AnnotationContext): Promise<Response> {
  const { sessions, limits } = c.var.services;
  const expiry = expiryOf(c.req.query('expiry'));
  checkSaveAs(c.req.query('save_as'));
  const folder = await c.var.scope.folder();
  const form = await receiveForm(c.env.incoming, folder, { fileBytes: limits.uploadBytes });
  const { file, extension } = await takeUpload(c, form, folder);
  const session = await sessions.create(file, extension, expiry);
  // MONAI Label's clients share the address; the field tells them apart.
  const details = form.files[0].field === 'files' ? { session_info: session } : session;
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
    return await sendFile(c, { file, name: path.basename(file) });
  } catch (error) {
    throw hasSystemCode(error, 'ENOENT') ? sessionGone() : error;
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
  if (extension === undefined || /^(\.?(nii(\.gz)?|nrrd))?$/i.test(extension)) return;
  throw new ClaraError(
    'unsupported',
    `Volumes are not kept as ${showValue(extension)}; leave save_as out, or use ".nii" or ".nii.gz".`,
  );
}

function isTrue(text: string | undefined): boolean {
  return text !== undefined && /^(true|1|yes)$/i.test(text);
}
