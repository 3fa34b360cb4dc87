import { createHash, timingSafeEqual } from 'node:crypto';
import { ClaraError, showValue } from '../../base/errors';

/** Endpoints that live below /v1. */
const V1 = new Set(['models', 'segmentation', 'inference', 'dextr3d', 'deepgrow', 'mask2polygon', 'fixpolygon']);

/** First segments of what is for those who run the server; never answered below a secret prefix. */
const OPERATOR = new Set(['admin', 'train', 'logs', 'metrics']);

/** First segment of what load balancers ask for; answered with a secret prefix and without. */
const PROBE = 'health';

/** Route of everything that this client may not know of; nothing is registered there. */
export const OUTSIDE = '/outside-the-prefix';

/** A secret prefix, cut into segments. */
export type Prefix = readonly string[];

/** What a path means. */
export interface MeantPath {
  readonly route: string;
  /** The prefix that it came with, as it is registered; empty without one. */
  readonly prefix: Prefix;
}

/**
 * Turns the path that a client sent into the route that it means. Clients put their own paths behind whatever address the
 * user typed, so `/v1` may come twice (`https://host/v1` + `/v1/models`) or where it does not belong (`/v1/session/`), and
 * slashes may be doubled.
 *
 * With secret prefixes, clients are answered below one of them and nowhere else; operators and load balancers are answered at
 * the root alone, apart from `/health`, which is the same everywhere.
 */
export function meantPath(pathname: string, prefixes: readonly Prefix[] = []): MeantPath {
  const segments = pathname.split('/').filter((segment) => segment !== '');
  const prefix = prefixOf(segments, prefixes);
  const route = withoutDoubledVersion(segments.slice(prefix.length));
  const first = firstSegment(route);
  const answered =
    prefixes.length === 0 || first === PROBE || (prefix.length > 0 ? !OPERATOR.has(first) : OPERATOR.has(first));
  return { route: answered ? route : OUTSIDE, prefix };
}

/** True for the routes of those who run the server. */
export function isForOperators(route: string): boolean {
  return OPERATOR.has(firstSegment(route));
}

/**
 * The segments of a prefix such as `/hospital-a/1f3a...`.
 *
 * @throws ClaraError `invalid-input`
 */
export function parsePrefix(prefix: string): Prefix {
  const segments = prefix.split('/').filter((segment) => segment !== '');
  if (segments.length === 0) {
    throw new ClaraError(
      'invalid-input',
      `The path prefix is ${showValue(prefix)}, which hides nothing; name a secret path such as "/st-marys/4f1c2a", or leave it out.`,
    );
  }
  const bad = segments.find((segment) => !/^[A-Za-z0-9_-]+$/.test(segment) || segment === 'v1');
  if (bad !== undefined) {
    throw new ClaraError(
      'invalid-input',
      `The path prefix has the segment ${showValue(bad)}; use letters, digits, "_" and "-" (and not "v1") between slashes.`,
    );
  }
  if (OPERATOR.has(segments[0]) || segments[0] === PROBE) {
    throw new ClaraError(
      'invalid-input',
      `The path prefix begins with ${showValue(segments[0])}, where the server answers its operators; choose another first segment.`,
    );
  }
  return segments;
}

function withoutDoubledVersion(segments: readonly string[]): string {
  const versions = segments.findIndex((segment) => segment !== 'v1');
  const meant = versions === -1 ? [] : segments.slice(versions);
  return `/${(versions > 0 && V1.has(meant[0]) ? ['v1', ...meant] : meant).join('/')}`;
}

function firstSegment(route: string): string {
  return route.split('/', 2)[1] ?? '';
}

/** Looks at all prefixes, whichever fits, and at all of each: the time tells nothing about how much was right. */
function prefixOf(segments: readonly string[], prefixes: readonly Prefix[]): Prefix {
  let found: Prefix = [];
  for (const prefix of prefixes) {
    const same = isSame(segments.slice(0, prefix.length).join('/'), prefix.join('/'));
    if (same && prefix.length > found.length) found = prefix;
  }
  return found;
}

/** Compares in a time that tells nothing about how much was right. */
export function isSame(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
