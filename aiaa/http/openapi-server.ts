import { type Endpoint, JSON_TYPE, list, number, object, text } from './openapi-endpoint';

/** The endpoints of the server itself: its documentation, health, figures and log. */

const SERVER = { tag: 'Server', audience: 'anyone', method: 'GET' } as const;
const PAGE = {
  type: 'text/html',
  description: 'One document that fetches nothing from anywhere else.',
} as const;

const READY = {
  type: JSON_TYPE,
  description: 'It works.',
  schema: object({ status: { enum: ['ok', 'failing'] }, detail: text, models: number, waiting: number }, [
    'status',
    'detail',
  ]),
} as const;

export const SERVER_ENDPOINTS = {
  frontPage: { ...SERVER, path: '/', audience: 'client', summary: 'This page.', answers: [PAGE], errors: [] },
  docs: { ...SERVER, path: '/docs/', audience: 'client', summary: 'This page.', answers: [PAGE], errors: [] },
  openApi: {
    ...SERVER,
    path: '/openapi.json',
    audience: 'client',
    summary: 'This API as an OpenAPI 3.1 document.',
    answers: [{ type: JSON_TYPE, description: 'For programs that make clients or forms out of it.' }],
    errors: [],
  },
  health: {
    ...SERVER,
    path: '/health',
    summary: 'The same as /health/ready.',
    answers: [READY],
    errors: [503],
    errorSchema: READY.schema,
  },
  healthLive: {
    ...SERVER,
    path: '/health/live',
    summary: 'The process answers. Costs nothing; a restart is due when it fails.',
    answers: [{ ...READY, description: 'It lives.', schema: object({ status: text, seconds: number }, ['status']) }],
    errors: [],
  },
  healthReady: {
    ...SERVER,
    path: '/health/ready',
    summary:
      'Segments a tiny volume with the newest model, at most once in some seconds; while radiologists keep every process busy, that is the sign of life.',
    answers: [READY],
    errors: [503],
    errorSchema: READY.schema,
  },
  metrics: {
    ...SERVER,
    path: '/metrics',
    audience: 'operator',
    summary: 'Figures for Prometheus.',
    answers: [{ type: 'text/plain', description: 'The Prometheus text format, version 0.0.4.' }],
    errors: [401, 403],
  },
  logs: {
    ...SERVER,
    path: '/logs/',
    audience: 'operator',
    summary: 'The newest lines of the log. They name no file, no patient and no query.',
    parameters: [
      {
        name: 'lines',
        in: 'query',
        schema: { type: 'integer', minimum: 1, default: 300 },
        description: 'How many, at most.',
      },
    ],
    answers: [{ type: 'text/plain', description: 'One JSON object a line, newest last.' }],
    errors: [400, 401, 403],
  },
} as const satisfies Readonly<Record<string, Endpoint>>;

export const ERROR_SCHEMA = object(
  {
    success: { const: false },
    error: object({ type: text, message: { ...list(text), minItems: 1, maxItems: 1 } }, ['type', 'message']),
  },
  ['success', 'error'],
);
