import { reachOf } from '../address-ranges';
import { isText, listAt, refersTo } from '../properties';
import type { Finding, PlannedResource, ResourceRule, StackRule } from '../rule';

const INGRESS = 'aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule';
const EGRESS = 'aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule';
const RULE = 'aws:ec2/securityGroupRule:SecurityGroupRule';
const GROUPS: readonly string[] = [
  'aws:ec2/securityGroup:SecurityGroup',
  'aws:ec2/defaultSecurityGroup:DefaultSecurityGroup',
];

/** The only port to which a group may let its members call everywhere: the APIs of AWS, where no endpoint is. */
const HTTPS = 443;

/** One door of a security group, however it was written down. */
interface Door {
  readonly direction: 'ingress' | 'egress';
  /** Prefix of the field in the resource. */
  readonly path: string;
  readonly protocol: unknown;
  readonly from: unknown;
  readonly to: unknown;
  readonly ranges: readonly { readonly field: string; readonly cidr: unknown }[];
}

export const openToTheWorld: ResourceRule = {
  name: 'open-to-the-world',
  rule: 'No door is open to everybody: callers come from allow-lists, and calls to everywhere are HTTPS only.',
  *check(resource) {
    for (const door of doorsOf(resource)) yield* faultsOf(door);
  },
};

function* faultsOf({ direction, path, protocol, from, to, ranges }: Door): Iterable<Finding> {
  if (
    String(protocol) === '-1' &&
    (direction === 'ingress' || ranges.some(({ cidr }) => reachOf(cidr) !== 'private'))
  ) {
    yield { field: `${path}ipProtocol`, value: protocol, wayOut: 'name the protocol and the port' };
  }
  for (const { field, cidr } of ranges) {
    if (reachOf(cidr) !== 'everybody') continue;
    if (direction === 'ingress') {
      yield { field, value: cidr, wayOut: 'list the addresses that may call, none wider than /8' };
    } else if (from !== HTTPS || to !== HTTPS) {
      yield {
        field,
        value: cidr,
        wayOut: `name who is called; only port ${HTTPS} may be open to everywhere, for the APIs of AWS`,
      };
    }
  }
}

function doorsOf({ type, props }: PlannedResource): Door[] {
  if (type === INGRESS || type === EGRESS) {
    return [
      {
        direction: type === INGRESS ? 'ingress' : 'egress',
        path: '',
        protocol: props.ipProtocol,
        from: props.fromPort,
        to: props.toPort,
        ranges: ['cidrIpv4', 'cidrIpv6']
          .filter((f) => isText(props[f]))
          .map((field) => ({ field, cidr: props[field] })),
      },
    ];
  }
  if (type === RULE) return [inlineDoor(props.type === 'egress' ? 'egress' : 'ingress', '', props)];
  if (!GROUPS.includes(type)) return [];
  return (['ingress', 'egress'] as const).flatMap((direction) =>
    listAt(props, direction).map((door, index) =>
      inlineDoor(direction, `${direction}.${index}.`, (door ?? {}) as PlannedResource['props']),
    ),
  );
}

function inlineDoor(direction: Door['direction'], path: string, props: PlannedResource['props']): Door {
  const ranges = ['cidrBlocks', 'ipv6CidrBlocks'].flatMap((field) =>
    listAt(props, field).map((cidr, index) => ({ field: `${path}${field}.${index}`, cidr })),
  );
  return { direction, path, protocol: props.protocol, from: props.fromPort, to: props.toPort, ranges };
}

/** Who calls from the internet, listed or not, meets a load balancer and nothing behind it. */
export const internetMeetsBalancers: StackRule = {
  name: 'internet-meets-balancers',
  rule: 'Only the security group of a load balancer lets listed addresses of the internet in.',
  *checkStack(resources) {
    const balancers = resources.filter(({ type }) => type === 'aws:lb/loadBalancer:LoadBalancer');
    const groups = resources.filter(({ type }) => GROUPS.includes(type));
    const fronts = groups.filter((group) => balancers.some((balancer) => refersTo(balancer, 'securityGroups', group)));
    for (const resource of resources) {
      const doors = doorsOf(resource).filter(({ direction }) => direction === 'ingress');
      if (doors.length === 0) continue;
      const isFront = GROUPS.includes(resource.type)
        ? fronts.includes(resource)
        : fronts.some((front) => refersTo(resource, 'securityGroupId', front));
      if (isFront) continue;
      for (const { field, cidr } of doors.flatMap(({ ranges }) => ranges)) {
        if (reachOf(cidr) === 'listed') {
          yield {
            of: resource,
            field,
            value: cidr,
            wayOut: 'let a load balancer take the calls, and let its group in',
          };
        }
      }
    }
  },
};
