import { createHash, timingSafeEqual } from 'node:crypto';
import { ClaraError, showValue } from '../../base/errors';

/** Endpoints that live below /v1. */
const V1 = new Set(['models', 'segmentation', 'inference', 'dextr3d', 'deepgrow', 'mask2polygon', 'fixpolygon']);

/** Route of everything that is not below the secret prefix; nothing is registered there. */
export const OUTSIDE = '/outside-the-prefix';

/**
 * Turns the path that a client sent into the route that it means. Clients put their own paths behind whatever address the
 * user typed, so `/v1` may come twice (`https://host/v1` + `/v1/models`) or where it does not belong (`/v1/session/`), and
 * slashes may be doubled.
 *
 * With a secret prefix, only what lies below it is answered, apart from `/health`, which load balancers ask for.
 */
export function routeOf(pathname: string, prefix: readonly string[] = []): string {
  const segments = pathname.split('/').filter((segment) => segment !== '');
  if (!isSame(segments.slice(0, prefix.length).join('/'), prefix.join('/'))) {
    return segments.length === 1 && segments[0] === 'health' ? '/health' : OUTSIDE;
  }
  const rest = segments.slice(prefix.length);
  const versions = rest.findIndex((segment) => segment !== 'v1');
  const meant = versions === -1 ? [] : rest.slice(versions);
  if (versions > 0 && V1.has(meant[0])) meant.unshift('v1');
  return `/${meant.join('/')}`;
}

/**
 * The segments of a prefix such as `/hospital-a/1f3a...`.
 *
 * @throws ClaraError `invalid-input`
 */
export function parsePrefix(prefix: string): readonly string[] {
  const segments = prefix.split('/').filter((segment) => segment !== '');
  const bad = segments.find((segment) => !/^[A-Za-z0-9_-]+$/.test(segment) || segment === 'v1');
  if (bad !== undefined) {
    throw new ClaraError(
      'invalid-input',
      `The path prefix has the segment ${showValue(bad)}; use letters, digits, "_" and "-" (and not "v1") between slashes.`,
    );
  }
  return segments;
}

/** Compares in a time that tells nothing about how much was right. */
function isSame(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
