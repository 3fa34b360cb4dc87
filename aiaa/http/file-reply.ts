import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { AnnotationContext } from './context';

/**
 * Replies that carry a file. They go to the socket directly and always announce their length: the C++ and python clients read
 * a chunked or compressed reply as a corrupted mask without noticing.
 */

export interface FileReply {
  /** File to send. */
  readonly file: string;
  /** Name that the client is given. */
  readonly name: string;
}

/** How a multipart reply is labelled; each family of clients looks for its own. */
export interface PartNames {
  /** Name of the file's part. @default 'file' */
  readonly field?: string;
  /** Content type of the part `params`. @default none, which means plain text */
  readonly paramsType?: string;
}

const BINARY = 'application/octet-stream';

/** The file alone. */
export function sendFile(c: AnnotationContext, { file, name }: FileReply, type = BINARY): Promise<Response> {
  const headers = { 'content-type': type, 'content-disposition': `attachment; filename="${name}"` };
  return send(c, headers, file);
}

/**
 * One text part `params` without a file name, then one part with: that is how clients tell the two apart.
 *
 * @param params becomes a JSON object
 */
export function sendMultipart(
  c: AnnotationContext,
  params: object,
  { file, name }: FileReply,
  { field = 'file', paramsType }: PartNames = {},
): Promise<Response> {
  const boundary = `clara-${randomBytes(16).toString('hex')}`;
  const before = [
    `--${boundary}`,
    'Content-Disposition: form-data; name="params"',
    ...(paramsType === undefined ? [] : [`Content-Type: ${paramsType}`]),
    '',
    JSON.stringify(params),
    `--${boundary}`,
    `Content-Disposition: form-data; name="${field}"; filename="${name}"`,
    `Content-Type: ${BINARY}`,
    '',
    '',
  ].join('\r\n');
  const after = `\r\n--${boundary}--\r\n`;
  return send(c, { 'content-type': `multipart/form-data; boundary=${boundary}` }, file, before, after);
}

async function send(
  c: AnnotationContext,
  headers: Record<string, string>,
  file: string,
  before = '',
  after = '',
): Promise<Response> {
  const { outgoing } = c.env;
  const length = Buffer.byteLength(before) + (await stat(file)).size + Buffer.byteLength(after);
  outgoing.writeHead(200, {
    ...Object.fromEntries(c.res.headers), // what middleware (CORS) has set
    ...headers,
    'content-length': length,
    'cache-control': 'no-store, no-transform',
  });
  // The client may be slow, but it must take something: until the reply has gone, its files stay.
  outgoing.setTimeout(c.var.services.limits.replyStallMs, () => outgoing.destroy());
  async function* body(): AsyncGenerator<Buffer | string> {
    if (before !== '') yield before;
    yield* createReadStream(file);
    if (after !== '') yield after;
  }
  try {
    await pipeline(body, outgoing);
  } catch (error) {
    // The headers are out, so an error reply is not possible any more: a cut connection is the only honest sign.
    outgoing.destroy();
    if (!c.var.scope.signal.aborted) c.var.log.error({ err: error }, 'reply was cut');
  }
  return RESPONSE_ALREADY_SENT;
}
