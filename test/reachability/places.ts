import type { Network, Place } from './network';

/** The places of a stack, read from its plan, with the groups and subnets that they are given there. */

interface TaskNetwork {
  readonly subnets: readonly string[];
  readonly securityGroups: readonly string[];
}

type Properties = Readonly<Record<string, unknown>>;

const SERVICE = 'aws:ecs/service:Service';
const BALANCER = 'aws:lb/loadBalancer:LoadBalancer';

/** @param owner site or environment, with which the names of its resources begin */
export function placesOf(network: Network, owner: string, vpcCidr: string): Place[] {
  const rangeOf = (subnet: string) =>
    String(network.ofType('aws:ec2/subnet:Subnet').find(({ id }) => id === subnet)?.inputs.cidrBlock ?? vpcCidr);
  const place = (name: string, { subnets, securityGroups }: TaskNetwork, more: Partial<Place> = {}): Place => ({
    name,
    groups: securityGroups,
    subnets,
    addresses: [...new Set(subnets.map(rangeOf))],
    isPublic: false,
    ...more,
  });
  const named = (name: string) => (name.startsWith(`${owner}-`) ? name.slice(owner.length + 1) : name);
  return [
    ...network.ofType(SERVICE).map(({ name, inputs }) => {
      const { assignPublicIp, ...own } = inputs.networkConfiguration as TaskNetwork & {
        readonly assignPublicIp: boolean;
      };
      return place(`tasks of ${named(name)}`, own, { isPublic: assignPublicIp });
    }),
    ...trainers(network).map((own) => place('trainers', own)),
    ...oneShots(network).map((own) => place('one-shot tasks', own)),
    ...network.ofType('aws:autoscaling/group:Group').map(({ name, inputs }) => {
      const { id } = inputs.launchTemplate as { readonly id: string };
      const template = network.ofType('aws:ec2/launchTemplate:LaunchTemplate').find((each) => each.id === id)!;
      return place(`instances of ${named(name)}`, {
        subnets: inputs.vpcZoneIdentifiers as string[],
        securityGroups: template.inputs.vpcSecurityGroupIds as string[],
      });
    }),
    ...network
      .ofType('aws:ec2/instance:Instance')
      .map(({ name, inputs }) =>
        place(
          named(name),
          { subnets: [String(inputs.subnetId)], securityGroups: inputs.vpcSecurityGroupIds as string[] },
          { isPublic: inputs.associatePublicIpAddress === true },
        ),
      ),
    ...network.ofType(BALANCER).map(({ inputs, id }) => {
      const mapped = (inputs.subnetMappings ?? []) as { readonly subnetId: string }[];
      const subnets = (inputs.subnets as string[] | undefined) ?? mapped.map(({ subnetId }) => subnetId);
      const listens = network
        .ofType('aws:lb/listener:Listener')
        .filter((listener) => listener.inputs.loadBalancerArn === id)
        .map((listener) => Number(listener.inputs.port));
      return place(
        'load balancer',
        { subnets, securityGroups: inputs.securityGroups as string[] },
        { isPublic: inputs.internal !== true, listens },
      );
    }),
    ...workspaces(network).map((own) => place('workspace', own)),
    ...interfaceEndpoints(network).map(([name, own]) => place(name, own)),
    {
      name: 'other machine in the network',
      groups: [],
      // Where tasks run and workspaces are mounted.
      subnets: [
        ...new Set([
          ...network.ofType('aws:efs/mountTarget:MountTarget').map(({ inputs }) => String(inputs.subnetId)),
          ...network.ofType(SERVICE).flatMap(({ inputs }) => (inputs.networkConfiguration as TaskNetwork).subnets),
        ]),
      ],
      addresses: [vpcCidr],
      isPublic: false,
    },
  ];
}

/** What the agent gives to ECS with each training task: its configuration says so. */
function trainers(network: Network): TaskNetwork[] {
  return network.ofType('aws:ecs/taskDefinition:TaskDefinition').flatMap(({ name, inputs }) => {
    if (!name.endsWith('-agent')) return [];
    const containers = JSON.parse(String(inputs.containerDefinitions)) as {
      readonly environment: readonly { readonly name: string; readonly value: string }[];
    }[];
    const text = containers.flatMap((each) => each.environment).find((each) => each.name === 'CONFIGURATION')!.value;
    const { trainer } = JSON.parse(text) as { readonly trainer: { readonly ecs: { readonly network: TaskNetwork } } };
    return [trainer.ecs.network];
  });
}

/** What a person pastes: the commands are outputs of the stack. */
function oneShots(network: Network): TaskNetwork[] {
  return network.ofType('clara-federation:federation:WorkspaceBootstrap').map(({ outputs }) => {
    const { preflight } = (outputs as { readonly commands: { readonly preflight: string } }).commands;
    const { awsvpcConfiguration } = JSON.parse(/--network-configuration '(.*)'/.exec(preflight)![1]) as {
      readonly awsvpcConfiguration: TaskNetwork;
    };
    return awsvpcConfiguration;
  });
}

function workspaces(network: Network): TaskNetwork[] {
  const mounts = network.ofType('aws:efs/mountTarget:MountTarget').map(({ inputs }) => inputs);
  return mounts.length === 0 ? [] : [joined(mounts, (inputs) => [String(inputs.subnetId)], 'securityGroups')];
}

function interfaceEndpoints(network: Network): (readonly [string, TaskNetwork])[] {
  const interfaces = network
    .ofType('aws:ec2/vpcEndpoint:VpcEndpoint')
    .map(({ inputs }) => inputs)
    .filter(({ vpcEndpointType }) => vpcEndpointType === 'Interface');
  const isLink = ({ serviceName }: Properties) => String(serviceName).includes('.vpce-svc-');
  const kinds = [
    ['way to the coordinator', interfaces.filter(isLink)],
    ['AWS endpoints', interfaces.filter((each) => !isLink(each))],
  ] as const;
  return kinds
    .filter(([, some]) => some.length > 0)
    .map(([name, some]) => [name, joined(some, ({ subnetIds }) => subnetIds as string[], 'securityGroupIds')] as const);
}

/** Interfaces that are guarded alike, as one place. */
function joined(
  all: readonly Properties[],
  subnetsOf: (inputs: Properties) => readonly string[],
  groups: 'securityGroups' | 'securityGroupIds',
): TaskNetwork {
  const sets = new Set(all.map((inputs) => JSON.stringify(inputs[groups])));
  if (sets.size !== 1) throw new Error(`${sets.size} kinds of guards where one was expected: ${[...sets].join(' ')}`);
  return {
    subnets: [...new Set(all.flatMap(subnetsOf))],
    securityGroups: JSON.parse([...sets][0]) as string[],
  };
}
