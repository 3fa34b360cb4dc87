import { type Endpoint, JSON_TYPE, list, named, number, object, text } from './openapi-endpoint';

/** The endpoints of those who run the server: models, their versions, and learning on the site's own samples. */

const ADMIN = { tag: 'Administration', audience: 'operator' } as const;
const MODEL = { name: 'model', in: 'path', description: 'Name of the model.' } as const;
const CONFIG = { name: 'config', in: 'file', description: 'A config_aiaa.json of Clara Train 4.x.' } as const;
const ERRORS = [400, 401, 403, 404, 409, 413, 503, 507] as const;

const VERSION = object({ version: text, published_at: text, engine: text, bytes: number, served: { type: 'boolean' } });
const DETAILS = {
  type: JSON_TYPE,
  description: 'What is served under this name, and the versions that there are, newest first.',
  schema: {
    allOf: [
      named('Model'),
      object({
        served: { type: 'boolean' },
        engine: text,
        sha256: text,
        bytes: number,
        config: object({}),
        versions: list(VERSION),
      }),
    ],
  },
} as const;
const TUNING = {
  type: JSON_TYPE,
  description: 'How far it is.',
  schema: object(
    {
      state: { enum: ['running', 'done', 'failed'] },
      model: text,
      from: text,
      progress: number,
      version: text,
      message: text,
    },
    ['state', 'model', 'from', 'progress'],
  ),
} as const;
const DONE = { type: JSON_TYPE, description: 'Done.', schema: object({ success: { const: true } }) } as const;

export const ADMIN_ENDPOINTS = {
  adminShowModel: {
    ...ADMIN,
    method: 'GET',
    path: '/admin/model/{model}',
    summary: 'What is served under a name, and its versions.',
    parameters: [MODEL],
    answers: [DETAILS],
    errors: [401, 403, 404],
  },
  adminPutModel: {
    ...ADMIN,
    method: 'PUT',
    path: '/admin/model/{model}',
    summary:
      'Serves a new version of a model. Instead of the form, JSON with path and version of a model of NGC is taken. It is loaded and tried before it is served.',
    parameters: [
      MODEL,
      CONFIG,
      { name: 'data', in: 'file', description: 'model.onnx, model.safetensors, or a zip of an MMAR with one of them.' },
      {
        name: 'ngc',
        in: 'form',
        description: 'In place of both: {"path": "...", "version": "..."} of NVIDIA GPU Cloud.',
      },
    ],
    answers: [DETAILS],
    errors: ERRORS,
  },
  adminPatchModel: {
    ...ADMIN,
    method: 'PATCH',
    path: '/admin/model/{model}',
    summary: 'Another configuration for the model that is served, as a new version; in a form, or as the JSON body.',
    parameters: [MODEL, CONFIG],
    answers: [DETAILS],
    errors: ERRORS,
  },
  adminDeleteModel: {
    ...ADMIN,
    method: 'DELETE',
    path: '/admin/model/{model}',
    summary: 'Serves the model no more and keeps its versions; with version, deletes one that is not served.',
    parameters: [MODEL, { name: 'version', in: 'query', description: 'The version to delete.' }],
    answers: [DONE],
    errors: [400, 401, 403, 404, 412],
  },
  adminServeVersion: {
    ...ADMIN,
    method: 'PUT',
    path: '/admin/model/{model}/version',
    summary: 'Serves a version that there is: the way back to an earlier one, and from unloading.',
    parameters: [MODEL],
    json: object({ version: { ...text, description: 'The version to serve.' } }, ['version']),
    answers: [DETAILS],
    errors: [400, 401, 403, 404],
  },
  adminFineTune: {
    ...ADMIN,
    method: 'POST',
    path: '/admin/finetune/{model}',
    summary:
      'Lets a model learn from the samples of the workspace. Answers 202 at once; the log tells the progress, and a new version is served at the end.',
    parameters: [
      MODEL,
      { name: 'options', in: 'query', description: 'Such as epochs=5; further keys are parameters of the trainer.' },
    ],
    answers: [TUNING],
    errors: [400, 401, 403, 404, 429, 501],
  },
  adminShowFineTuning: {
    ...ADMIN,
    method: 'GET',
    path: '/admin/finetune/{model}',
    summary: 'How far a fine-tuning is, or what became of the last one.',
    parameters: [MODEL],
    answers: [TUNING],
    errors: [401, 403, 404],
  },
} as const satisfies Readonly<Record<string, Endpoint>>;
