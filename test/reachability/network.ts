import { parseCidr } from '../../components/network/address-plan';
import type { Registration } from '../engine/deployment';

/**
 * Who can open a connection to whom, computed from what a plan registers: security groups on both ends, routes, gateways, network
 * ACLs, listeners. AWS looks at all of them, and so does {@link Network.refusals}: what it does not understand it refuses to read.
 */

/** Something with a network interface, or an address out there. */
export interface Place {
  readonly name: string;
  /** None: nothing of AWS guards it, such as another machine of the network or an address of the internet. */
  readonly groups: readonly string[];
  /** Where its interfaces are; none for what is outside. */
  readonly subnets: readonly string[];
  /** IPv4 addresses or ranges, for rules that name ranges. */
  readonly addresses: readonly string[];
  /** Reachable from the internet by an address of its own. */
  readonly isPublic: boolean;
  /** Ports that somebody listens on, where the plan says so. */
  readonly listens?: readonly number[];
  /** Name of a managed prefix list, of a service behind a gateway endpoint. */
  readonly prefixList?: string;
  /** An outside that is joined to the VPC by a line of the hospital's, not through the internet. */
  readonly byLine?: boolean;
}

interface Rule {
  readonly group: string;
  readonly from: number;
  readonly to: number;
  readonly cidr?: string;
  readonly peer?: string;
  readonly prefixList?: string;
}

type Way = 'internet gateway' | 'NAT gateway' | 'unknown';

const RULE = 'aws:vpc/securityGroup';

/** Types that would decide about connections in a way that this model does not read. */
const UNREAD =
  /ec2\/(networkAclRule|vpcPeeringConnection|securityGroupRule)|ec2transitgateway|vpnGateway|networkfirewall|wafv2|ec2\/egressOnly|networkInterface/;

export class Network {
  readonly #resources: readonly Registration[];
  readonly #ingress: readonly Rule[];
  readonly #egress: readonly Rule[];

  constructor(resources: readonly Registration[]) {
    this.#resources = resources;
    for (const { type, inputs, urn } of resources) {
      if (UNREAD.test(type)) throw new Error(`${urn}: teach test/reachability/ to read it`);
      const isBare = [inputs.ingress, inputs.egress].every(
        (rules) => rules === undefined || (rules as []).length === 0,
      );
      if (/SecurityGroup$/.test(type) && !isBare) throw new Error(`${urn} has rules of its own`);
    }
    this.#ingress = this.#rules('Ingress');
    this.#egress = this.#rules('Egress');
  }

  ofType(type: string): readonly Registration[] {
    return this.#resources.filter((each) => each.type === type);
  }

  /** Everything that stands in the way of a TCP connection; empty when it is made. */
  refusals(from: Place, to: Place, port: number): string[] {
    const found: string[] = [];
    const isInside = to.subnets.length > 0;
    if (isInside && from.subnets.length === 0) this.#fromOutside(from, to, found);
    if (!isInside && from.subnets.length > 0) this.#toOutside(from, to, found);
    if (from.groups.length > 0 && !this.#passes(this.#egress, from, to, port))
      found.push(`${from.name} may not call out`);
    if (to.groups.length > 0 && !this.#passes(this.#ingress, to, from, port)) found.push(`${to.name} lets nobody in`);
    if (to.listens !== undefined && !to.listens.includes(port)) found.push(`${to.name} does not listen`);
    return found;
  }

  reaches(from: Place, to: Place, port: number): boolean {
    return this.refusals(from, to, port).length === 0;
  }

  #fromOutside(from: Place, to: Place, found: string[]): void {
    if (from.byLine) return;
    if (!to.isPublic) found.push(`${to.name} has no public address`);
    if (!to.subnets.some((subnet) => this.waysOut(subnet).includes('internet gateway'))) {
      found.push(`no route from the internet to ${to.name}`);
    }
  }

  #toOutside(from: Place, to: Place, found: string[]): void {
    const hasWay = from.subnets.every((subnet) => {
      if (to.prefixList !== undefined && this.#hasGatewayEndpoint(subnet, to.prefixList)) return true;
      const ways = this.waysOut(subnet);
      return (
        ways.includes('unknown') || ways.includes('NAT gateway') || (ways.includes('internet gateway') && from.isPublic)
      );
    });
    if (!hasWay) found.push(`no route from ${from.name} to the internet`);
  }

  /** Where the default route of a subnet goes; a network that the plan does not make has routes that nobody here knows. */
  waysOut(subnet: string): Way[] {
    if (!this.ofType('aws:ec2/subnet:Subnet').some(({ id }) => id === subnet)) return ['unknown'];
    const tables = this.#tablesOf(subnet);
    return this.ofType('aws:ec2/route:Route')
      .filter(({ inputs }) => tables.includes(String(inputs.routeTableId)))
      .filter(({ inputs }) => inputs.destinationCidrBlock === '0.0.0.0/0')
      .map(({ inputs }) => (inputs.gatewayId === undefined ? 'NAT gateway' : 'internet gateway'));
  }

  #tablesOf(subnet: string): string[] {
    return this.ofType('aws:ec2/routeTableAssociation:RouteTableAssociation')
      .filter(({ inputs }) => inputs.subnetId === subnet)
      .map(({ inputs }) => String(inputs.routeTableId));
  }

  #hasGatewayEndpoint(subnet: string, prefixList: string): boolean {
    const tables = this.#tablesOf(subnet);
    return this.ofType('aws:ec2/vpcEndpoint:VpcEndpoint').some(
      ({ inputs, outputs }) =>
        inputs.vpcEndpointType === 'Gateway' &&
        outputs?.prefixListId === prefixList &&
        tables.some((table) => (inputs.routeTableIds as string[]).includes(table)),
    );
  }

  /** Whether any group of `own` has a rule for the other end: by range, by one of its groups, or by prefix list. */
  #passes(rules: readonly Rule[], own: Place, other: Place, port: number): boolean {
    const meant = rules.filter(({ group, from, to }) => own.groups.includes(group) && from <= port && port <= to);
    const byName = meant.some(
      ({ peer, prefixList }) =>
        (peer !== undefined && other.groups.includes(peer)) ||
        (prefixList !== undefined && prefixList === other.prefixList),
    );
    if (byName) return true;
    const ranges = meant.flatMap(({ cidr }) => (cidr === undefined ? [] : [cidr]));
    return other.addresses.some((address) => ranges.some((range) => overlap(address, range)));
  }

  #rules(kind: 'Ingress' | 'Egress'): Rule[] {
    return this.ofType(`${RULE}${kind}Rule:SecurityGroup${kind}Rule`).map(({ inputs, urn }) => {
      const { ipProtocol, fromPort, toPort, securityGroupId, cidrIpv4, referencedSecurityGroupId, prefixListId } =
        inputs;
      if (inputs.cidrIpv6 !== undefined) throw new Error(`${urn}: this model knows IPv4 only`);
      const all = ipProtocol === '-1';
      if (!all && ipProtocol !== 'tcp') throw new Error(`${urn}: this model knows TCP only`);
      return {
        group: String(securityGroupId),
        from: all ? 0 : Number(fromPort),
        to: all ? 65_535 : Number(toPort),
        ...(typeof cidrIpv4 === 'string' && { cidr: cidrIpv4 }),
        ...(typeof referencedSecurityGroupId === 'string' && { peer: referencedSecurityGroupId }),
        ...(typeof prefixListId === 'string' && { prefixList: prefixListId }),
      };
    });
  }
}

/** Whether two ranges share an address: one door that is open to a part of a network is an open door. */
function overlap(a: string, b: string): boolean {
  return within(a, b) || (a.includes('/') && within(b, a));
}

/** Whether an address or a whole range lies in a range. */
export function within(address: string, cidr: string): boolean {
  const inner = parseCidr(address.includes('/') ? address : `${address}/32`);
  const outer = parseCidr(cidr);
  if (inner.bits < outer.bits) return false;
  const size = 2 ** (32 - outer.bits);
  return Math.floor(inner.first / size) * size === outer.first;
}
