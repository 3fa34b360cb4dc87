import type { ClaraError } from '../../base/errors';
import { AiaaError, statusOf } from '../errors';

/**
 * Every error as the clients expect it: short JSON, which they show word for word to the radiologist. Never HTML.
 */
export function errorReply(error: ClaraError): Response {
  const headers: Record<string, string> = {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
  };
  if (error instanceof AiaaError && error.retryAfterSeconds !== undefined) {
    headers['retry-after'] = String(error.retryAfterSeconds);
  }
  if (error instanceof AiaaError && error.allow !== undefined) headers.allow = error.allow;
  return new Response(errorBody(error.code, error.message), { status: statusOf(error), headers });
}

export function errorBody(type: string, message: string): string {
  return JSON.stringify({ success: false, error: { type, message: [message] } });
}
