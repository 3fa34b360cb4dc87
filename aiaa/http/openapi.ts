import { z } from 'zod';
import { modelEntrySchema } from '../registry/model-entry';
import { sessionSchema } from '../sessions/session-store';
import { ADMIN_ENDPOINTS } from './openapi-admin';
import { AIAA_ENDPOINTS } from './openapi-aiaa';
import {
  type Endpoint,
  FORM_TYPE,
  JSON_TYPE,
  named,
  type Parameter,
  type Schema,
  STATUS_MEANINGS,
  text,
} from './openapi-endpoint';
import { MONAI_LABEL_ENDPOINTS } from './openapi-monai-label';
import { ERROR_SCHEMA, SERVER_ENDPOINTS } from './openapi-server';

/** Everything that this server answers; routes, page and OpenAPI document are made from it. */
export const ENDPOINTS = {
  ...AIAA_ENDPOINTS,
  ...MONAI_LABEL_ENDPOINTS,
  ...SERVER_ENDPOINTS,
  ...ADMIN_ENDPOINTS,
} as const;

export type OperationId = keyof typeof ENDPOINTS;

export interface DocumentFacts {
  /** The server's address as the reader sees it, ending in a slash. */
  readonly address: string;
  /** Whether operators' endpoints are told: not below a secret prefix, where they are not answered. */
  readonly operators: boolean;
}

/** The endpoints that a reader can reach, in the order of the table. */
export function endpointsFor(operators: boolean): readonly (readonly [OperationId, Endpoint])[] {
  const all = Object.entries(ENDPOINTS) as [OperationId, Endpoint][];
  return operators ? all : all.filter(([, { audience }]) => audience !== 'operator');
}

/** The API as an OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.0). */
export function openApiDocument({ address, operators }: DocumentFacts): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const [id, endpoint] of endpointsFor(operators)) {
    paths[endpoint.path] = { ...paths[endpoint.path], [endpoint.method.toLowerCase()]: operationOf(id, endpoint) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Annotation server',
      version: '1',
      description:
        'Send a CT volume, get back a mask on the same grid: the AI-Assisted Annotation (AIAA) API of 3D Slicer, MITK and OHIF. Paths are answered with and without a slash at the end.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: address }],
    paths,
    components: { schemas: { Model: modelSchema(), Session: jsonSchemaOf(sessionSchema), Error: ERROR_SCHEMA } },
  };
}

function operationOf(operationId: OperationId, endpoint: Endpoint): object {
  const { tag, summary, parameters = [], json, answers, errors, errorSchema = named('Error') } = endpoint;
  const inUrl = parameters.filter((one) => one.in === 'path' || one.in === 'query');
  const body = bodyOf(parameters, json);
  return {
    operationId,
    tags: [tag],
    summary,
    ...(inUrl.length > 0 && { parameters: inUrl.map(parameterOf) }),
    ...(body && { requestBody: { content: body } }),
    responses: {
      ...(answers.length > 0 && {
        200: {
          description: answers.map(({ description }) => description).join(' Or: '),
          content: Object.fromEntries(answers.map(({ type, schema }) => [type, schema ? { schema } : {}])),
        },
      }),
      ...Object.fromEntries(
        errors.map((status) => [
          status,
          {
            description: STATUS_MEANINGS[status],
            ...(status === 503 && { headers: { 'Retry-After': { schema: { type: 'integer' } } } }),
            content: { [JSON_TYPE]: { schema: errorSchema } },
          },
        ]),
      ),
    },
  };
}

function parameterOf({ name, in: where, description, schema = text, required = where === 'path' }: Parameter): object {
  return { name, in: where, description, required, schema };
}

function bodyOf(parameters: readonly Parameter[], json?: Schema): object | undefined {
  if (json !== undefined) return { [JSON_TYPE]: { schema: json } };
  const fields = parameters.filter((one) => one.in === 'form' || one.in === 'file');
  if (fields.length === 0) return undefined;
  const properties = Object.fromEntries(
    fields.map(({ name, in: where, description, schema }) => [
      name,
      // A file has no type in OpenAPI 3.1: its bytes are no JSON.
      where === 'file' ? { description } : { ...(schema ?? text), description },
    ]),
  );
  const required = fields.filter((one) => one.required).map(({ name }) => name);
  return { [FORM_TYPE]: { schema: { type: 'object', properties, ...(required.length > 0 && { required }) } } };
}

function modelSchema(): Schema {
  return jsonSchemaOf(
    modelEntrySchema.pick({ name: true, type: true, labels: true, description: true, version: true }),
  );
}

function jsonSchemaOf(schema: z.ZodType): Schema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema) as Record<string, unknown>;
  return rest;
}
