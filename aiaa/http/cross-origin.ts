import type { MiddlewareHandler } from 'hono';
import { cors } from 'hono/cors';
import { ClaraError, showValue } from '../../base/errors';
import type { AnnotationEnv } from './context';

/** What a viewer's script may read beside the body: the mask's name and length, and when to try again. */
const EXPOSED = ['Content-Disposition', 'Content-Length', 'Content-Type', 'Retry-After'];
const METHODS = ['GET', 'POST', 'PUT', 'DELETE'];
const PREFLIGHT_SECONDS = 600;

/**
 * Lets the named web pages (OHIF) call. Errors carry the headers as well, so that the viewer can show the sentence.
 *
 * @param origins as {@link parseOrigins} gives them
 */
export function crossOrigin(origins: readonly string[]): MiddlewareHandler<AnnotationEnv> {
  const allow = cors({
    origin: origins.includes('*') ? '*' : [...origins],
    allowMethods: METHODS,
    exposeHeaders: EXPOSED,
    maxAge: PREFLIGHT_SECONDS,
  });
  return async (c, next) => {
    if (c.req.header('origin') === undefined) {
      c.header('vary', 'Origin'); // a cache must not give this answer to a web page
      return next();
    }
    // A viewer on the internet that calls a server in the hospital (Private Network Access).
    if (
      c.req.header('access-control-request-private-network') === 'true' &&
      isAllowed(origins, c.req.header('origin'))
    ) {
      c.header('access-control-allow-private-network', 'true');
    }
    return allow(c, next);
  };
}

/**
 * Origins as browsers send them: scheme, host and port, nothing else. A slash at the end is what people type, and is dropped.
 *
 * @throws ClaraError `invalid-input`
 */
export function parseOrigins(origins: readonly string[]): readonly string[] {
  return origins.map((origin) => {
    if (origin === '*') return origin;
    const url = URL.canParse(origin) ? new URL(origin) : undefined;
    const plain = url !== undefined && ['http:', 'https:'].includes(url.protocol) && url.href === `${url.origin}/`;
    if (!plain) {
      throw new ClaraError(
        'invalid-input',
        `${showValue(origin)} is not the origin of a web page; give scheme, host and port, such as https://viewer.example.org, or "*" for all.`,
      );
    }
    return url.origin;
  });
}

function isAllowed(origins: readonly string[], origin: string | undefined): boolean {
  return origin !== undefined && (origins.includes('*') || origins.includes(origin));
}
