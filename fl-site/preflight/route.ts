import { BlockList, isIPv4 } from 'node:net';
import { type Address, splitAddress } from '../../federation/address';

/**
 * The way from here to the coordinator: straight, or through an HTTP proxy that the environment names. The rules are those of
 * grpc-js, which the agent dials with (its http_proxy.ts): lower-case variables only, `http:` proxies only, and
 * `no_grpc_proxy` or `no_proxy` as a list of host suffixes and IPv4 networks.
 */
export interface Route {
  readonly proxy?: HttpProxy;
  /** Variables that other programs heed and the agent does not. */
  readonly ignored: readonly string[];
}

export interface HttpProxy extends Address {
  /** Which variable names it. */
  readonly variable: string;
  /** `user:password`, never to be shown. */
  readonly login?: string;
}

const VARIABLES = ['grpc_proxy', 'https_proxy', 'http_proxy'] as const;
const IGNORED = ['HTTPS_PROXY', 'HTTP_PROXY', 'ALL_PROXY', 'all_proxy'] as const;

export function routeTo(coordinator: string, environment: NodeJS.ProcessEnv = process.env): Route {
  const { host } = splitAddress(coordinator);
  const variable = VARIABLES.find((name) => environment[name]);
  const named = variable && proxyIn(variable, environment[variable]!);
  const exempt = isExempt(host, environment.no_grpc_proxy || environment.no_proxy || '');
  const ignored = variable ? [] : IGNORED.filter((name) => environment[name]);
  return { ...(named && !exempt ? { proxy: named } : {}), ignored };
}

function proxyIn(variable: string, text: string): HttpProxy | undefined {
  if (!URL.canParse(text)) return undefined;
  const { protocol, hostname, port, username, password } = new URL(text);
  if (protocol !== 'http:') return undefined;
  const login = username && decodeURIComponent(password ? `${username}:${password}` : username);
  const host = hostname.replace(/^\[|\]$/g, '');
  return { variable, host, port: Number(port || 80), ...(login ? { login } : {}) };
}

function isExempt(host: string, list: string): boolean {
  if (list === '') return false;
  return list.split(',').some((entry) => host.endsWith(entry) || isInNetwork(host, entry));
}

function isInNetwork(host: string, entry: string): boolean {
  const [network = '', bits = ''] = entry.split('/');
  if (!isIPv4(host) || !isIPv4(network) || !/^\d{1,2}$/.test(bits) || Number(bits) > 32) return false;
  const networks = new BlockList();
  networks.addSubnet(network, Number(bits));
  return networks.check(host);
}
