import { copyFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { ClaraError, showValue } from '../../base/errors';
import { faultsOf } from '../../base/faults';
import type { AnnotationContext } from '../http/context';
import { sendFile, sendMultipart } from '../http/file-reply';
import { interactionOf } from '../http/interaction-params';
import { type ReceivedFile, type ReceivedForm, receiveForm } from '../http/receive-form';
import { receiveJson } from '../http/receive-json';
import { parseParams, resultFormatOf } from '../http/result-format';
import { askedOf, isInteractive, MASKS, mustServe } from '../http/routes/segmentation';
import { takeFromSession, takeKept, takeUpload } from '../http/take-volume';
import { type ModelEntry, modelObjectOf } from '../registry/model-entry';
import { listModels, openModel, openPublished, type StoredModel } from '../registry/model-registry';
import { inspectVolume } from '../storage/uploaded-volume';
import { FINAL, ORIGINAL, STRATEGIES, unlabelledOf } from './active-learning';
import { assessorOf } from './assessor';
import type { NewFile } from './datastore';
import { contentsOf, inferParamsOf, infoOf, pairsOf, sampleOf, statusOf } from './shapes';
import { trainableModels } from './training';

/** Handlers of MONAI Label's API, over the same models, sessions and inference as the AIAA API. */

const OUTPUTS = ['image', 'json', 'all', 'dicom_seg'];

/** `GET /info/`. */
export async function showInfo(c: AnnotationContext): Promise<Response> {
  const { workspace, datastore, fineTuning, prefixes } = c.var.services;
  // Nobody trains through a secret path.
  const trainable = fineTuning.isOffered && prefixes.length === 0 ? await trainableModels(workspace) : [];
  const models = (await listModels(workspace, { onBroken: () => {} })).map(modelObjectOf);
  return c.json(infoOf(models, await datastore.list(), trainable));
}

/** `POST /infer/{model}`: the volume is sent as `file`, kept in a session, or an image of the datastore. */
export async function infer(c: AnnotationContext): Promise<Response> {
  const { workspace, limits, inference, datastore, sessions } = c.var.services;
  const { image, session_id: sessionId, output = 'all' } = c.req.query();
  if (output !== '' && !OUTPUTS.includes(output)) {
    throw new ClaraError('unsupported', `output is ${showValue(output)}; this server answers ${OUTPUTS.join(', ')}.`);
  }
  const model = await openModel(workspace, c.req.param('model') ?? '');
  mustServe(MASKS, model.entry);
  if (sessionId) await sessions.find(sessionId);
  inference.mustHaveRoom();

  const folder = await c.var.scope.folder();
  const form = await receiveForm(c.env.incoming, folder, { fileBytes: limits.uploadBytes });
  const params = parseParams(form.fields.get('params'));
  const interaction = isInteractive(model.entry) ? interactionOf(params, model.entry) : undefined;
  const format = resultFormatOf(output === 'dicom_seg' ? { ...params, result_extension: '.dcm' } : params);
  const files = form.files.filter(({ field }) => field !== 'label');
  const { extension } = format;
  if (params.save_label === true && extension === '.dcm') {
    throw new ClaraError(
      'unsupported',
      'Labels are kept as volumes; ask for the result_extension ".nii.gz" or ".nrrd".',
    );
  }
  let input: string;
  let of: string | undefined;
  if (sessionId) input = await takeFromSession(c, sessionId, folder);
  else if (files.length > 0 || !image) input = (await takeUpload(c, { ...form, files }, folder)).file;
  else [input, of] = await takeFromDatastore(c, image, folder);
  const mask = path.join(folder, `mask${format.extension}`);
  const result = await inference.segment(
    { model, input, output: mask, ...askedOf(format), interaction },
    c.var.scope.signal,
  );
  const told = inferParamsOf(result, model.entry);
  if (params.save_label === true && image && !sessionId && extension !== '.dcm') {
    const copy = path.join(folder, `kept${extension}`);
    await copyFile(mask, copy);
    const info = { model: model.entry.name, params: told };
    await datastore.putLabel(image, ORIGINAL, { file: copy, extension, info }, of);
  }
  const file = { file: mask, name: `${model.entry.name}${format.extension}` };
  if (output === 'json') return c.json(told);
  if (output === 'image') return sendFile(c, file);
  if (output === 'dicom_seg') return sendFile(c, file, 'application/dicom');
  return sendMultipart(c, told, file, { field: 'image', paramsType: 'application/json' });
}

/** `POST /activelearning/{strategy}`: the image to be labelled next; `{}` when all are. */
export async function nextSample(c: AnnotationContext): Promise<Response> {
  const name = c.req.param('strategy') ?? '';
  const strategy = Object.hasOwn(STRATEGIES, name) ? STRATEGIES[name] : undefined;
  if (strategy === undefined) {
    throw new ClaraError(
      'not-found',
      `There is no strategy ${showValue(name)}; use one of ${Object.keys(STRATEGIES).join(', ')}.`,
    );
  }
  const { datastore, assessor } = c.var.services;
  const body = await receiveJson(c.env.incoming); // the rest of it is about the client
  const waiting = unlabelledOf(await datastore.list());
  if (waiting.length === 0) return c.json({});
  if (!strategy.asksModel) return c.json(sampleOf(strategy.choose(waiting)));
  const model = await assessingModel(c.var.services.workspace, body);
  await assessor.assess(model, waiting, c.var.scope.signal);
  const assessed = unlabelledOf(await datastore.list());
  const by = assessorOf(model);
  return c.json(assessed.length === 0 ? {} : sampleOf(strategy.choose(assessed, by), by));
}

const assessingSchema = z.looseObject({ model: z.string().optional() }).default({});

/** The model that the client names, or the one that was published last. */
async function assessingModel(workspace: string, body: unknown): Promise<StoredModel> {
  const parsed = assessingSchema.safeParse(body ?? undefined);
  if (!parsed.success) throw ClaraError.ofFaults('The parameters', faultsOf(parsed.error, body));
  const published = (await listModels(workspace, { onBroken: () => {} })).filter(
    (entry): entry is ModelEntry => !isInteractive(entry),
  );
  const name = parsed.data.model || published.reduce<ModelEntry | undefined>(newer, undefined)?.name;
  if (name !== undefined) return openPublished(workspace, name);
  throw new ClaraError('not-found', 'There is no published model to ask; use the strategy first or random.');
}

function newer(a: ModelEntry | undefined, b: ModelEntry): ModelEntry {
  return a === undefined || b.publishedAt > a.publishedAt ? b : a;
}

/** `GET /datastore/`: counts, or with `output` everything, or the pairs that a model can be trained on. */
export async function showDatastore(c: AnnotationContext): Promise<Response> {
  const images = await c.var.services.datastore.list();
  const output = c.req.query('output') ?? 'stats';
  const views = { stats: statusOf, all: contentsOf, train: pairsOf };
  const shown = Object.hasOwn(views, output) ? views[output as keyof typeof views] : undefined;
  if (shown === undefined) {
    throw new ClaraError('invalid-input', `output is ${showValue(output)}; use stats, all or train.`);
  }
  return c.json(shown(images));
}

/** `PUT /datastore/?image=ID`: keeps an image. */
export async function putImage(c: AnnotationContext): Promise<Response> {
  const { image } = c.req.query();
  const form = await receive(c);
  const id = image || c.var.scope.id;
  only(form, 'file');
  const taken = await takeUpload(c, form, await c.var.scope.folder());
  await c.var.services.datastore.putImage(id, { ...taken, info: infoOfClient(form) });
  return c.json({ image: id });
}

/** `PUT /datastore/label?image=ID&tag=TAG`: keeps a label of an image. */
export async function putLabel(c: AnnotationContext): Promise<Response> {
  const { image = '', tag } = c.req.query();
  const { datastore } = c.var.services;
  const { sha256 } = (await datastore.find(image)).image; // before the upload
  const form = await receive(c);
  await datastore.putLabel(image, tag || FINAL, await newFile(c, form, only(form, 'label')), sha256);
  return c.json({ image, label: image });
}

/** `GET /datastore/image?image=ID`. */
export async function getImage(c: AnnotationContext): Promise<Response> {
  const { datastore } = c.var.services;
  const { image } = await datastore.find(c.req.query('image') ?? '');
  return sendFile(c, { file: datastore.pathOf(image), name: `image${image.ext}` });
}

/** `GET /datastore/label?label=ID&tag=TAG`. */
export async function getLabel(c: AnnotationContext): Promise<Response> {
  const { datastore } = c.var.services;
  const label = await datastore.findLabel(c.req.query('label') ?? '', c.req.query('tag') || FINAL);
  return sendFile(c, { file: datastore.pathOf(label), name: `label${label.ext}` });
}

/** `DELETE /datastore/?id=ID&type=image|label|label_tag`. */
export async function deleteFromDatastore(c: AnnotationContext): Promise<Response> {
  const { datastore } = c.var.services;
  const { id = '', type = '' } = c.req.query();
  if (type === 'image') await datastore.removeImage(id);
  else if (type === 'label') await datastore.removeLabel(id, FINAL);
  else if (type === 'label_tag') await datastore.removeTag(id);
  else throw new ClaraError('invalid-input', `type is ${showValue(type)}; use image, label or label_tag.`);
  return c.json({});
}

/** @returns the volume, and the digest of what it is */
async function takeFromDatastore(
  c: AnnotationContext,
  id: string,
  folder: string,
): Promise<[file: string, sha256: string]> {
  const { datastore } = c.var.services;
  const { image } = await datastore.find(id);
  const target = path.join(folder, `volume${image.ext}`);
  await takeKept(datastore.pathOf(image), target);
  return [target, image.sha256];
}

async function receive(c: AnnotationContext): Promise<ReceivedForm> {
  return receiveForm(c.env.incoming, await c.var.scope.folder(), { fileBytes: c.var.services.limits.uploadBytes });
}

function only({ files }: ReceivedForm, field: string): ReceivedFile {
  if (files.length === 1) return files[0];
  throw new ClaraError('invalid-input', `The form has ${files.length} files; send one in the field "${field}".`);
}

async function newFile(c: AnnotationContext, form: ReceivedForm, { path: file }: ReceivedFile): Promise<NewFile> {
  const extension = await inspectVolume(file, c.var.services.limits.volumeBytes);
  return { file, extension, info: infoOfClient(form) };
}

/** What is said of a file. Who said it is nobody's business here. */
function infoOfClient(form: ReceivedForm): Readonly<Record<string, unknown>> {
  const { client_id: _, ...info } = parseParams(form.fields.get('params'));
  return info;
}
