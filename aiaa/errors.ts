import { ClaraError, type ErrorCode } from '../base/errors';
import { showBytes } from '../base/show-bytes';

/**
 * An error whose HTTP status is part of the AIAA contract and does not follow from its code alone. Everything else is a plain
 * {@link ClaraError}, whose status is looked up in {@link statusOf}.
 */
export class AiaaError extends ClaraError {
  readonly status: number;
  /** Seconds for the Retry-After header (RFC 9110, section 10.2.3). */
  readonly retryAfterSeconds?: number;
  /** Methods for the Allow header (RFC 9110, section 10.2.1). */
  readonly allow?: string;

  constructor(
    code: ErrorCode,
    status: number,
    message: string,
    options: { readonly retryAfterSeconds?: number; readonly allow?: string } = {},
  ) {
    super(code, message);
    this.name = 'AiaaError';
    this.status = status;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.allow = options.allow;
  }
}

/** 440 is what the clients understand as "open a new session"; with any other status they keep the stale id. */
export function sessionGone(): AiaaError {
  return new AiaaError('not-found', 440, 'The session does not exist or has expired; send the volume again.');
}

export function uploadTooLarge(limitBytes: number): AiaaError {
  return new AiaaError(
    'resource-exhausted',
    413,
    `The upload is larger than the ${showBytes(limitBytes)} that this server accepts; crop the volume or compress it (.nii.gz).`,
  );
}

export function modelTooLarge(what: string, limitBytes: number): AiaaError {
  return new AiaaError(
    'resource-exhausted',
    413,
    `${what} is larger than the ${showBytes(limitBytes)} that this server accepts; send a smaller one.`,
  );
}

export function queueFull(waiting: number, retryAfterSeconds: number): AiaaError {
  return new AiaaError(
    'resource-exhausted',
    503,
    `The server is busy: ${waiting} segmentations are already waiting; try again in about ${retryAfterSeconds} s.`,
    { retryAfterSeconds },
  );
}

export function shuttingDown(): AiaaError {
  return new AiaaError('unavailable', 503, 'The server is shutting down; try again in a minute.', {
    retryAfterSeconds: 60,
  });
}

export function sessionsFull(kept: string, retryAfterSeconds: number): AiaaError {
  return new AiaaError(
    'resource-exhausted',
    503,
    `The server keeps no more sessions (${kept}); close one, or send the volume with each request until one has expired.`,
    { retryAfterSeconds },
  );
}

export function datastoreFull(kept: string): AiaaError {
  return new AiaaError('out-of-space', 507, `The datastore keeps no more (${kept}); delete images that are labelled.`);
}

export function notOffered(endpoint: string, instead: string): AiaaError {
  return new AiaaError('unsupported', 501, `${endpoint} is not offered by this server; ${instead}.`);
}

const STATUS: Readonly<Record<ErrorCode, number>> = {
  'invalid-input': 400,
  corrupt: 400,
  unsupported: 400,
  unauthenticated: 401,
  'permission-denied': 403,
  'not-found': 404,
  'already-exists': 409,
  'precondition-failed': 412,
  'resource-exhausted': 503,
  unavailable: 503,
  'deadline-exceeded': 504,
  'out-of-space': 507,
  cancelled: 499, // nobody reads it: the client has left
  'trainer-failed': 500,
  internal: 500,
};

/** The HTTP status that an error becomes. */
export function statusOf(error: ClaraError): number {
  return error instanceof AiaaError ? error.status : STATUS[error.code];
}
