import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { ClaraError, showValue } from '../../base/errors';
import { isSame } from './request-path';

export interface OperatorAccessOptions {
  /** Addresses and networks (`10.1.2.3`, `10.0.0.0/8`, `fd00::/8`) from which operators call. @default loopback alone */
  readonly from?: readonly string[];
  /**
   * Addresses and networks of proxies in front of the server, each of which appends to `X-Forwarded-For` who called it: that
   * caller is judged as if it had come by itself. @default none, and whoever comes through a proxy needs the token
   */
  readonly proxies?: readonly string[];
  /** When given, operators must send it as `Authorization: Bearer`, wherever they call from. @default none */
  readonly token?: string;
}

const LOOPBACK = ['127.0.0.0/8', '::1'];
/** Shorter tokens can be guessed. */
const MIN_TOKEN = 16;
/** The header that a known proxy is believed by: only its last address is the proxy's own word. */
const CALLERS = 'x-forwarded-for';
/** Headers by which proxies say that somebody else is asking. */
const FORWARDED = ['forwarded', CALLERS, 'x-real-ip', 'via'];

/** Who may administer, read logs and figures: neither the radiologists' clients nor the web pages that they have open. */
export class OperatorAccess {
  private readonly allowed = new BlockList();
  private readonly proxies = new BlockList();
  private readonly local: boolean;

  /** @throws ClaraError `invalid-input` */
  constructor(private readonly options: OperatorAccessOptions = {}) {
    this.local = options.from === undefined || options.from.length === 0;
    for (const network of this.local ? LOOPBACK : options.from!) add(this.allowed, network, 'Operators cannot call');
    for (const network of options.proxies ?? []) add(this.proxies, network, 'A proxy cannot pass calls on');
    if (options.token !== undefined && options.token.length < MIN_TOKEN) {
      throw new ClaraError(
        'invalid-input',
        `The operators' token has ${options.token.length} characters; use ${MIN_TOKEN} or more, such as 32 random hexadecimal digits.`,
      );
    }
  }

  /** @throws ClaraError `permission-denied`, `unauthenticated` */
  check(incoming: IncomingMessage): void {
    if (isFromWebPage(incoming) || (this.local && !isNamedLocally(incoming))) {
      throw new ClaraError(
        'permission-denied',
        'Administration is not for web pages of other addresses; call it with curl or a program.',
      );
    }
    const { token } = this.options;
    if (token !== undefined) {
      const given = /^Bearer +(\S+)$/i.exec(incoming.headers.authorization ?? '')?.[1] ?? '';
      if (!isSame(given, token)) {
        throw new ClaraError(
          'unauthenticated',
          "Administration needs the operators' token in the header Authorization: Bearer TOKEN.",
        );
      }
      // The token vouches behind a proxy that nobody named, whose address says nothing about the caller.
      if (isForwarded(incoming) && !isIn(this.proxies, incoming.socket.remoteAddress ?? '')) return;
    }
    if (!isIn(this.allowed, this.callerOf(incoming))) {
      throw new ClaraError(
        'permission-denied',
        `Administration, logs and figures are not answered to this address; call from ${this.local ? "the server's own machine, or see --admin-from" : 'one that --admin-from names'}.`,
      );
    }
  }

  /** The address that asks; empty when a proxy that nobody named stands between. */
  private callerOf(incoming: IncomingMessage): string {
    const peer = incoming.socket.remoteAddress ?? '';
    const headers = FORWARDED.filter((header) => incoming.headers[header] !== undefined);
    if (headers.length === 0) return peer;
    if (headers.some((header) => header !== CALLERS) || !isIn(this.proxies, peer)) return '';
    return String(incoming.headers[CALLERS]).split(',').at(-1)!.trim();
  }
}

/** @throws ClaraError `invalid-input` */
function add(list: BlockList, network: string, fault: string): void {
  const [address, bits, more] = network.split('/');
  const version = isIP(address);
  const prefix = bits === undefined ? undefined : Number(bits);
  const widest = version === 6 ? 128 : 32;
  const whole = prefix === undefined || (/^\d+$/.test(bits) && prefix <= widest);
  if (version === 0 || more !== undefined || !whole) {
    throw new ClaraError(
      'invalid-input',
      `${fault} from ${showValue(network)}; give an address or a network such as 10.0.0.0/8.`,
    );
  }
  list.addSubnet(address, prefix ?? widest, version === 6 ? 'ipv6' : 'ipv4');
}

function isIn(list: BlockList, address: string): boolean {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, ''); // an IPv4 peer of a socket that listens on both
  const version = isIP(plain);
  return version !== 0 && list.check(plain, version === 6 ? 'ipv6' : 'ipv4');
}

function isForwarded(incoming: IncomingMessage): boolean {
  return FORWARDED.some((header) => incoming.headers[header] !== undefined);
}

/** A browser says so of every request that another site's page makes (Fetch, section 3.2; Fetch Metadata). */
function isFromWebPage({ headers }: IncomingMessage): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  return headers.origin !== undefined && headers.origin !== `http://${headers.host}`;
}

/** A page that had its own name point to this machine (DNS rebinding) still sends that name as Host. */
function isNamedLocally({ headers }: IncomingMessage): boolean {
  const host = headers.host;
  return host === undefined || /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i.test(host);
}
