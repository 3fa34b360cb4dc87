import { ClaraError, showValue } from '../../base/errors';
import { AiaaError } from '../errors';
import type { AnnotationContext } from './context';
import { ENDPOINTS } from './openapi';
import type { Endpoint } from './openapi-endpoint';
import { OUTSIDE } from './request-path';

/** Answers to requests that no endpoint takes. People type addresses by hand, and clients put their own paths behind them. */

const HINT = 'check that the server address ends before /v1, and see /docs/ for what there is';
/** So many letters may be wrong for a suggestion. */
const MAX_TYPOS = 3;
const LONGEST_PATH = 64;

/** What is not there, with the endpoint that was probably meant. */
export function nothingAt(route: string): ClaraError {
  const meant = route === OUTSIDE ? undefined : suggestionFor(route);
  const suggestion = meant === undefined ? '' : ` Did you mean ${meant.method} ${meant.path}?`;
  const place = route === OUTSIDE ? 'this address' : showValue(route);
  return new ClaraError('not-found', `There is nothing at ${place}; ${HINT}.${suggestion}`);
}

/** Answers every method that the route does not take: 405, or for OPTIONS the list alone (RFC 9110, sections 9.3.7, 15.5.6). */
export function wrongMethod(methods: readonly string[]): (c: AnnotationContext) => Response {
  const allow = [...methods, ...(methods.includes('GET') ? ['HEAD'] : []), 'OPTIONS'].join(', ');
  return (c) => {
    if (c.req.method === 'OPTIONS') return c.body(null, 204, { allow });
    const sentence = `${c.req.path} takes ${methods.join(' or ')}, not ${c.req.method}.`;
    throw new AiaaError('unsupported', 405, sentence, { allow });
  };
}

function suggestionFor(route: string): Endpoint | undefined {
  if (route.length > LONGEST_PATH) return undefined;
  const given = route.toLowerCase();
  let best: { readonly endpoint: Endpoint; readonly typos: number } | undefined;
  for (const endpoint of Object.values<Endpoint>(ENDPOINTS)) {
    if (endpoint.audience === 'operator') continue;
    const path = endpoint.path.replace(/(?<=.)\/$/, '');
    const typos = Math.min(distance(given, path), distance(`/v1${given}`, path));
    if (typos <= MAX_TYPOS && (best === undefined || typos < best.typos)) best = { endpoint, typos };
  }
  return best?.endpoint;
}

/** Letters to change, add or take away (Levenshtein's distance). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const changed = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(changed, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
