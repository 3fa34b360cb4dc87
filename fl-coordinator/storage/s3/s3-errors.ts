import { ClaraError, type ErrorCode } from '../../../base/errors';
import { systemCode } from '../../../base/system-codes';

/** What S3 answers, in terms of the store. Names: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html */

export interface S3Fault {
  readonly code: ErrorCode;
  /** What it means and what to do; absent where S3's own words are all there is to say. */
  readonly why?: string;
  /** True when the same request may succeed a moment later. */
  readonly passing: boolean;
}

const fault = (code: ErrorCode, why?: string): S3Fault => ({ code, ...(why ? { why } : {}), passing: false });
const passing = (code: ErrorCode, why?: string): S3Fault => ({ ...fault(code, why), passing: true });

const NO_ACCESS = 'S3 refuses access; give these credentials the permissions that docs/operations.md lists';
const BAD_CREDENTIALS = 'S3 does not accept the credentials; check what the default credential chain finds';
const BUSY = 'S3 is busy or cannot be reached; try again';

const BY_NAME: Readonly<Record<string, S3Fault>> = {
  NoSuchKey: fault('not-found'),
  NotFound: fault('not-found'),
  NoSuchVersion: fault('not-found'),
  NoSuchUpload: fault('precondition-failed', 'the multipart upload was ended by somebody else'),
  InvalidPart: fault('precondition-failed', 'a part of the multipart upload was changed by somebody else'),
  NoSuchBucket: fault('invalid-input', 'the bucket does not exist; make it, or correct the address of the store'),
  InvalidBucketName: fault('invalid-input', 'this is no name of a bucket; correct the address of the store'),
  PreconditionFailed: fault('precondition-failed'),
  InvalidRange: fault('invalid-input'),
  EntityTooLarge: fault('invalid-input', 'the object is larger than S3 takes'),
  ConditionalRequestConflict: passing('unavailable', 'another write of the same key is going on; try again'),
  OperationAborted: passing('unavailable', 'another change of the same key is going on; try again'),
  // Bytes that were damaged on the way: S3 has stored nothing.
  BadDigest: passing('corrupt', 'what arrived at S3 is not what was sent'),
  XAmzContentChecksumMismatch: passing('corrupt', 'what arrived at S3 is not what was sent'),
  XAmzContentSHA256Mismatch: passing('corrupt', 'what arrived at S3 is not what was sent'),
  IncompleteBody: passing('unavailable', BUSY),
  RequestTimeout: passing('unavailable', BUSY),
  RequestTimeTooSkewed: passing('unavailable', 'the clock of this machine is wrong; set it'),
  AccessDenied: fault('permission-denied', NO_ACCESS),
  AllAccessDisabled: fault('permission-denied', NO_ACCESS),
  InvalidAccessKeyId: fault('permission-denied', BAD_CREDENTIALS),
  SignatureDoesNotMatch: fault('permission-denied', BAD_CREDENTIALS),
  InvalidToken: fault('permission-denied', BAD_CREDENTIALS),
  // The chain fetches new ones, so that a later attempt may have them.
  ExpiredToken: passing('permission-denied', BAD_CREDENTIALS),
  CredentialsProviderError: fault('permission-denied', 'no AWS credentials were found; give some to this process'),
  QuotaExceeded: fault('out-of-space', 'the quota of the store is used up; make room'),
  InsufficientStorage: fault('out-of-space', 'the store is full; make room'),
  XMinioStorageFull: fault('out-of-space', 'the store is full; make room'),
  NotImplemented: fault('unsupported', 'this server lacks what the store needs; use another one'),
  TimeoutError: passing('unavailable', BUSY),
};

const BY_STATUS: Readonly<Record<number, S3Fault>> = {
  401: fault('permission-denied', BAD_CREDENTIALS),
  403: fault('permission-denied', NO_ACCESS),
  404: fault('not-found'),
  408: passing('unavailable', BUSY),
  409: passing('unavailable', BUSY),
  412: fault('precondition-failed'),
  416: fault('invalid-input'),
  429: passing('unavailable', BUSY),
  501: fault('unsupported', 'this server lacks what the store needs; use another one'),
  507: fault('out-of-space', 'the store is full; make room'),
};

const BY_SYSTEM: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ERR_STREAM_PREMATURE_CLOSE',
]);

export function s3FaultOf(thrown: unknown): S3Fault {
  if (thrown instanceof ClaraError) return fault(thrown.code);
  if (!(thrown instanceof Error)) return fault('internal');
  const byName = BY_NAME[thrown.name];
  if (byName) return byName;
  if (/^KMS\./.test(thrown.name)) return fault('permission-denied', 'the KMS key cannot be used; check key and policy');
  if (/checksum mismatch/i.test(thrown.message)) return passing('corrupt', 'what arrived is not what S3 has stored');
  if (/region is missing/i.test(thrown.message)) {
    return fault('invalid-input', 'no AWS region is known; set AWS_REGION or the region of the profile');
  }
  const status = statusOf(thrown);
  // Without a status the answer never came, or was cut before it could be understood.
  if (BY_SYSTEM.has(systemCode(thrown) ?? '') || (status !== undefined && status < 300))
    return passing('unavailable', BUSY);
  if (status === undefined) return fault(ClaraError.from(thrown).code);
  return BY_STATUS[status] ?? (status >= 500 ? passing('unavailable', BUSY) : fault('invalid-input'));
}

/** Turns anything thrown while working on `what` into a ClaraError that says so. */
export function s3Error(thrown: unknown, what: string): ClaraError {
  if (thrown instanceof ClaraError) return thrown;
  const { code, why } = s3FaultOf(thrown);
  const said =
    thrown instanceof Error ? [thrown.name, thrown.message].filter((text) => text && text !== 'Error') : [thrown];
  return new ClaraError(code, `${what}: ${why ? `${why} (${said.join(': ')})` : said.join(': ')}`, { cause: thrown });
}

function statusOf(thrown: Error): number | undefined {
  const { $metadata } = thrown as { $metadata?: { httpStatusCode?: number } };
  return $metadata?.httpStatusCode;
}
