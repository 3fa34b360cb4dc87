import { ClaraError, showValue } from '../base/errors';
import { S3Bucket } from '../fl-coordinator/storage/s3/s3-bucket';
import { streamObject } from '../fl-coordinator/storage/s3/s3-reader';
import { parseS3Address } from '../fl-coordinator/storage/store-address';
import type { RemoteObject } from '../fl-site/prepare/fetch-file';

/** `s3://BUCKET/KEY`; any key but an empty one. */
const ADDRESS = /^s3:\/\/([^/]+)\/(.+)$/s;

/**
 * An object of S3, as it is now: reading goes on through broken connections, always of this very content.
 * @param endpoint of a server other than AWS
 * @throws ClaraError `invalid-input`, `not-found`, `permission-denied`
 */
export async function openS3Object(text: string, endpoint?: string): Promise<RemoteObject> {
  const [, bucketName = '', key = ''] = ADDRESS.exec(text) ?? [];
  if (key === '' || Buffer.byteLength(key) > 1024) {
    throw new ClaraError('invalid-input', `${showValue(text)} must be s3://BUCKET/KEY`);
  }
  const bucket = new S3Bucket(parseS3Address(`s3://${bucketName}`, { endpoint }));
  try {
    const found = await bucket.head(key);
    return {
      size: found.size,
      pin: JSON.stringify([found.etag, found.version ?? '']),
      async *read(from, signal) {
        // Without a range the SDK verifies the checksum that S3 keeps.
        const range = from === 0 ? undefined : `bytes=${from}-${found.size - 1}`;
        const opened = await bucket.get(key, { range, pinned: found, signal });
        yield* streamObject(bucket, key, opened, { begin: from, end: found.size, signal });
      },
      close: () => bucket.close(),
    };
  } catch (error) {
    bucket.close();
    throw error;
  }
}
