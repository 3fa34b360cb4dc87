import path from 'node:path';
import { ClaraError, showValue } from '../../base/errors';
import { isKeySegment } from './object-key';

/** Where a coordinator's store is: a folder, or a bucket with a prefix. */
export type StoreAddress = { readonly kind: 'directory'; readonly root: string } | S3Address;

export interface S3Address {
  readonly kind: 's3';
  readonly bucket: string;
  /** Segments joined by `/`; empty when the whole bucket is the store. */
  readonly prefix: string;
  /** Of a server other than AWS. */
  readonly endpoint?: string | undefined;
  /** Objects are encrypted with this KMS key; without one as the bucket says. */
  readonly kmsKeyId?: string | undefined;
}

/** Where a coordinator keeps its store when nothing else is said. */
export function storeInWorkspace(workspace: string): StoreAddress & { readonly kind: 'directory' } {
  return { kind: 'directory', root: path.join(workspace, 'store') };
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
/** With the longest key of the store it stays below the 1024 bytes of S3. */
const MAX_PREFIX_LENGTH = 100;

/**
 * Reads `s3://BUCKET/PREFIX`.
 * @throws ClaraError `invalid-input`, naming all that is wrong
 */
export function parseS3Address(
  text: string,
  { endpoint, kmsKeyId }: { readonly endpoint?: string | undefined; readonly kmsKeyId?: string | undefined } = {},
): S3Address {
  const [, bucket = '', prefix = ''] = /^s3:\/\/([^/]*)(?:\/(.*?))?\/?$/s.exec(text) ?? [];
  const faults = [];
  if (!BUCKET.test(bucket)) {
    faults.push({ path: 'store', value: showValue(text), rule: 'must be s3://BUCKET or s3://BUCKET/PREFIX' });
  } else if (prefix.length > MAX_PREFIX_LENGTH || (prefix !== '' && !prefix.split('/').every(isKeySegment))) {
    const rule = `its prefix must be segments of a-z, A-Z, 0-9, "_", "-" and "." (not first), joined by "/" to at most ${MAX_PREFIX_LENGTH} characters`;
    faults.push({ path: 'store', value: showValue(prefix), rule });
  }
  if (endpoint !== undefined && !isSafeEndpoint(endpoint)) {
    const rule =
      'must be an https:// address; http:// is for this machine only, since journals and models travel there';
    faults.push({ path: 'store-endpoint', value: showValue(endpoint), rule });
  }
  if (kmsKeyId !== undefined && !/^[A-Za-z0-9:/_-]{1,2048}$/.test(kmsKeyId)) {
    const rule = 'must be the ID, the alias or the ARN of a KMS key';
    faults.push({ path: 'store-kms-key', value: showValue(kmsKeyId), rule });
  }
  if (faults.length > 0) throw ClaraError.ofFaults('the address of the store', faults);
  return { kind: 's3', bucket, prefix, endpoint, kmsKeyId };
}

function isSafeEndpoint(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password } = new URL(text);
  if (username || password) return false;
  return protocol === 'https:' || (protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(hostname));
}
