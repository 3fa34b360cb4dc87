import * as pulumi from '@pulumi/pulumi';
import { z } from 'zod';
import * as aws from '../aws';
import { requireAwsProvider } from '../explicit-provider';
import { checked } from '../faults';
import { cidrBlock, SUBNET_ID, subnetsByZone, textInput, VPC_ID, zoneNames } from '../input-rules';
import { placeOf } from '../place';
import { ownAccountEndpointPolicy, storageEndpointPolicy } from './endpoint-policies';
import { interfaceEndpoints, type NetworkNeeds } from './endpoints';
import { flowLogs } from './flow-logs';
import { type Peer, type SecurityRule, securityGroup } from './task-security-group';
import { zonedVpc } from './zoned-vpc';

/** HTTPS, the port of every AWS API. */
export const HTTPS_PORT = 443;

export interface NewNetworkArgs {
  /** IPv4 range of the VPC, /16 to /24. Networks of sites may overlap: nothing is routed between them. */
  readonly cidr: string;
  /** Zone names by zone id, at least two. */
  readonly zones: Readonly<Record<string, string>>;
  /** `nat`: one NAT gateway; `isolated`: no way to or from the internet, AWS is reached through endpoints. */
  readonly egress: 'nat' | 'isolated';
  /** What will run here; decides the endpoints of an isolated network. */
  readonly needs: NetworkNeeds;
  /** Days for which flow logs are kept. */
  readonly flowLogDays: number;
  /** KMS key of the flow logs; its policy must let CloudWatch Logs use it. */
  readonly logKeyArn: pulumi.Input<string>;
}

export interface ExistingNetworkArgs {
  /** A VPC that somebody else keeps, with its routes, endpoints and flow logs. */
  readonly existing: {
    readonly vpcId: pulumi.Input<string>;
    readonly cidr: string;
    /** Private subnet ids by zone id, at least two. */
    readonly privateSubnets: Readonly<Record<string, pulumi.Input<string>>>;
    /** Public subnet ids by zone id, for a public load balancer. @default none */
    readonly publicSubnets?: Readonly<Record<string, pulumi.Input<string>>>;
  };
}

export type SiteNetworkArgs = NewNetworkArgs | ExistingNetworkArgs;

const subnet = textInput(SUBNET_ID, 'must be the id of a subnet, subnet-...');

const NEW = z.strictObject({
  cidr: cidrBlock(16, 24),
  zones: zoneNames,
  egress: z.enum(['nat', 'isolated'], { error: 'must be nat or isolated' }),
  needs: z.custom<NetworkNeeds>((value) => typeof value === 'object' && value !== null, 'must say what runs here'),
  flowLogDays: z.number().int().min(1),
  logKeyArn: textInput(/^arn:/, 'must be the ARN of a KMS key'),
});

const EXISTING = z.strictObject({
  existing: z.strictObject({
    vpcId: textInput(VPC_ID, 'must be the id of a VPC, vpc-...'),
    cidr: cidrBlock(8, 28),
    privateSubnets: subnetsByZone(subnet),
    publicSubnets: z.union([z.strictObject({}), subnetsByZone(subnet)]).default({}),
  }),
});

/** Where the tasks of a site run: two zones or more, private subnets, and the narrowest way to AWS. */
export class SiteNetwork extends pulumi.ComponentResource {
  public readonly vpcId: pulumi.Output<string>;
  /** Plain, because it is configuration. */
  public readonly cidr: string;
  /** Subnet id by zone id. */
  public readonly privateSubnets: Readonly<Record<string, pulumi.Output<string>>>;
  /** Empty when there are none. */
  public readonly publicSubnets: Readonly<Record<string, pulumi.Output<string>>>;
  /** Where AWS APIs are, seen from a task: egress rules that each task's group takes. */
  public readonly awsApis: readonly SecurityRule[];

  /** @throws DeploymentInputError on a broken argument or without an explicit aws provider */
  constructor(name: string, args: SiteNetworkArgs, opts?: pulumi.ComponentResourceOptions) {
    const what = `SiteNetwork ${name}`;
    const given: SiteNetworkArgs = 'existing' in args ? checked(what, EXISTING, args) : checked(what, NEW, args);
    const provider = requireAwsProvider(what, opts);
    super('clara-federation:network:SiteNetwork', name, {}, opts);
    const child = { parent: this };

    if ('existing' in given) {
      const { vpcId, cidr, privateSubnets, publicSubnets = {} } = given.existing;
      this.vpcId = pulumi.output(vpcId);
      this.cidr = cidr;
      this.privateSubnets = outputs(privateSubnets);
      this.publicSubnets = outputs(publicSubnets);
      this.awsApis = [toAws('aws-apis', { cidr: '0.0.0.0/0' })];
    } else {
      const { cidr, zones, egress } = given;
      const vpc = zonedVpc(name, { cidr, zones, egress, provider, parent: this });
      this.vpcId = vpc.vpcId;
      this.cidr = cidr;
      this.privateSubnets = vpc.privateSubnets;
      this.publicSubnets = vpc.publicSubnets;
      flowLogs(name, { vpcId: vpc.vpcId, retentionDays: given.flowLogDays, keyArn: given.logKeyArn }, child);
      // A group that nobody configured would let its members talk to each other and to the world.
      new aws.ec2.DefaultSecurityGroup(`${name}-default`, { vpcId: vpc.vpcId, ingress: [], egress: [] }, child);
      const storage = this.#storageEndpoint(name, vpc);
      this.awsApis =
        egress === 'nat'
          ? [toAws('aws-apis', { cidr: '0.0.0.0/0' })]
          : [
              toAws('endpoints', { group: this.#interfaceEndpoints(name, vpc, given) }),
              toAws('s3', { prefixList: storage.prefixListId }),
            ];
    }
    this.registerOutputs({
      vpcId: this.vpcId,
      privateSubnets: this.privateSubnets,
      publicSubnets: this.publicSubnets,
    });
  }

  /** Free, and it keeps datasets and image layers off the NAT gateway, which is paid by the byte. */
  #storageEndpoint(name: string, { vpcId, routeTableIds }: ReturnType<typeof zonedVpc>): aws.ec2.VpcEndpoint {
    const { partition, region, accountId } = placeOf(this);
    return new aws.ec2.VpcEndpoint(
      `${name}-s3`,
      {
        vpcId,
        vpcEndpointType: 'Gateway',
        serviceName: region.apply((area) => `com.amazonaws.${area}.s3`),
        routeTableIds,
        policy: pulumi.jsonStringify(
          pulumi
            .all([partition, region, accountId])
            .apply(([part, area, account]) => storageEndpointPolicy(part, area, account)),
        ),
        tags: { Name: `${name}-s3` },
      },
      { parent: this },
    );
  }

  /** @returns the group that all of them wear */
  #interfaceEndpoints(
    name: string,
    { vpcId, privateSubnets }: ReturnType<typeof zonedVpc>,
    { cidr, needs }: NewNetworkArgs,
  ): pulumi.Output<string> {
    const { region, accountId } = placeOf(this);
    const group = securityGroup(
      `${name}-endpoints`,
      {
        vpcId,
        description: `AWS endpoints of ${name}`,
        ingress: [{ name: 'from-vpc', description: 'AWS APIs, from this VPC', port: HTTPS_PORT, peer: { cidr } }],
      },
      { parent: this },
    );
    for (const service of interfaceEndpoints(needs)) {
      new aws.ec2.VpcEndpoint(
        `${name}-${service.replace('.', '-')}`,
        {
          vpcId,
          vpcEndpointType: 'Interface',
          serviceName: region.apply((area) => `com.amazonaws.${area}.${service}`),
          subnetIds: Object.values(privateSubnets),
          securityGroupIds: [group.id],
          privateDnsEnabled: true,
          policy: pulumi.jsonStringify(accountId.apply(ownAccountEndpointPolicy)),
          tags: { Name: `${name}-${service}` },
        },
        { parent: this },
      );
    }
    return group.id;
  }
}

function toAws(name: string, peer: Peer): SecurityRule {
  return { name: `to-${name}`, description: 'AWS APIs', port: HTTPS_PORT, peer };
}

function outputs(subnets: Readonly<Record<string, pulumi.Input<string>>>): Record<string, pulumi.Output<string>> {
  return Object.fromEntries(Object.entries(subnets).map(([zone, id]) => [zone, pulumi.output(id)]));
}
