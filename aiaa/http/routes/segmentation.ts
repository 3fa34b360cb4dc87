import path from 'node:path';
import { ClaraError } from '../../../base/errors';
import { SERVED_TYPES } from '../../config/aiaa-config';
import type { InferenceResult } from '../../inference/worker-protocol';
import type { BuiltInEntry } from '../../registry/built-in-models';
import type { ModelObject } from '../../registry/model-entry';
import { type OpenedModel, openModel } from '../../registry/model-registry';
import type { AnnotationContext } from '../context';
import { sendFile, sendMultipart } from '../file-reply';
import { interactionOf } from '../interaction-params';
import { receiveForm } from '../receive-form';
import { parseParams, type ResultFormat, resultFormatOf } from '../result-format';
import { takeFromSession, takeUpload } from '../take-volume';

/** What the models of an endpoint have to be, and what else there is for others. */
export interface Offer {
  readonly serves: (entry: OpenedModel['entry']) => boolean;
  readonly sentence: string;
}

export const isInteractive = (entry: OpenedModel['entry']): entry is BuiltInEntry => 'interactive' in entry;

const isAutomatic = ({ type }: OpenedModel['entry']): boolean => SERVED_TYPES.includes(type);

/** `POST /v1/segmentation`: a volume becomes a mask of the same geometry, without a person. */
export const segment = answering({
  serves: isAutomatic,
  sentence: `a volume alone is segmented by models of type ${SERVED_TYPES.join(', ')}`,
});

/** Any model that makes masks. */
export const MASKS: Offer = {
  serves: (entry) => isAutomatic(entry) || isInteractive(entry),
  sentence: `masks are made by models of type ${SERVED_TYPES.join(', ')}, annotation and deepgrow`,
};

/** `POST /v1/inference`: any model; 3D Slicer asks so for deepgrow too. */
export const inferWithAny = answering(MASKS);

/** @throws ClaraError `unsupported` */
export function mustServe({ serves, sentence }: Offer, entry: OpenedModel['entry']): void {
  if (!serves(entry)) throw new ClaraError('unsupported', `Model ${entry.name} is of type ${entry.type}; ${sentence}.`);
}

/**
 * A handler that turns a volume (sent, or kept in the session `session_id`) into a mask of the same geometry. Multipart, or with
 * `output=image` the file alone.
 */
export function answering(offer: Offer): (c: AnnotationContext) => Promise<Response> {
  return (c) => answer(c, offer);
}

async function answer(c: AnnotationContext, offer: Offer): Promise<Response> {
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
  const { entry } = model;
  mustServe(offer, entry);
  if (sessionId) await c.var.services.sessions.find(sessionId);
  inference.mustHaveRoom(); // before the upload: nobody likes to send 200 MB to hear that the server is busy

  const folder = await scope.folder();
  const form = await receiveForm(c.env.incoming, folder, { fileBytes: limits.uploadBytes });
  const params = parseParams(form.fields.get('params'));
  const format = resultFormatOf(params);
  const interaction = isInteractive(entry) ? interactionOf(params, entry) : undefined;
  const input = sessionId ? await takeFromSession(c, sessionId, folder) : (await takeUpload(c, form, folder)).file;
  const mask = path.join(folder, `mask${format.extension}`);
  const result = await inference.segment({ model, input, output: mask, ...askedOf(format), interaction }, scope.signal);

  const file = { file: mask, name: `${name}${format.extension}` };
  return output === 'image' ? sendFile(c, file) : sendMultipart(c, paramsOf(result, model.entry), file);
}

/** What the inference is told of the wanted format. */
export function askedOf({ dtype, compress, largestOnly }: ResultFormat) {
  return { dtype, compress, largestOnly };
}

/** Clients read `points` as the extreme points of the one structure that was found. */
function paramsOf({ extremePoints, told }: InferenceResult, { labels }: ModelObject): object {
  return { ...(labels.length === 1 && extremePoints.length > 0 && { points: extremePoints }), ...told };
}
