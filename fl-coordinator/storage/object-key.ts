import { ClaraError, showValue } from '../../base/errors';

/**
 * Keys address objects: segments joined by `/`, the same on every adapter. A segment never starts with a dot, so it can
 * neither leave its folder nor meet the files that an adapter keeps for itself. ASCII only: the order of keys is the order of
 * their bytes, and no file system can fold two keys into one by normalising Unicode.
 */

const SEGMENT = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;
/** File names end at 255 bytes on every common file system. */
const MAX_SEGMENT_LENGTH = 200;
/** S3 keys end at 1024 bytes (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html). */
const MAX_KEY_LENGTH = 900;

/** True when `name` can be a segment of a key. */
export function isKeySegment(name: string): boolean {
  return name.length <= MAX_SEGMENT_LENGTH && SEGMENT.test(name);
}

/** True when `text` is a key. */
export function isKey(text: string): boolean {
  return text.length <= MAX_KEY_LENGTH && text.split('/').every(isKeySegment);
}

/** @throws ClaraError `invalid-input` */
export function checkKey(key: string): void {
  if (isKey(key)) return;
  throw new ClaraError(
    'invalid-input',
    `the object key ${showValue(key)} must be segments of a-z, A-Z, 0-9, "_", "-" and "." (not first), each at most ${MAX_SEGMENT_LENGTH} characters, joined by "/" to at most ${MAX_KEY_LENGTH}`,
  );
}
