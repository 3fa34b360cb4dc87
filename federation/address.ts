export interface Address {
  readonly host: string;
  readonly port: number;
}

/** The parts of a `host:port` that a schema has let pass; brackets of an IPv6 address are taken off. */
export function splitAddress(address: string): Address {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(address.slice(colon + 1)) };
}
