import { Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js';
import { z } from 'zod';
import { ClaraError, ERROR_CODES, type ErrorCode, type Fault } from '../base/errors';

/**
 * The error family on the wire: the sentence is the status message, code and faults travel in the trailing metadata
 * {@link ERROR_METADATA}, so that a client shows exactly what the server said.
 * Source of the status codes: https://grpc.io/docs/guides/status-codes/
 */
export const ERROR_METADATA = 'clara-error-bin';

/** Trailers are HTTP/2 headers: they stay far below the 64 KiB that peers accept, after base64 and percent-encoding. */
const MAX_SENTENCE = 4000;
const MAX_DETAILS_BYTES = 8192;

const STATUS_OF: Readonly<Record<ErrorCode, status>> = {
  'invalid-input': status.INVALID_ARGUMENT,
  'not-found': status.NOT_FOUND,
  'already-exists': status.ALREADY_EXISTS,
  'precondition-failed': status.FAILED_PRECONDITION,
  'permission-denied': status.PERMISSION_DENIED,
  unauthenticated: status.UNAUTHENTICATED,
  corrupt: status.DATA_LOSS,
  'out-of-space': status.RESOURCE_EXHAUSTED,
  'resource-exhausted': status.RESOURCE_EXHAUSTED,
  unavailable: status.UNAVAILABLE,
  'deadline-exceeded': status.DEADLINE_EXCEEDED,
  cancelled: status.CANCELLED,
  unsupported: status.UNIMPLEMENTED,
  'trainer-failed': status.ABORTED,
  internal: status.INTERNAL,
};

/** For statuses that gRPC itself produced. Each status not named here is `internal`. */
const CODE_OF: ReadonlyMap<status, ErrorCode> = new Map([
  [status.INVALID_ARGUMENT, 'invalid-input'],
  [status.OUT_OF_RANGE, 'invalid-input'],
  [status.NOT_FOUND, 'not-found'],
  [status.ALREADY_EXISTS, 'already-exists'],
  [status.FAILED_PRECONDITION, 'precondition-failed'],
  [status.PERMISSION_DENIED, 'permission-denied'],
  [status.UNAUTHENTICATED, 'unauthenticated'],
  [status.DATA_LOSS, 'corrupt'],
  [status.RESOURCE_EXHAUSTED, 'resource-exhausted'],
  [status.UNAVAILABLE, 'unavailable'],
  [status.DEADLINE_EXCEEDED, 'deadline-exceeded'],
  [status.CANCELLED, 'cancelled'],
  [status.UNIMPLEMENTED, 'unsupported'],
  [status.ABORTED, 'unavailable'],
]);

const detailsSchema = z.object({
  code: z.enum(ERROR_CODES),
  faults: z
    .array(z.object({ path: z.string(), value: z.string().optional(), rule: z.string() }))
    .max(1000)
    .default([]),
});

/**
 * What a server answers for anything thrown. A member of the family keeps its sentence; of anything else only the code
 * leaves the process, since its message may name files or addresses of the server.
 */
export function toServiceError(thrown: unknown): Pick<StatusObject, 'code' | 'details' | 'metadata'> {
  const error = ClaraError.from(thrown);
  const metadata = new Metadata();
  metadata.set(ERROR_METADATA, detailsOf(error));
  const sentence =
    error === thrown ? error.message : `the coordinator could not do this (${error.code}); its log says why`;
  return { code: STATUS_OF[error.code], details: shorten(sentence), metadata };
}

/**
 * What a client throws for a failed call.
 * @param peer names the other end in sentences about the connection itself, e.g. `coordinator fed.example.org:8443`
 */
export function fromServiceError(thrown: unknown, peer = 'coordinator'): ClaraError {
  if (!isServiceError(thrown)) return ClaraError.from(thrown);
  const details = parseDetails(thrown);
  if (details) return new ClaraError(details.code, thrown.details, { cause: thrown, faults: details.faults });
  const code = CODE_OF.get(thrown.code) ?? 'internal';
  return new ClaraError(code, ownSentence(code, thrown.details, peer), { cause: thrown });
}

/** True for the failure of a call that found no connection, so that nothing of it was sent. */
export function neverConnected({ cause }: ClaraError): boolean {
  return isServiceError(cause) && cause.details.startsWith('No connection established');
}

/** True for a failure that the other end has answered with, and not for one of the way there. */
export function isAnswer({ cause }: ClaraError): boolean {
  return isServiceError(cause) && parseDetails(cause) !== undefined;
}

function ownSentence(code: ErrorCode, details: string, peer: string): string {
  if (code === 'unavailable') return `${peer} cannot be reached: ${reasonOf(details)}`;
  if (code === 'deadline-exceeded') return `${peer} did not answer in time`;
  if (code === 'cancelled') return `the call to ${peer} was cancelled`;
  return `${peer}: ${details || code}`;
}

/** What OpenSSL and grpc-js say while a connection is made, and what that means to people. */
const CONNECTION_REASONS: readonly (readonly [RegExp, string])[] = [
  [
    /alert (certificate|unknown ca|bad certificate)|alert number (42|44|45|46|48|116)/i,
    'it does not accept our certificate; look whether that has ended, or is of another federation',
  ],
  [
    /local issuer|self-signed|first certificate|signature failure/i,
    'its certificate is not signed by a root that we know; look whether the address or roots.pem is of another federation',
  ],
  [/altnames/i, 'its certificate is for other host names; dial it by one of those'],
  [
    /Failed to connect|ECONNRESET/,
    'it closed the connection; it may not accept our certificate (ended, or of another federation), or be stopping',
  ],
];

function reasonOf(details: string): string {
  const known = CONNECTION_REASONS.find(([pattern]) => pattern.test(details));
  const [, last] = /Last error: (?:Error: )?(.*?)(?: \(\d{4}-\d\d-[^)]*\))?\. Resolution note/s.exec(details) ?? [];
  return known?.[1] ?? (last?.trim() || details.trim() || 'the connection was lost');
}

function isServiceError(thrown: unknown): thrown is ServiceError {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'number' && 'details' in thrown;
}

function parseDetails(error: ServiceError): z.output<typeof detailsSchema> | undefined {
  const [value] = error.metadata?.get(ERROR_METADATA) ?? [];
  if (!Buffer.isBuffer(value) || value.length > MAX_DETAILS_BYTES) return undefined;
  try {
    return detailsSchema.parse(JSON.parse(value.toString('utf8')));
  } catch {
    return undefined; // an older or foreign peer: its status still says enough
  }
}

/** As many faults as fit; the last one then counts those that did not. */
function detailsOf(error: ClaraError): Buffer {
  const render = (kept: readonly Fault[]): Buffer => {
    const left = error.faults.length - kept.length;
    const faults = left === 0 ? kept : [...kept, { path: '', rule: `and ${left} more faults` }];
    return Buffer.from(JSON.stringify({ code: error.code, faults }));
  };
  let kept = error.faults.slice(0, 500);
  let bytes = render(kept);
  while (bytes.length > MAX_DETAILS_BYTES) {
    kept = kept.slice(0, Math.floor(kept.length / 2));
    bytes = render(kept);
  }
  return bytes;
}

function shorten(text: string): string {
  return text.length <= MAX_SENTENCE ? text : `${text.slice(0, MAX_SENTENCE - 3)}...`;
}
