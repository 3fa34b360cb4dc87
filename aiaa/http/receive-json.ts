import type { IncomingMessage } from 'node:http';
import { ClaraError } from '../../base/errors';

const MAX_BYTES = 2 ** 20;

/**
 * A JSON body, of whatever type the request says it is: clients say text/plain, and nothing at all.
 *
 * @returns undefined for an empty body
 * @throws ClaraError `invalid-input`
 */
export async function receiveJson(incoming: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of incoming) {
    bytes += (part as Buffer).length;
    if (bytes > MAX_BYTES) throw new ClaraError('invalid-input', `The body is larger than ${MAX_BYTES} bytes.`);
    parts.push(part as Buffer);
  }
  const text = Buffer.concat(parts).toString('utf8').trim();
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ClaraError('invalid-input', 'The body is not JSON; send a JSON object, or nothing.', { cause });
  }
}
