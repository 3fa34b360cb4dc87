import { Vpc } from '@pulumi/awsx/ec2';
import type * as pulumi from '@pulumi/pulumi';
import type * as aws from '../aws';
import { addressPlan } from './address-plan';

/** A VPC with its subnets and routes, as the rest of the platform wants to see it. */
export interface ZonedVpc {
  readonly vpcId: pulumi.Output<string>;
  /** Subnet id by zone id. */
  readonly privateSubnets: Readonly<Record<string, pulumi.Output<string>>>;
  readonly publicSubnets: Readonly<Record<string, pulumi.Output<string>>>;
  /** Of all subnets. */
  readonly routeTableIds: pulumi.Output<string[]>;
}

export interface ZonedVpcOptions {
  readonly cidr: string;
  /** Zone name (`eu-west-2a`) by zone id (`euw2-az1`): awsx takes names, which mean something else in every account. */
  readonly zones: Readonly<Record<string, string>>;
  /** One NAT gateway for all zones, with public subnets for it; or no way out at all. */
  readonly egress: 'nat' | 'isolated';
  readonly provider: aws.Provider;
  readonly parent: pulumi.Resource;
}

/**
 * The adaptor to `awsx.ec2.Vpc`, and the only place that knows it. Its weak points are avoided here: the provider is said
 * explicitly (nested in a component it has fallen back to the default one: pulumi-awsx issue 887), so are zones and address
 * ranges, and nothing decides on its outputs, because it is a remote component whose children a preview may not know.
 */
export function zonedVpc(name: string, { cidr, zones, egress, provider, parent }: ZonedVpcOptions): ZonedVpc {
  const zoneIds = Object.keys(zones);
  const plan = addressPlan(cidr, zoneIds.length);
  const isolated = egress === 'isolated';
  const vpc = new Vpc(
    name,
    {
      cidrBlock: cidr,
      enableDnsHostnames: true,
      enableDnsSupport: true,
      availabilityZoneNames: zoneIds.map((id) => zones[id]),
      natGateways: { strategy: isolated ? 'None' : 'Single' },
      subnetStrategy: 'Auto',
      subnetSpecs: isolated
        ? [{ type: 'Isolated', name: 'private', cidrBlocks: [...plan.private] }]
        : [
            { type: 'Private', name: 'private', cidrBlocks: [...plan.private] },
            { type: 'Public', name: 'public', cidrBlocks: [...plan.public] },
          ],
      tags: { Name: name },
    },
    { parent, providers: { aws: provider } },
  );
  const privateIds = isolated ? vpc.isolatedSubnetIds : vpc.privateSubnetIds;
  const byZone = (ids: pulumi.Output<string[]>) =>
    Object.fromEntries(zoneIds.map((zone, index) => [zone, ids.apply((list) => list[index])]));
  return {
    vpcId: vpc.vpcId,
    privateSubnets: byZone(privateIds),
    publicSubnets: isolated ? {} : byZone(vpc.publicSubnetIds),
    routeTableIds: vpc.routeTables.apply((tables) => tables.map((table) => table.id)) as unknown as pulumi.Output<
      string[]
    >,
  };
}
