import { isText } from './properties';

/** Ranges that are never routed on the internet: RFC 1918, and the shared space of RFC 6598. */
const PRIVATE = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10'].map((cidr) => parse(cidr)!);

/** No allow-list of people or sites is wider than that; a wider one is a slip or the whole internet in pieces. */
const SHORTEST_PREFIX = 8;

export type Reach = 'private' | 'listed' | 'everybody';

/** Whom an address range lets in: this network and others like it, listed addresses of the internet, or everybody. */
export function reachOf(cidr: unknown): Reach {
  const range = isText(cidr) ? parse(cidr) : undefined;
  // IPv6 is nowhere in the platform; unique local addresses (RFC 4193) are the only private ones.
  if (range === undefined) return /^f[cd]/i.test(String(cidr)) ? 'private' : 'everybody';
  if (range.bits < SHORTEST_PREFIX) return 'everybody';
  return PRIVATE.some((outer) => range.bits >= outer.bits && sameStart(range, outer)) ? 'private' : 'listed';
}

interface Range {
  readonly first: number;
  readonly bits: number;
}

function parse(cidr: string): Range | undefined {
  const numbers = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(cidr)?.slice(1).map(Number);
  if (numbers === undefined) return undefined;
  return { first: numbers.slice(0, 4).reduce((value, octet) => value * 256 + octet, 0), bits: numbers[4] };
}

function sameStart(inner: Range, outer: Range): boolean {
  const size = 2 ** (32 - outer.bits);
  return Math.floor(inner.first / size) === Math.floor(outer.first / size);
}
