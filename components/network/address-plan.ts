/**
 * How the addresses of a site's network are divided. Explicit, because a change of the number of zones or of the kinds of
 * subnets must not move the subnets that exist: half of the range belongs to private subnets and the other half to public
 * ones, each half with four equal places, whatever is used of them. Networks of different sites may overlap: nothing is routed
 * between them.
 */

/** Zones that an address plan has places for. */
export const MOST_ZONES = 4;

export interface Range {
  /** First address as a number. */
  readonly first: number;
  /** Bits of the prefix. */
  readonly bits: number;
}

export interface AddressPlan {
  /** One range a zone, in the order of the zones. */
  readonly private: readonly string[];
  readonly public: readonly string[];
}

/** @throws RangeError when `cidr` is none, or more zones are asked for than there are places */
export function addressPlan(cidr: string, zones: number): AddressPlan {
  if (zones > MOST_ZONES) throw new RangeError(`an address plan has places for ${MOST_ZONES} zones, not for ${zones}`);
  const { first, bits } = parseCidr(cidr);
  const size = 2 ** (32 - bits - 3);
  const place = (index: number) => formatCidr({ first: first + index * size, bits: bits + 3 });
  const indices = Array.from({ length: zones }, (_, index) => index);
  return { private: indices.map(place), public: indices.map((index) => place(index + MOST_ZONES)) };
}

/** @throws RangeError on text that is no IPv4 CIDR, or has host bits */
export function parseCidr(cidr: string): Range {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(cidr);
  const numbers = match?.slice(1).map(Number) ?? [];
  const bits = numbers[4] ?? 33;
  const octets = numbers.slice(0, 4);
  if (!match || bits > 32 || octets.some((octet) => octet > 255)) throw new RangeError(`${cidr} is no IPv4 CIDR`);
  const first = octets.reduce((value, octet) => value * 256 + octet, 0);
  if (first % 2 ** (32 - bits) !== 0) throw new RangeError(`${cidr} has bits set beyond its prefix`);
  return { first, bits };
}

function formatCidr({ first, bits }: Range): string {
  const octets = [24, 16, 8, 0].map((shift) => Math.floor(first / 2 ** shift) % 256);
  return `${octets.join('.')}/${bits}`;
}

export function isCidr(text: string): boolean {
  try {
    parseCidr(text);
    return true;
  } catch {
    return false;
  }
}
