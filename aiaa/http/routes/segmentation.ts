import path from 'node:path';
import { ClaraError } from '../../../base/errors';
import { SERVED_TYPES } from '../../config/aiaa-config';
import type { InferenceResult } from '../../inference/worker-protocol';
import type { ModelObject } from '../../registry/model-entry';
import { openModel } from '../../registry/model-registry';
import type { AnnotationContext } from '../context';
import { sendFile, sendMultipart } from '../file-reply';
import { receiveForm } from '../receive-form';
import { parseParams, resultFormatOf } from '../result-format';
import { takeFromSession, takeUpload } from '../take-volume';

/**
 * `POST /v1/segmentation` and `POST /v1/inference`: a volume (sent, or kept in the session `session_id`) becomes a mask of the same
 * geometry. Multipart, or with `output=image` the file alone.
 */
export async function segment(c: AnnotationContext): Promise<Response> {
  const { workspace, limits, inference } = c.var.services;
  const { scope } = c.var;
  const { model: name, session_id: sessionId, output } = c.req.query();
  if (!name) {
    throw new ClaraError(
      'invalid-input',
      'The query has no model; add ?model=NAME, where GET /v1/models lists the names.',
    );
  }
  const model = await openModel(workspace, name);
  if (!SERVED_TYPES.includes(model.entry.type)) {
    throw new ClaraError(
      'unsupported',
      `Model ${name} is of type ${model.entry.type}; a volume alone is segmented by models of type ${SERVED_TYPES.join(', ')}.`,
    );
  }
  if (sessionId) await c.var.services.sessions.find(sessionId);
  inference.mustHaveRoom(); // before the upload: nobody likes to send 200 MB to hear that the server is busy

  const folder = await scope.folder();
  const form = await receiveForm(c.env.incoming, folder, { fileBytes: limits.uploadBytes });
  const format = resultFormatOf(parseParams(form.fields.get('params')));
  const input = sessionId ? await takeFromSession(c, sessionId, folder) : (await takeUpload(c, form, folder)).file;
  const mask = path.join(folder, `mask${format.extension}`);
  const result = await inference.segment(
    { model, input, output: mask, dtype: format.dtype, compress: format.compress },
    scope.signal,
  );

  const file = { file: mask, name: `${name}${format.extension}` };
  return output === 'image' ? sendFile(c, file) : sendMultipart(c, paramsOf(result, model.entry), file);
}

/** Clients read `points` as the extreme points of the one structure that was found. */
function paramsOf({ extremePoints, told }: InferenceResult, { labels }: ModelObject): object {
  return { ...(labels.length === 1 && extremePoints.length > 0 && { points: extremePoints }), ...told };
}
