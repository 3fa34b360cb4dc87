import { parseCidr } from '../../components/network/address-plan';
import type { Registration } from '../engine/deployment';
import { Network, type Place, within } from './network';
import { placesOf } from './places';

/** From whom to whom which ports are open, of a whole stack; whatever is not here is closed. */
export type Openings = Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>;

/** Ports that something of the platform listens on, and those that people try. */
export const PORTS: readonly number[] = [22, 80, 443, 2049, 3389, 5000, 8443, 8444, 9443, 9444];

export interface Surroundings {
  readonly network: Network;
  readonly inside: readonly Place[];
  readonly outside: readonly Place[];
}

/** Configuration of a stack by key, without the project's name. */
export type Settings = Readonly<Record<string, unknown>>;

/** On no list of anybody's (RFC 5737). */
const ANYBODY = '203.0.113.77';
const VPC_RANGE = '10.80.0.0/20';

export function surroundings(resources: readonly Registration[], settings: Settings): Surroundings {
  const network = new Network(resources);
  const vpcCidr = String(settings.vpcCidr ?? VPC_RANGE);
  return {
    network,
    inside: placesOf(network, String(settings.siteId || settings.environment), vpcCidr),
    outside: outside(network, settings, vpcCidr),
  };
}

/** Everything that is open in a stack: between its places, and to and from what is outside. */
export function openings({ network, inside, outside: others }: Surroundings): Openings {
  const found: Record<string, Record<string, readonly number[]>> = {};
  for (const from of [...inside, ...others]) {
    for (const to of [...inside, ...others]) {
      // Of an unguarded machine only what it reaches among ours is asked; what guards it is not the stack's.
      const isOurs = inside.includes(to) && to.groups.length > 0;
      if (from === to || !(isOurs || (from.groups.length > 0 && others.includes(to)))) continue;
      const ports = PORTS.filter((port) => network.reaches(from, to, port));
      if (ports.length > 0) found[from.name] = { ...found[from.name], [to.name]: ports };
    }
  }
  return found;
}

/** Who and what is outside, as the stack's configuration names them. */
function outside(network: Network, settings: Settings, vpcCidr: string): Place[] {
  const ranges = (key: string) => (settings[key] ?? []) as readonly string[];
  const place = (name: string, addresses: readonly string[], more: Partial<Place> = {}): Place => ({
    name,
    groups: [],
    subnets: [],
    addresses,
    isPublic: true,
    ...more,
  });
  const lists: (readonly [string, readonly string[], Partial<Place>])[] = [
    // Those within the VPC are machines of the network; what is left comes over a line of the hospital's, or from the internet.
    [
      'listed clients',
      ranges('clientCidrs').filter((range) => !within(range, vpcCidr)),
      { byLine: settings.loadBalancer !== 'public' },
    ],
    ['the coordinator', ranges('coordinatorCidrs'), {}],
    ['listed operators', ranges('operatorCidrs'), { byLine: true }],
    ['sites with a public link', publicSites(settings), {}],
    ['anybody on the internet', [ANYBODY], {}],
  ];
  const storage = network
    .ofType('aws:ec2/vpcEndpoint:VpcEndpoint')
    .find(({ inputs }) => inputs.vpcEndpointType === 'Gateway')?.outputs?.prefixListId;
  return [
    ...lists.filter(([, list]) => list.length > 0).map(([name, list, more]) => place(name, list, more)),
    place('S3', [ANYBODY], typeof storage === 'string' ? { prefixList: storage } : {}),
  ];
}

function publicSites(settings: Settings): readonly string[] {
  const sites = (settings.sites ?? []) as readonly { readonly egressCidrs?: readonly string[] }[];
  return sites.flatMap(({ egressCidrs = [] }) => egressCidrs);
}

/** What a load balancer does with a request, by its listener's rules in their order. */
export function answerTo({ network }: Surroundings, port: number, path: string, source: string): string {
  const listener = network
    .ofType('aws:lb/listener:Listener')
    .find(({ inputs }) => inputs.port === port && inputs.protocol !== 'TCP');
  if (listener === undefined) return 'nobody listens';
  const rules = network
    .ofType('aws:lb/listenerRule:ListenerRule')
    .filter(({ inputs }) => inputs.listenerArn === listener.outputs?.arn)
    .map(({ inputs }) => inputs as unknown as ListenerRule)
    .sort((a, b) => a.priority - b.priority);
  const rule = rules.find(({ conditions }) => conditions.every((condition) => fits(condition, path, source)));
  const [action] = rule?.actions ?? (listener.inputs.defaultActions as ListenerRule['actions']);
  if (action.type === 'redirect') return `redirect to ${action.redirect?.protocol}`;
  return action.type === 'fixed-response' ? String(action.fixedResponse?.statusCode) : 'forward';
}

interface ListenerRule {
  readonly priority: number;
  readonly conditions: readonly {
    readonly pathPattern?: { readonly values: readonly string[] };
    readonly sourceIp?: { readonly values: readonly string[] };
  }[];
  readonly actions: readonly {
    readonly type: string;
    readonly redirect?: { readonly protocol: string };
    readonly fixedResponse?: { readonly statusCode: string };
  }[];
}

function fits({ pathPattern, sourceIp }: ListenerRule['conditions'][number], path: string, source: string): boolean {
  if (pathPattern !== undefined) return pathPattern.values.some((pattern) => matches(pattern, path));
  if (sourceIp !== undefined) return sourceIp.values.some((range) => within(source, range));
  throw new Error('a condition of a listener rule that test/reachability/ does not know');
}

function matches(pattern: string, path: string): boolean {
  const expression = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${expression}$`).test(path);
}

/** First address of a range, as a client of it. */
export function hostOf(range: string): string {
  const { first, bits } = parseCidr(range);
  const host = first + (bits === 32 ? 0 : 10);
  return [24, 16, 8, 0].map((shift) => Math.floor(host / 2 ** shift) % 256).join('.');
}
