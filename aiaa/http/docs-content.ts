export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly summary: string;
  /** Name, where it is sent, meaning. */
  readonly parameters: readonly (readonly [name: string, where: string, meaning: string])[];
  readonly answer: string;
}

const SEGMENTATION: Omit<Endpoint, 'path' | 'summary'> = {
  method: 'POST',
  parameters: [
    ['model', 'query', 'Name of the model.'],
    ['session_id', 'query', 'Take the volume of this session; then no file is sent.'],
    ['output', 'query', '"image" answers with the mask file alone.'],
    [
      'params',
      'form',
      'JSON object; optional result_extension (".nii.gz" or ".nii"), result_dtype (such as "uint16"), result_compress.',
    ],
    ['datapoint', 'form', 'The volume, as a file. The names image and file are taken too.'],
  ],
  answer:
    'multipart/form-data: the text part "params" (with "points", the six extreme voxels of a single structure, as [i, j, k]) and the mask as a file. The mask has the grid and the orientation of the volume; value n stands for the n-th label.',
};

/** What this server offers, for its API page. */
export const ENDPOINTS: readonly Endpoint[] = [
  {
    method: 'GET',
    path: '/v1/models',
    summary: 'The models that can be asked for.',
    parameters: [
      ['model', 'query', 'Only this one, as a single object.'],
      ['label', 'query', 'Only models with this label.'],
      ['type', 'query', 'Only models of this type, such as "segmentation".'],
    ],
    answer: 'JSON array of {name, type, labels, description, version}.',
  },
  { ...SEGMENTATION, path: '/v1/segmentation', summary: 'Segments a volume.' },
  { ...SEGMENTATION, path: '/v1/inference', summary: 'The same, as 3D Slicer asks for it.' },
  {
    method: 'PUT',
    path: '/session/',
    summary: 'Keeps a volume, so that several requests need one upload.',
    parameters: [
      ['expiry', 'query', 'Seconds that it is kept after its last use; 0 for the longest that the server allows.'],
      ['image', 'form', 'The volume, as a file.'],
    ],
    answer: 'JSON with "session_id".',
  },
  {
    method: 'GET',
    path: '/session/{session_id}',
    summary: 'What is known of a session, or its volume.',
    parameters: [
      ['image', 'query', '"true" downloads the volume.'],
      ['update_ts', 'query', '"true" counts as a use and prolongs the session.'],
    ],
    answer: 'JSON {name, path, create_ts, last_access_ts, expiry}, or the file.',
  },
  {
    method: 'DELETE',
    path: '/session/{session_id}',
    summary: 'Deletes a session and its volume.',
    parameters: [],
    answer: '200 when it is gone.',
  },
  {
    method: 'GET',
    path: '/health',
    summary: 'Segments a tiny volume with the newest model, at most once in some seconds.',
    parameters: [],
    answer: '200 when that works, 503 when it does not; JSON with a sentence.',
  },
];

export const ERROR_ROWS: readonly (readonly [status: number, meaning: string])[] = [
  [400, 'Something in the request is wrong; the sentence says what.'],
  [404, 'There is no such model or address.'],
  [413, 'The volume is too large.'],
  [440, 'The session has expired; send the volume again.'],
  [501, 'This server does not offer that endpoint.'],
  [503, 'The server is busy; Retry-After says when to try again.'],
  [504, 'The segmentation took too long.'],
];
