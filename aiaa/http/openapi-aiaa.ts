import {
  BINARY_TYPE,
  binary,
  type Endpoint,
  FORM_TYPE,
  flag,
  JSON_TYPE,
  list,
  named,
  object,
  type Parameter,
  text,
} from './openapi-endpoint';

/** The endpoints of the AI-Assisted Annotation API, as its public clients call them. */

const AIAA = { tag: 'AIAA', audience: 'client' } as const;

const MODEL: Parameter = { name: 'model', in: 'query', required: true, description: 'Name of the model.' };
const FROM_SESSION: Parameter = {
  name: 'session_id',
  in: 'query',
  description: 'Take the volume of this session; then no file is sent.',
};
const SESSION: Parameter = { name: 'id', in: 'path', description: 'As the answer to PUT /session/ names it.' };

const SEGMENTATION = {
  ...AIAA,
  method: 'POST',
  parameters: [
    MODEL,
    FROM_SESSION,
    {
      name: 'output',
      in: 'query',
      schema: { enum: ['image'] },
      description: '"image" answers with the mask file alone.',
    },
    {
      name: 'params',
      in: 'form',
      schema: { type: 'string', contentMediaType: JSON_TYPE, default: '{}' },
      description:
        'JSON object; optional result_extension (".nii.gz", ".nii", ".nrrd", or ".dcm" for a DICOM segmentation of a DICOM series), result_dtype (such as "uint16"), result_compress, largest_cc (true: the largest piece of each label alone).',
    },
    {
      name: 'datapoint',
      in: 'file',
      description:
        'The volume: NIfTI, NRRD, or a DICOM series as a zip archive or as files in image0, image1 and so on. The field names image and file are taken too.',
    },
  ],
  answers: [
    {
      type: FORM_TYPE,
      description:
        'The text part "params" (with "points", the six extreme voxels of a single structure, as [i, j, k]) and the mask as a file. The mask has the grid and the orientation of the volume; value n stands for the n-th label.',
      schema: object({ params: { type: 'string', contentMediaType: JSON_TYPE }, file: binary }, ['params', 'file']),
    },
    { type: BINARY_TYPE, description: 'The mask file alone, with output=image.', schema: binary },
  ],
  errors: [400, 404, 413, 440, 503, 504, 507],
} as const satisfies Omit<Endpoint, 'path' | 'summary'>;

export const AIAA_ENDPOINTS = {
  listModels: {
    ...AIAA,
    method: 'GET',
    path: '/v1/models',
    summary: 'The models that can be asked for.',
    parameters: [
      { name: 'model', in: 'query', description: 'Only this one, as a single object.' },
      { name: 'label', in: 'query', description: 'Only models with this label.' },
      { name: 'type', in: 'query', description: 'Only models of this type, such as "segmentation".' },
    ],
    answers: [
      {
        type: JSON_TYPE,
        description: 'Array of {name, type, labels, description, version}; one object with "model".',
        schema: { oneOf: [list(named('Model')), named('Model')] },
      },
    ],
    errors: [404],
  },
  segmentation: { ...SEGMENTATION, path: '/v1/segmentation', summary: 'Segments a volume.' },
  inference: { ...SEGMENTATION, path: '/v1/inference', summary: 'The same, as 3D Slicer asks for it.' },
  openSession: {
    ...AIAA,
    method: 'PUT',
    path: '/session/',
    summary: 'Keeps a volume, so that several requests need one upload.',
    parameters: [
      {
        name: 'expiry',
        in: 'query',
        schema: { type: 'integer', minimum: 0 },
        description: 'Seconds that it is kept after its last use; 0 for the longest that the server allows.',
      },
      { name: 'save_as', in: 'query', description: 'Extension that the volume has, such as ".nii".' },
      {
        name: 'image',
        in: 'file',
        description: 'The volume. MONAI Label clients send it as "files" and are answered in their own shape.',
      },
    ],
    answers: [
      { type: JSON_TYPE, description: 'With "session_id".', schema: object({ session_id: text }, ['session_id']) },
    ],
    errors: [400, 413, 503, 507],
  },
  showSession: {
    ...AIAA,
    method: 'GET',
    path: '/session/{id}',
    summary: 'What is known of a session, or its volume.',
    parameters: [
      SESSION,
      { name: 'image', in: 'query', schema: flag, description: '"true" downloads the volume.' },
      {
        name: 'update_ts',
        in: 'query',
        schema: flag,
        description: '"true" counts as a use and prolongs the session.',
      },
    ],
    answers: [
      {
        type: JSON_TYPE,
        description: '{name, path, create_ts, last_access_ts, expiry}; times are seconds since 1970.',
        schema: named('Session'),
      },
      { type: BINARY_TYPE, description: 'The volume, with image=true.', schema: binary },
    ],
    errors: [440],
  },
  closeSession: {
    ...AIAA,
    method: 'DELETE',
    path: '/session/{id}',
    summary: 'Deletes a session and its volume.',
    parameters: [SESSION],
    answers: [{ type: JSON_TYPE, description: 'The volume is gone.', schema: object({ success: flag }) }],
    errors: [440],
  },
  dextr3d: {
    ...SEGMENTATION,
    path: '/v1/dextr3d',
    summary: 'Segments from extreme points: "params" has "points", six or more [i, j, k].',
  },
  deepgrow: {
    ...SEGMENTATION,
    path: '/v1/deepgrow',
    summary: 'Segments from clicks: "params" has "foreground", "background" and "current_point".',
  },
  mask2polygon: {
    ...AIAA,
    method: 'POST',
    path: '/v1/mask2polygon',
    summary: 'Polygons round what is in a mask.',
    parameters: [
      {
        name: 'params',
        in: 'form',
        schema: { type: 'string', contentMediaType: JSON_TYPE, default: '{}' },
        description: 'JSON object; more_points: pixels of an outline from one vertex to the next, at most (10).',
      },
      { name: 'datapoint', in: 'file', description: 'The mask: everything that is not 0 counts.' },
    ],
    answers: [
      {
        type: JSON_TYPE,
        description: 'Of each slice its polygons, of each polygon its vertices [x, y], as image indices.',
        schema: list(list(list(list({ type: 'number' })))),
      },
    ],
    errors: [400, 413, 503, 507],
  },
  fixpolygon: {
    ...AIAA,
    method: 'POST',
    path: '/v1/fixpolygon',
    summary: 'Moves a vertex of polygons, and what is near along with it.',
    parameters: [
      {
        name: 'params',
        in: 'form',
        schema: { type: 'string', contentMediaType: JSON_TYPE },
        description:
          'JSON object {poly, vertex_offset, dimension, polygon_index, vertex_index, propagate_neighbor}; in three dimensions also slice_index and propagate_neighbor_3d.',
      },
      { name: 'datapoint', in: 'file', description: 'The image: a PNG picture of a slice, or the volume.' },
    ],
    answers: [
      {
        type: FORM_TYPE,
        description: 'The text part "params" with the polygons as "poly", and the mask that they enclose as a file.',
        schema: object({ params: { type: 'string', contentMediaType: JSON_TYPE }, file: binary }, ['params', 'file']),
      },
    ],
    errors: [400, 413, 503, 507],
  },
} as const satisfies Readonly<Record<string, Endpoint>>;
