import type { IncomingMessage } from 'node:http';
import { ClaraError } from '../../base/errors';
import { modelTooLarge } from '../errors';

const MAX_BYTES = 2 ** 20;

export function isForm({ headers }: IncomingMessage): boolean {
  return /^multipart\/form-data\b/i.test(headers['content-type'] ?? '');
}

/**
 * A JSON body, of whatever type the request says it is: clients say text/plain, and nothing at all.
 *
 * @param maxBytes @default 1 MiB
 * @returns undefined for an empty body
 * @throws ClaraError `invalid-input`, `resource-exhausted`, `cancelled`
 */
export async function receiveJson(incoming: IncomingMessage, maxBytes = MAX_BYTES): Promise<unknown> {
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += part.length;
      if (bytes > maxBytes) break;
      parts.push(part);
    }
  } catch (cause) {
    throw new ClaraError('cancelled', 'The client has left.', { cause });
  }
  if (bytes > maxBytes) throw modelTooLarge('The body', maxBytes);
  const text = Buffer.concat(parts).toString('utf8').trim();
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ClaraError('invalid-input', 'The body is not JSON; send a JSON object, a form (curl -F), or nothing.', {
      cause,
    });
  }
}
