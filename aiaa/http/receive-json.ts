import type { IncomingMessage } from 'node:http';
import { ClaraError } from '../../base/errors';
import { modelTooLarge } from '../errors';

export function isForm({ headers }: IncomingMessage): boolean {
  return /^multipart\/form-data\b/i.test(headers['content-type'] ?? '');
}

/** The body of a request as JSON. @throws ClaraError `invalid-input`, `resource-exhausted`, `cancelled` */
export async function receiveJson(incoming: IncomingMessage, maxBytes: number): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) break;
      chunks.push(chunk);
    }
  } catch (cause) {
    throw new ClaraError('cancelled', 'The client has left.', { cause });
  }
  if (bytes > maxBytes) throw modelTooLarge('The body', maxBytes);
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (cause) {
    throw new ClaraError('invalid-input', 'The body is not JSON; send JSON, or a form (curl -F).', { cause });
  }
}
