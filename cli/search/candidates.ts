import { deriveSeed, seededRandom } from '../../base/random';
import { canonical, cardinality, type JsonValue, type Parameter, valueAt } from './space';

export interface Candidate {
  /** From 1, in the order in which they were drawn. */
  readonly number: number;
  /** By path. */
  readonly parameters: Readonly<Record<string, JsonValue>>;
}

export type Space = Readonly<Record<string, Parameter>>;

/** Draws before a space is taken for smaller than it looks: each candidate may meet its likes a thousand times. */
const DRAWS_A_CANDIDATE = 1000;

/**
 * Different candidates, drawn independently from the space: a function of space and seed, of which more candidates are a
 * continuation. Fewer than `count` when the space does not have so many.
 */
export function drawCandidates(space: Space, seed: number, count: number): Candidate[] {
  const wanted = Math.min(count, combinations(space));
  const candidates: Candidate[] = [];
  const known = new Set<string>();
  // A stream for each parameter: another parameter does not change what is drawn for this one.
  const streams = Object.entries(space).map(
    ([path, parameter]) => [path, parameter, seededRandom(deriveSeed(seed, 'search', path))] as const,
  );
  for (let draws = 0; candidates.length < wanted && draws < DRAWS_A_CANDIDATE * count; draws++) {
    const drawn = streams.map(([path, parameter, random]) => [path, valueAt(parameter, random.uniform())] as const);
    const parameters = Object.fromEntries(drawn);
    const text = canonical(parameters);
    if (known.has(text)) continue;
    known.add(text);
    candidates.push({ number: candidates.length + 1, parameters });
  }
  return candidates;
}

/** How many candidates a space has; infinity with numbers that need not be whole. */
export function combinations(space: Space): number {
  return Object.values(space).reduce((product, parameter) => product * cardinality(parameter), 1);
}

/** A document with a candidate's values at their paths; what is on the way is made where it is not there. */
export function withParameters(document: unknown, parameters: Candidate['parameters']): unknown {
  return Object.entries(parameters).reduce(
    (changed, [path, value]) => placed(changed, '', path.split('.'), value),
    document,
  );
}

function placed(document: unknown, at: string, [key, ...below]: readonly string[], value: JsonValue): unknown {
  if (key === undefined) return value;
  const map = asMap(document, SHORT_FORMS[at]);
  const next = at === '' ? key : `${at}.${key}`;
  // A computed key is a key of its own, whatever its name.
  return { ...map, [key]: placed(Object.hasOwn(map, key) ? map[key] : undefined, next, below, value) };
}

/** Where a plan may have a name in place of a map, the key of the map that it is. */
const SHORT_FORMS: Readonly<Record<string, string>> = {
  strategy: 'name',
  'wire.up': 'encoding',
  'wire.down': 'encoding',
};

function asMap(value: unknown, shortForm: string | undefined): Readonly<Record<string, unknown>> {
  if (typeof value === 'string' && shortForm !== undefined) return { [shortForm]: value };
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}
