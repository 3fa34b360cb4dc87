import { STRATEGIES } from '../monai-label/active-learning';
import {
  BINARY_TYPE,
  binary,
  type Endpoint,
  FORM_TYPE,
  JSON_TYPE,
  list,
  number,
  object,
  type Parameter,
  text,
} from './openapi-endpoint';

/** The endpoints of MONAI Label's API that this server answers, as its clients in 3D Slicer and OHIF call them. */

const MONAI = { tag: 'MONAI Label', audience: 'client' } as const;

const IMAGE: Parameter = { name: 'image', in: 'query', required: true, description: 'Id of the image.' };
const PARAMS: Parameter = {
  name: 'params',
  in: 'form',
  schema: { type: 'string', contentMediaType: JSON_TYPE, default: '{}' },
  description: 'JSON object of what is known of it.',
};
const TRAINING = { tag: 'MONAI Label', audience: 'operator' } as const;
const TASK = {
  type: JSON_TYPE,
  description: 'The task: RUNNING, DONE or ERROR, and what there is to say.',
  schema: object({ id: text, status: text, model: text, progress: number, details: list(text) }, ['status', 'details']),
} as const;
const DATASTORE_ANSWER = { type: JSON_TYPE, description: 'Ids of image and label.' } as const;

export const MONAI_LABEL_ENDPOINTS = {
  monaiInfo: {
    ...MONAI,
    method: 'GET',
    path: '/info/',
    summary: 'Models, labels, strategies and counts.',
    answers: [
      {
        type: JSON_TYPE,
        description: 'With "models", "labels", "strategies", "trainers" and "datastore".',
        schema: object({ name: text, labels: list(text), models: { type: 'object' }, datastore: { type: 'object' } }, [
          'labels',
          'models',
        ]),
      },
    ],
    errors: [],
  },
  monaiInfer: {
    ...MONAI,
    method: 'POST',
    path: '/infer/{model}',
    summary: 'Segments an image of the datastore, of a session, or one that is sent.',
    parameters: [
      { name: 'model', in: 'path', description: 'Name of the model.' },
      { name: 'image', in: 'query', description: 'Id of an image of the datastore.' },
      { name: 'session_id', in: 'query', description: 'Take the volume of this session.' },
      {
        name: 'output',
        in: 'query',
        schema: { enum: ['image', 'json', 'all', 'dicom_seg'], default: 'all' },
        description: 'The mask, what is said of it, both, or of a DICOM series the mask as a DICOM segmentation.',
      },
      {
        name: 'params',
        in: 'form',
        schema: { type: 'string', contentMediaType: JSON_TYPE, default: '{}' },
        description:
          'JSON object; for deepgrow models "foreground" and "background", for annotation models "points"; with "save_label": true the mask is kept in the datastore with the tag "original".',
      },
      { name: 'file', in: 'file', description: 'The volume, when it is neither in the datastore nor in a session.' },
    ],
    answers: [
      {
        type: FORM_TYPE,
        description: 'The text part "params" (with "label_names" and "centroids") and the mask in the part "image".',
        schema: object({ params: { type: 'string', contentMediaType: JSON_TYPE }, image: binary }, ['params', 'image']),
      },
      { type: BINARY_TYPE, description: 'The mask, with output=image.', schema: binary },
      { type: JSON_TYPE, description: 'What is said of it, with output=json.' },
      { type: 'application/dicom', description: 'The DICOM segmentation, with output=dicom_seg.', schema: binary },
    ],
    errors: [400, 404, 412, 413, 440, 503, 504, 507],
  },
  monaiNextSample: {
    ...MONAI,
    method: 'POST',
    path: '/activelearning/{strategy}',
    summary: 'The image to be labelled next.',
    parameters: [
      { name: 'strategy', in: 'path', schema: { enum: Object.keys(STRATEGIES) }, description: 'How to choose.' },
    ],
    json: object({ model: { ...text, description: 'Who is asked, with the strategy entropy. Default: the newest.' } }),
    answers: [
      {
        type: JSON_TYPE,
        description:
          'With "id", "name" and "checksum", and "uncertainty" (0..1) when a model was asked; an empty object when every image has a final label.',
        schema: object({ id: text, name: text, checksum: text, ts: number, uncertainty: number }),
      },
    ],
    errors: [400, 404],
  },
  monaiDatastore: {
    ...MONAI,
    method: 'GET',
    path: '/datastore/',
    summary: 'What the datastore has.',
    parameters: [
      {
        name: 'output',
        in: 'query',
        schema: { enum: ['stats', 'all', 'train'], default: 'stats' },
        description: 'Counts, everything, or the pairs that have a final label.',
      },
    ],
    answers: [{ type: JSON_TYPE, description: 'By default {total, completed, label_tags}.' }],
    errors: [400],
  },
  monaiPutImage: {
    ...MONAI,
    method: 'PUT',
    path: '/datastore/',
    summary:
      'Keeps an image until it is deleted. One with the same id is replaced; its labels go unless it is the same content.',
    parameters: [
      { ...IMAGE, required: false, description: 'Its id; without one the server makes one.' },
      PARAMS,
      { name: 'file', in: 'file', required: true, description: 'The volume, or a zip archive of a DICOM series.' },
    ],
    answers: [{ ...DATASTORE_ANSWER, schema: object({ image: text }, ['image']) }],
    errors: [400, 413, 503, 507],
  },
  monaiDelete: {
    ...MONAI,
    method: 'DELETE',
    path: '/datastore/',
    summary: 'Deletes an image with its labels, its final label, or all labels with a tag.',
    parameters: [
      { name: 'id', in: 'query', required: true, description: 'Id of the image, or the tag.' },
      {
        name: 'type',
        in: 'query',
        required: true,
        schema: { enum: ['image', 'label', 'label_tag'] },
        description: 'What is deleted.',
      },
    ],
    answers: [{ type: JSON_TYPE, description: 'An empty object.' }],
    errors: [400, 404],
  },
  monaiPutLabel: {
    ...MONAI,
    method: 'PUT',
    path: '/datastore/label',
    summary: 'Keeps a label of an image.',
    parameters: [
      IMAGE,
      {
        name: 'tag',
        in: 'query',
        schema: { type: 'string', default: 'final' },
        description: 'What kind of label it is.',
      },
      PARAMS,
      { name: 'label', in: 'file', required: true, description: 'The mask.' },
    ],
    answers: [{ ...DATASTORE_ANSWER, schema: object({ image: text, label: text }, ['image', 'label']) }],
    errors: [400, 404, 412, 413, 503, 507],
  },
  monaiGetLabel: {
    ...MONAI,
    method: 'GET',
    path: '/datastore/label',
    summary: 'Downloads a label.',
    parameters: [
      { name: 'label', in: 'query', required: true, description: 'Id of its image.' },
      {
        name: 'tag',
        in: 'query',
        schema: { type: 'string', default: 'final' },
        description: 'What kind of label it is.',
      },
    ],
    answers: [{ type: BINARY_TYPE, description: 'The file.', schema: binary }],
    errors: [404],
  },
  monaiTrain: {
    ...TRAINING,
    method: 'POST',
    path: '/train/{model}',
    summary: 'Lets a model learn from the samples of the workspace, as /admin/finetune/{model} does.',
    parameters: [{ name: 'model', in: 'path', description: 'Name of the model.' }],
    json: object({
      max_epochs: { type: 'integer', minimum: 1, description: 'How often each case is seen.', default: 1 },
    }),
    answers: [TASK],
    errors: [400, 401, 403, 404, 429, 501],
  },
  monaiTrainAny: {
    ...TRAINING,
    method: 'POST',
    path: '/train/',
    summary: 'The same, when one model alone can learn.',
    json: object({
      max_epochs: { type: 'integer', minimum: 1, description: 'How often each case is seen.', default: 1 },
    }),
    answers: [TASK],
    errors: [400, 401, 403, 404, 429, 501],
  },
  monaiTraining: {
    ...TRAINING,
    method: 'GET',
    path: '/train/',
    summary: 'The training that runs, or ran last.',
    parameters: [
      {
        name: 'check_if_running',
        in: 'query',
        schema: { type: 'boolean' },
        description: '"true": 404 unless it runs.',
      },
    ],
    answers: [TASK],
    errors: [401, 403, 404],
  },
  monaiStopTraining: {
    ...TRAINING,
    method: 'DELETE',
    path: '/train/',
    summary: 'Stops the training that runs; what is served stays.',
    answers: [TASK],
    errors: [401, 403, 404],
  },
  monaiGetImage: {
    ...MONAI,
    method: 'GET',
    path: '/datastore/image',
    summary: 'Downloads an image.',
    parameters: [IMAGE],
    answers: [{ type: BINARY_TYPE, description: 'The file.', schema: binary }],
    errors: [404],
  },
} as const satisfies Readonly<Record<string, Endpoint>>;
