import * as pulumi from '@pulumi/pulumi';
import { z } from 'zod';
import * as aws from '../aws';
import {
  COORDINATOR_NAMES,
  COORDINATOR_PORTS,
  COORDINATORS,
  type CoordinatorName,
} from '../containers/coordinator-program';
import { requireAwsProvider } from '../explicit-provider';
import { checked } from '../faults';
import { ACCOUNT_ID, cidrBlock, given, HOST_NAME, HOSTED_ZONE_ID } from '../input-rules';
import type { SiteNetwork } from '../network/site-network';
import { securityGroup } from '../network/task-security-group';
import { placeOf } from '../place';

export interface CoordinatorEntranceArgs {
  readonly network: SiteNetwork;
  readonly hostName: string;
  /** Route 53 zone of the host name. @default none: somebody else makes the record */
  readonly hostedZoneId?: string;
  /** Accounts whose endpoints may ask for a connection; each is accepted by a person. */
  readonly siteAccounts: readonly string[];
  /** Regions of sites other than the coordinator's. @default none */
  readonly otherRegions?: readonly string[];
  /** Addresses that dial directly: operators inside the network, sites with a public link. */
  readonly directCidrs: readonly string[];
  /** Whether sites come over the internet. @default false */
  readonly isPublic?: boolean;
}

const ARGUMENTS = z.strictObject({
  network: given,
  hostName: z.string().regex(HOST_NAME, 'must be a host name'),
  hostedZoneId: z.string().regex(HOSTED_ZONE_ID, 'must be the id of a Route 53 zone').optional(),
  siteAccounts: z.array(z.string().regex(ACCOUNT_ID, 'must be an account id')),
  otherRegions: z.array(z.string()).default([]),
  directCidrs: z.array(cidrBlock(8, 32)),
  isPublic: z.boolean().default(false),
});

/**
 * The one door of a federation: a network load balancer that passes TLS through, because the coordinator and its callers check each
 * other's certificates and anything that ends TLS in between breaks that. Sites come through an endpoint service.
 */
export class CoordinatorEntrance extends pulumi.ComponentResource {
  /** Target groups of each coordinator, by port. */
  public readonly targets: Readonly<
    Record<CoordinatorName, readonly { readonly port: number; readonly arn: pulumi.Output<string> }[]>
  >;
  /** What a service must wait for before it registers targets. */
  public readonly listeners: readonly pulumi.Resource[];
  /** Group of the load balancer: the only one that tasks let in. */
  public readonly securityGroupId: pulumi.Output<string>;
  public readonly endpointServiceName: pulumi.Output<string>;
  /** Addresses of a public entrance; empty otherwise. */
  public readonly publicCidrs: readonly pulumi.Output<string>[];
  public readonly loadBalancerSuffix: pulumi.Output<string>;

  /** @throws DeploymentInputError on a broken argument or without an explicit aws provider */
  constructor(name: string, args: CoordinatorEntranceArgs, opts?: pulumi.ComponentResourceOptions) {
    const what = `CoordinatorEntrance ${name}`;
    const { hostName, hostedZoneId, siteAccounts, otherRegions, directCidrs, isPublic } = checked(
      what,
      ARGUMENTS,
      args,
    );
    requireAwsProvider(what, opts);
    super('clara-federation:federation:CoordinatorEntrance', name, {}, opts);
    const child = { parent: this };
    const { network } = args;

    const group = securityGroup(
      name,
      {
        vpcId: network.vpcId,
        description: `Entrance of ${name}`,
        ingress: directCidrs.flatMap((cidr, index) =>
          COORDINATOR_PORTS.map((port) => ({
            name: `from-${index + 1}-${port}`,
            description: 'Operators and sites with a public link',
            port,
            peer: { cidr },
          })),
        ),
        egress: COORDINATOR_PORTS.map((port) => ({
          name: `to-tasks-${port}`,
          description: 'The coordinators',
          port,
          peer: { cidr: network.cidr },
        })),
      },
      child,
    );
    const subnets = Object.entries(isPublic ? network.publicSubnets : network.privateSubnets);
    const addresses = isPublic
      ? subnets.map(
          ([zone]) => new aws.ec2.Eip(`${name}-${zone}`, { domain: 'vpc', tags: { Name: `${name}-${zone}` } }, child),
        )
      : [];
    const balancer = new aws.lb.LoadBalancer(
      name,
      {
        namePrefix: 'clara-',
        loadBalancerType: 'network',
        internal: !isPublic,
        subnetMappings: subnets.map(([, subnetId], index) => ({
          subnetId,
          ...(isPublic && { allocationId: addresses[index].id }),
        })),
        securityGroups: [group.id],
        // Each coordinator is one task in one zone, and every zone must reach it.
        enableCrossZoneLoadBalancing: true,
        // Endpoints are accepted one by one, and their addresses are those of other networks.
        enforceSecurityGroupInboundRulesOnPrivateLinkTraffic: 'off',
        tags: { Name: name },
      },
      child,
    );
    const doors = COORDINATOR_NAMES.flatMap((coordinator) =>
      Object.values(COORDINATORS[coordinator]).map((port) => ({
        coordinator,
        port,
        ...this.#door(name, network, balancer, port),
      })),
    );
    const { partition } = placeOf(this);
    const service = new aws.ec2.VpcEndpointService(
      name,
      {
        networkLoadBalancerArns: [balancer.arn],
        acceptanceRequired: true,
        allowedPrincipals: siteAccounts.map((account) => pulumi.interpolate`arn:${partition}:iam::${account}:root`),
        ...(otherRegions.length > 0 && { supportedRegions: otherRegions }),
        tags: { Name: name },
      },
      { ...child, dependsOn: doors.map(({ listener }) => listener) },
    );
    if (hostedZoneId !== undefined) {
      new aws.route53.Record(
        name,
        {
          zoneId: hostedZoneId,
          name: hostName,
          type: 'A',
          aliases: [{ name: balancer.dnsName, zoneId: balancer.zoneId, evaluateTargetHealth: false }],
        },
        child,
      );
    }
    const doorsOf = (coordinator: CoordinatorName) =>
      doors.filter((door) => door.coordinator === coordinator).map(({ port, targets }) => ({ port, arn: targets.arn }));
    this.targets = { a: doorsOf('a'), b: doorsOf('b') };
    this.listeners = doors.map(({ listener }) => listener);
    this.securityGroupId = group.id;
    this.endpointServiceName = service.serviceName;
    this.publicCidrs = addresses.map(({ publicIp }) => pulumi.interpolate`${publicIp}/32`);
    this.loadBalancerSuffix = balancer.arnSuffix;
    this.registerOutputs({ endpointServiceName: this.endpointServiceName, publicCidrs: this.publicCidrs });
  }

  /** One port: TCP in, TCP out, the same number on both sides. */
  #door(name: string, network: SiteNetwork, balancer: aws.lb.LoadBalancer, port: number) {
    const child = { parent: this };
    const targets = new aws.lb.TargetGroup(
      `${name}-${port}`,
      {
        namePrefix: 'clara-',
        vpcId: network.vpcId,
        targetType: 'ip',
        protocol: 'TCP',
        port,
        preserveClientIp: 'false',
        deregistrationDelay: 30,
        connectionTermination: true,
        // Only that the port answers: a coordinator that stands by is healthy too, and refuses calls with the leader's name.
        healthCheck: { protocol: 'TCP', port: String(port), interval: 10, healthyThreshold: 2, unhealthyThreshold: 2 },
        tags: { Name: `${name}-${port}` },
      },
      child,
    );
    const listener = new aws.lb.Listener(
      `${name}-${port}`,
      {
        loadBalancerArn: balancer.arn,
        port,
        protocol: 'TCP',
        defaultActions: [{ type: 'forward', targetGroupArn: targets.arn }],
      },
      child,
    );
    return { targets, listener };
  }
}
