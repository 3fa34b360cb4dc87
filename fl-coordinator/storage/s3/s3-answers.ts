import type { CompletedPart, GetObjectCommandOutput, HeadObjectCommandOutput } from '@aws-sdk/client-s3';
import { ClaraError } from '../../../base/errors';
import type { ObjectInfo } from '../object-store';

/** What S3 is asked and what it answers, in terms of the store. */

/** `If-None-Match: *` or `If-Match: <etag>`. */
export type WriteCondition = { readonly IfNoneMatch: '*' } | { readonly IfMatch: string };

export interface Found extends ObjectInfo {
  /** Only in a bucket that keeps versions. */
  readonly version?: string;
  readonly writeId?: string | undefined;
}

/** Which of several contents of one key is meant: a version where there are versions, else an etag. */
export type Pinned = Pick<Found, 'etag' | 'version'>;

/**
 * Each object carries the identity of the write that made it, so that a write whose answer was lost can be told from
 * somebody else's, even one of the same bytes.
 */
export const WRITE_ID = 'clara-write-id';

/** Ends an answer whose bytes nobody wants any more. */
export function dispose(body: NonNullable<GetObjectCommandOutput['Body']>): void {
  const stream = body as { destroy?: () => void; once?: (event: 'error', heard: () => void) => void };
  stream.once?.('error', () => undefined);
  stream.destroy?.();
}

export function completed(
  number: number,
  { ETag, ChecksumCRC32 }: { ETag?: string; ChecksumCRC32?: string },
): CompletedPart {
  return { PartNumber: number, ETag, ...(ChecksumCRC32 ? { ChecksumCRC32 } : {}) };
}

export function foundIn(answer: HeadObjectCommandOutput | GetObjectCommandOutput, size: number): Found {
  const { ETag, VersionId, Metadata } = answer;
  const hasVersions = VersionId !== undefined && VersionId !== 'null';
  return { size, etag: ETag!, ...(hasVersions ? { version: VersionId } : {}), writeId: Metadata?.[WRITE_ID] };
}

export function refused(name: string, condition: WriteCondition, cause: ClaraError): ClaraError {
  if ('IfNoneMatch' in condition) {
    return new ClaraError('precondition-failed', `${name} exists already; it was left as it is`, { cause });
  }
  const why = cause.code === 'not-found' ? 'is not there' : 'was changed by somebody else';
  return new ClaraError('precondition-failed', `${name} ${why}; read it again and decide anew`, { cause });
}
