import * as pulumi from '@pulumi/pulumi';
import { z } from 'zod';
import * as aws from '../aws';
import { COORDINATOR_PORTS } from '../containers/coordinator-program';
import { requireAwsProvider } from '../explicit-provider';
import { checked } from '../faults';
import { cidrBlock, given, HOST_NAME } from '../input-rules';
import type { SiteNetwork } from '../network/site-network';
import { addRules, type Peer, type SecurityRule, securityGroup } from '../network/task-security-group';
import { ENDPOINT_SERVICE } from '../setting-rules';

export interface FederationLinkArgs {
  readonly network: SiteNetwork;
  /** Name of the coordinator, as its certificate has it. */
  readonly coordinatorHost: string;
  readonly via: PrivateLink | PublicLink;
}

/** An interface endpoint of PrivateLink: nothing leaves AWS's network, and the coordinator has no public address. */
export interface PrivateLink {
  readonly kind: 'private';
  /** `com.amazonaws.vpce.<region>.vpce-svc-...`, an output of the coordinator's stack. */
  readonly serviceName: string;
  /** Region of the coordinator, where it differs from the site's. @default the same */
  readonly serviceRegion?: string;
}

/** The coordinator's public load balancer, through this site's NAT gateway. */
export interface PublicLink {
  readonly kind: 'public';
  /** Addresses of the load balancer; nothing else outside is reached on these ports. */
  readonly coordinatorCidrs: readonly string[];
}

const LINK = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({
      kind: z.literal('private'),
      serviceName: z
        .string()
        .regex(
          ENDPOINT_SERVICE,
          "must be the name of the coordinator's endpoint service, com.amazonaws.vpce.<region>.vpce-svc-...",
        ),
      serviceRegion: z.string().optional(),
    }),
    z.strictObject({ kind: z.literal('public'), coordinatorCidrs: z.array(cidrBlock(8, 32)).min(1) }),
  ],
  { error: 'must be private or public' },
);

const ARGUMENTS = z.strictObject({
  network: given,
  coordinatorHost: z.string().regex(HOST_NAME, 'must be a host name'),
  via: LINK,
});

/**
 * The one way out of a site: to the coordinator's ports. TLS passes through untouched, because both sides check each other's
 * certificates; so the name in the coordinator's certificate must be the one that is dialled, and with PrivateLink a private
 * zone makes that name point at the endpoint.
 */
export class FederationLink extends pulumi.ComponentResource {
  /** Egress rules for the group of whoever talks to the coordinator. */
  public readonly egress: readonly SecurityRule[];

  /** @throws DeploymentInputError on a broken argument or without an explicit aws provider */
  constructor(name: string, args: FederationLinkArgs, opts?: pulumi.ComponentResourceOptions) {
    const what = `FederationLink ${name}`;
    const { via, coordinatorHost } = checked(what, ARGUMENTS, args);
    requireAwsProvider(what, opts);
    super('clara-federation:federation:FederationLink', name, {}, opts);

    if (via.kind === 'public') {
      this.egress = via.coordinatorCidrs.flatMap((cidr, index) => toCoordinator(`coordinator-${index + 1}`, { cidr }));
      this.registerOutputs({ coordinatorHost });
      return;
    }
    const endpoint = this.#endpoint(name, args.network, via);
    this.#privateName(name, args.network, coordinatorHost, endpoint.entry);
    this.egress = toCoordinator('coordinator', { group: endpoint.groupId });
    this.registerOutputs({ coordinatorHost, endpointId: endpoint.id });
  }

  #endpoint(name: string, network: SiteNetwork, { serviceName, serviceRegion }: PrivateLink) {
    const child = { parent: this };
    const group = securityGroup(name, { vpcId: network.vpcId, description: `Way to the coordinator, ${name}` }, child);
    addRules(
      name,
      group,
      {
        ingress: COORDINATOR_PORTS.map((port) => ({
          name: `from-site-${port}`,
          description: 'The agent of this site',
          port,
          peer: { cidr: network.cidr },
        })),
      },
      child,
    );
    const endpoint = new aws.ec2.VpcEndpoint(
      name,
      {
        vpcId: network.vpcId,
        vpcEndpointType: 'Interface',
        serviceName,
        ...(serviceRegion !== undefined && { serviceRegion }),
        subnetIds: Object.values(network.privateSubnets),
        securityGroupIds: [group.id],
        // The service's own private name would need the coordinator to prove its domain; the zone below does the same.
        privateDnsEnabled: false,
        tags: { Name: name },
      },
      child,
    );
    return { id: endpoint.id, groupId: group.id, entry: endpoint.dnsEntries.apply((entries) => entries[0]) };
  }

  #privateName(
    name: string,
    network: SiteNetwork,
    host: string,
    entry: pulumi.Output<aws.types.output.ec2.VpcEndpointDnsEntry>,
  ): void {
    const zone = new aws.route53.Zone(
      name,
      { name: host, comment: 'The coordinator, through PrivateLink', vpcs: [{ vpcId: network.vpcId }] },
      { parent: this },
    );
    new aws.route53.Record(
      name,
      {
        zoneId: zone.zoneId,
        name: host,
        type: 'A',
        aliases: [{ name: entry.dnsName, zoneId: entry.hostedZoneId, evaluateTargetHealth: false }],
      },
      { parent: this },
    );
  }
}

function toCoordinator(name: string, peer: Peer): SecurityRule[] {
  return COORDINATOR_PORTS.map((port) => ({
    name: `to-${name}-${port}`,
    description: 'The coordinator of the federation',
    port,
    peer,
  }));
}
