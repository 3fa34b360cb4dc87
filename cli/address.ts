import { ClaraError, showValue } from '../base/errors';

/** `host:port`, with an IPv6 address in brackets. @throws ClaraError `invalid-input` */
export function parseAddress(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65535)
    throw new ClaraError('invalid-input', `${showValue(text)} must be host:port, such as 127.0.0.1:8443`);
  return { host: match[1] ?? match[2]!, port };
}

/** @throws ClaraError `invalid-input` */
export function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65535) return port;
  throw new ClaraError('invalid-input', `the port ${showValue(text)} must be a number from 0 to 65535`);
}
