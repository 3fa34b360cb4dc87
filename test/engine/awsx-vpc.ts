import type { RegistrationAnswer, RegistrationRequest } from './deployment';
import { type Properties, resourceReference, UNKNOWN_WIRE } from './property-values';

/** Where the children of a component are registered: the engine double, or the real engine. */
export interface ChildRegistrar {
  readonly isPreview: boolean;
  readonly register: (request: RegistrationRequest) => Promise<RegistrationAnswer>;
}

/**
 * What the provider of `@pulumi/awsx` registers for an `awsx.ec2.Vpc` (pulumi-awsx, awsx/ec2/vpc.ts), with explicit ranges and at
 * most one NAT gateway: that is all that our adaptor asks for, and anything else is refused. Every child goes through the
 * engine's rules, so one that finds no provider fails here as it would there.
 */
export async function expandVpc(
  { name, inputs }: Pick<RegistrationRequest, 'name' | 'inputs'>,
  urn: string,
  { isPreview, register }: ChildRegistrar,
): Promise<Properties> {
  const {
    availabilityZoneNames: zones,
    subnetSpecs: specs,
    natGateways,
    cidrBlock,
    tags,
  } = inputs as unknown as VpcInputs;
  const strategy = natGateways?.strategy;
  if (zones === undefined || specs === undefined || (strategy !== 'None' && strategy !== 'Single')) {
    throw new Error(
      `the engine double expands awsx.ec2.Vpc only with explicit zones, ranges and one NAT gateway or none: ${name}`,
    );
  }
  const make = async (
    type: string,
    childName: string,
    parent: string,
    childInputs: Properties,
    after: readonly string[] = [],
  ) => {
    const dependencies = [...(parent === urn ? [] : [parent]), ...after];
    const made = await register({ ...BARE, type, name: childName, parent, inputs: childInputs, dependencies });
    return { ...made, id: made.id || UNKNOWN_WIRE };
  };

  const { enableDnsHostnames, enableDnsSupport } = inputs;
  const vpc = await make('aws:ec2/vpc:Vpc', name, urn, { cidrBlock, enableDnsHostnames, enableDnsSupport, tags });
  const gateway = await make('aws:ec2/internetGateway:InternetGateway', name, vpc.urn, { vpcId: vpc.id, tags });
  const ids: Record<SubnetType, string[]> = { Private: [], Public: [], Isolated: [] };
  const tables: Properties[] = [];
  let nat: RegistrationAnswer | undefined;
  for (const [index, zone] of zones.entries()) {
    // Public subnets first, because the NAT gateway stands in one.
    for (const spec of [...specs].sort((a, b) => Number(b.type === 'Public') - Number(a.type === 'Public'))) {
      const subnetName = `${name}-${spec.name}-${index + 1}`;
      const subnetTags = { ...tags, Name: subnetName, SubnetType: spec.type };
      const subnet = await make('aws:ec2/subnet:Subnet', subnetName, vpc.urn, {
        vpcId: vpc.id,
        availabilityZone: zone,
        cidrBlock: spec.cidrBlocks[index],
        mapPublicIpOnLaunch: spec.type === 'Public',
        tags: subnetTags,
      });
      ids[spec.type].push(subnet.id);
      const table = await make('aws:ec2/routeTable:RouteTable', subnetName, subnet.urn, {
        vpcId: vpc.id,
        tags: subnetTags,
      });
      tables.push(resourceReference(table.urn, table.id));
      await make('aws:ec2/routeTableAssociation:RouteTableAssociation', subnetName, table.urn, {
        routeTableId: table.id,
        subnetId: subnet.id,
      });
      const gatewayName = `${name}-${index + 1}`;
      if (spec.type === 'Public' && strategy === 'Single' && nat === undefined) {
        const address = await make('aws:ec2/eip:Eip', gatewayName, subnet.urn, {
          tags: { ...tags, Name: gatewayName },
        });
        const allocationId = address.outputs.allocationId ?? UNKNOWN_WIRE;
        const natTags = { ...tags, Name: gatewayName };
        const gatewayInputs = { subnetId: subnet.id, allocationId, tags: natTags };
        nat = await make('aws:ec2/natGateway:NatGateway', gatewayName, subnet.urn, gatewayInputs, [address.urn]);
      }
      if (spec.type === 'Isolated' || (spec.type === 'Private' && nat === undefined)) continue;
      const way = spec.type === 'Public' ? { gatewayId: gateway.id } : { natGatewayId: nat!.id };
      const target = spec.type === 'Public' ? gateway : nat!;
      const routeInputs = { routeTableId: table.id, destinationCidrBlock: '0.0.0.0/0', ...way };
      await make('aws:ec2/route:Route', subnetName, table.urn, routeInputs, [target.urn]);
    }
  }
  const outputs = {
    vpcId: vpc.id,
    privateSubnetIds: ids.Private,
    publicSubnetIds: ids.Public,
    isolatedSubnetIds: ids.Isolated,
    routeTables: tables,
  };
  if (!isPreview) return outputs;
  // Where a part of an output is still to be made nothing of it is known; what exists keeps its ids in a preview.
  const isKnown = (value: unknown): boolean => !JSON.stringify(value).includes(UNKNOWN_WIRE);
  return Object.fromEntries(
    Object.entries(outputs).map(([key, value]) => [key, isKnown(value) ? value : UNKNOWN_WIRE]),
  );
}

type SubnetType = 'Private' | 'Public' | 'Isolated';

interface VpcInputs {
  readonly cidrBlock: string;
  readonly availabilityZoneNames?: readonly string[];
  readonly natGateways?: { readonly strategy: string };
  readonly subnetSpecs?: readonly {
    readonly type: SubnetType;
    readonly name: string;
    readonly cidrBlocks: readonly string[];
  }[];
  readonly tags: Properties;
}

const BARE = {
  custom: true,
  provider: '',
  providers: {},
  protect: undefined,
  retainOnDelete: false,
  deleteBeforeReplace: false,
  ignoreChanges: [],
  replaceOnChanges: [],
  aliases: [],
  propertyDependencies: {},
  secretOutputs: [],
} as const;
