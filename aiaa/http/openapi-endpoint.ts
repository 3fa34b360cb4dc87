/** A JSON Schema (2020-12), as OpenAPI 3.1 takes it. */
export type Schema = Readonly<Record<string, unknown>>;

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** Who an endpoint is for: radiologists' programs; those who run the server; load balancers and people who look. */
export type Audience = 'client' | 'operator' | 'anyone';

export interface Parameter {
  readonly name: string;
  /** `form`: a text field of a multipart form; `file`: a file in it. */
  readonly in: 'path' | 'query' | 'form' | 'file';
  readonly description: string;
  /** @default a string */
  readonly schema?: Schema;
  /** @default false, but for what is in the path */
  readonly required?: boolean;
}

/** One form that a successful answer may take. */
export interface Answer {
  readonly type: string;
  readonly description: string;
  readonly schema?: Schema;
}

export interface Endpoint {
  readonly method: Method;
  /** With `{name}` for parameters of the path. */
  readonly path: string;
  readonly tag: string;
  readonly audience: Audience;
  readonly summary: string;
  readonly parameters?: readonly Parameter[];
  /** Of a JSON body, for endpoints that take one instead of a form. */
  readonly json?: Schema;
  readonly answers: readonly Answer[];
  /** Status codes other than 200, each explained in {@link STATUS_MEANINGS}. */
  readonly errors: readonly number[];
  /** Of the errors' bodies. @default the error object of this API */
  readonly errorSchema?: Schema;
}

/** What a status code means here, for people. */
export const STATUS_MEANINGS: Readonly<Record<number, string>> = {
  400: 'Something in the request is wrong; the sentence says what.',
  401: "The operators' token is missing or wrong.",
  403: 'This address may not administer the server.',
  404: 'There is no such model, image or address.',
  405: 'The address takes other methods; the header Allow lists them.',
  409: 'The name or version is taken.',
  412: 'That version is the one that is served; or the image was replaced meanwhile.',
  413: 'The volume is too large.',
  429: 'A fine-tuning runs already.',
  440: 'The session does not exist or has expired; send the volume again.',
  501: 'This server does not offer that endpoint.',
  503: 'The server is busy or shutting down; Retry-After says in how many seconds to try again.',
  504: 'The segmentation took too long and was stopped.',
  507: 'The server has no space left.',
};

export const JSON_TYPE = 'application/json';
export const BINARY_TYPE = 'application/octet-stream';
export const FORM_TYPE = 'multipart/form-data';

export const object = (properties: Readonly<Record<string, Schema>>, required: readonly string[] = []): Schema => ({
  type: 'object',
  properties,
  ...(required.length > 0 && { required }),
});
export const text: Schema = { type: 'string' };
export const number: Schema = { type: 'number' };
export const flag: Schema = { type: 'boolean' };
export const binary: Schema = { type: 'string', contentMediaType: BINARY_TYPE };
export const list = (items: Schema): Schema => ({ type: 'array', items });
/** Refers to a schema among the components of the document. */
export const named = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
