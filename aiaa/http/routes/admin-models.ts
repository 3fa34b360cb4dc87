import { z } from 'zod';
import { ClaraError } from '../../../base/errors';
import { faultsOf } from '../../../base/faults';
import { modelTooLarge } from '../../errors';
import { BUILT_IN_MODELS } from '../../registry/built-in-models';
import {
  type IncomingModel,
  MAX_CONFIG_BYTES,
  openIncoming,
  parseConfig,
  readConfig,
} from '../../registry/intake/incoming-model';
import { fetchFromNgc, parseNgc } from '../../registry/intake/ngc';
import { modelObjectOf } from '../../registry/model-entry';
import { mustBeModelName, openPublished } from '../../registry/model-registry';
import { removeVersion, serveVersion, unloadModel, versionsOf } from '../../registry/model-versions';
import { type ModelToPublish, publishModel } from '../../registry/publish-model';
import type { AnnotationContext } from '../context';
import { type ReceivedForm, receiveForm } from '../receive-form';
import { isForm, receiveJson } from '../receive-json';

/** Fields of a form that brings a model. */
const MODEL_FIELD = /^(config|data)$/;

/** `GET /admin/model/{model}`: what is served under this name, its configuration, and the versions that there are. */
export async function showModel(c: AnnotationContext): Promise<Response> {
  return c.json(await detailsOf(c.var.services.workspace, nameOf(c)));
}

/**
 * `PUT /admin/model/{model}`: a form with `data` and `config`, or with `ngc`, or JSON `{path, version}`. The model is loaded and segments a tiny
 * volume before it is served; until then, and whenever that fails, the version before it is.
 */
export async function putModel(c: AnnotationContext): Promise<Response> {
  const name = nameOf(c);
  mustBeModelName(name);
  const incoming = await receiveModel(c);
  await publish(c, { name, ...incoming });
  return c.json(await detailsOf(c.var.services.workspace, name));
}

/** `PATCH /admin/model/{model}`: another config_aiaa.json for the model that is served, as JSON or in the field `config`. */
export async function patchModel(c: AnnotationContext): Promise<Response> {
  const { workspace } = c.var.services;
  const name = nameOf(c);
  const { entry, file } = await openPublished(workspace, name);
  const config = isForm(c.env.incoming)
    ? await configOf(await receiveModelForm(c))
    : await receiveJson(c.env.incoming, MAX_CONFIG_BYTES);
  if (config === undefined)
    throw new ClaraError('invalid-input', 'The form has no config; send a config_aiaa.json in that field.');
  await publish(c, { name, engine: entry.engine, file, config });
  return c.json(await detailsOf(workspace, name));
}

/** `DELETE /admin/model/{model}`: serves it no more; with `version=`, deletes one version that is not served. */
export async function deleteModel(c: AnnotationContext): Promise<Response> {
  const { workspace } = c.var.services;
  const version = c.req.query('version');
  const name = nameOf(c);
  refuseBuiltIn(name);
  if (version === undefined) await unloadModel(workspace, name);
  else await removeVersion(workspace, name, version);
  c.var.log.info({ model: name, ...(version && { version }) }, version ? 'version deleted' : 'model unloaded');
  return c.json({ success: true });
}

const versionSchema = z.strictObject({ version: z.string().min(1) });

/** `PUT /admin/model/{model}/version` with `{"version": "..."}`: serves a version that there is: the way back. */
export async function putVersion(c: AnnotationContext): Promise<Response> {
  const { workspace } = c.var.services;
  const name = nameOf(c);
  const document = await receiveJson(c.env.incoming, MAX_CONFIG_BYTES);
  const parsed = versionSchema.safeParse(document);
  if (!parsed.success) throw ClaraError.ofFaults('The request', faultsOf(parsed.error, document));
  refuseBuiltIn(name);
  await serveVersion(workspace, name, parsed.data.version);
  c.var.log.info({ model: name, version: parsed.data.version }, 'model served');
  return c.json(await detailsOf(workspace, name));
}

function nameOf(c: AnnotationContext): string {
  return c.req.param('model') ?? '';
}

async function publish(c: AnnotationContext, model: ModelToPublish): Promise<void> {
  const { workspace, inference } = c.var.services;
  const { entry } = await publishModel(workspace, model, {
    inspect: (source, signal) => inference.inspect(model.name, source, signal ?? c.var.scope.signal),
    whenTaken: 'rename',
    signal: c.var.scope.signal,
  });
  c.var.log.info({ model: entry.name, version: entry.version, engine: entry.engine }, 'model served');
}

async function receiveModel(c: AnnotationContext): Promise<IncomingModel> {
  const { limits } = c.var.services;
  const folder = await c.var.scope.folder();
  if (!isForm(c.env.incoming)) return fromNgc(c, await receiveJson(c.env.incoming, MAX_CONFIG_BYTES));
  const form = await receiveModelForm(c);
  const ngc = form.fields.get('ngc');
  const data = form.files.find(({ field }) => field === 'data')?.path;
  if (ngc !== undefined && data === undefined) return fromNgc(c, parseConfig(ngc));
  if (data === undefined || ngc !== undefined) {
    throw new ClaraError(
      'invalid-input',
      'Send the form with data (model.onnx, model.safetensors or a zip of an MMAR) and config (config_aiaa.json), or with ngc ({"path": ..., "version": ...}).',
    );
  }
  const own = await configOf(form);
  const incoming = await openIncoming({ data, folder, maxBytes: limits.modelBytes });
  return { ...incoming, config: own ?? incoming.config };
}

async function receiveModelForm(c: AnnotationContext): Promise<ReceivedForm> {
  return receiveForm(c.env.incoming, await c.var.scope.folder(), {
    fileBytes: c.var.services.limits.modelBytes,
    fileFields: MODEL_FIELD,
    tooLarge: (limit) => modelTooLarge('The upload', limit),
  });
}

/** Curl sends it as a file, scripts as text. */
async function configOf({ fields, files }: ReceivedForm): Promise<unknown> {
  const file = files.find(({ field }) => field === 'config')?.path;
  if (file !== undefined) return readConfig(file);
  const text = fields.get('config');
  return text === undefined ? undefined : parseConfig(text);
}

async function fromNgc(c: AnnotationContext, document: unknown): Promise<IncomingModel> {
  const { limits, ngcUrl } = c.var.services;
  const folder = await c.var.scope.folder();
  const model = parseNgc(document);
  const data = await fetchFromNgc(model, {
    url: ngcUrl,
    folder,
    maxBytes: limits.modelBytes,
    signal: c.var.scope.signal,
  });
  return openIncoming({ data, folder, maxBytes: limits.modelBytes });
}

function refuseBuiltIn(name: string): void {
  if (!BUILT_IN_MODELS.some((entry) => entry.name === name)) return;
  throw new ClaraError('unsupported', `${name} comes with the server and has no versions; it cannot be changed.`);
}

async function detailsOf(workspace: string, name: string): Promise<object> {
  const builtIn = BUILT_IN_MODELS.find((entry) => entry.name === name);
  if (builtIn !== undefined) return builtIn;
  const { current, versions } = await versionsOf(workspace, name);
  const served = versions.find(({ version }) => version === current);
  return {
    ...(served && { ...modelObjectOf(served), engine: served.engine, sha256: served.sha256, bytes: served.bytes }),
    name,
    served: served !== undefined,
    ...(served?.config && { config: served.config }),
    versions: versions.map(({ version, publishedAt, engine, bytes }) => ({
      version,
      published_at: publishedAt,
      engine,
      bytes,
      served: version === current,
    })),
  };
}
