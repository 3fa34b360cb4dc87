import type { Registration } from '../engine/deployment';

/** A plan with one thing more or different in its network, and which door that opens or shuts. */
export interface Mutation {
  readonly what: string;
  readonly stack: string;
  readonly change: (resources: readonly Registration[]) => readonly Registration[];
  readonly door: readonly [from: string, to: string, port: number];
  readonly leaves: 'open' | 'shut' | 'still shut';
}

type Inputs = Readonly<Record<string, unknown>>;

const INGRESS = 'aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule';
const EGRESS = 'aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule';
const ROUTE = 'aws:ec2/route:Route';

/** One more of what is there, with other inputs. */
const oneMore =
  (named: string, type: string, inputs: Inputs) =>
  (resources: readonly Registration[]): Registration[] => [
    ...resources,
    { ...only(resources, named, type), inputs: { ...only(resources, named, type).inputs, ...inputs } },
  ];

const other =
  (named: string, type: string, inputs: Inputs) =>
  (resources: readonly Registration[]): Registration[] => {
    const found = only(resources, named, type);
    return resources.map((each) => (each === found ? { ...each, inputs: { ...each.inputs, ...inputs } } : each));
  };

const without =
  (named: string, type: string) =>
  (resources: readonly Registration[]): Registration[] => {
    const found = only(resources, named, type);
    return resources.filter((each) => each !== found);
  };

function only(resources: readonly Registration[], named: string, type: string): Registration {
  const found = resources.filter((each) => each.name === named && each.type === type);
  if (found.length !== 1)
    throw new Error(`${found.length} resources ${type} ${named}: a mutation of nothing shows nothing`);
  return found[0];
}

const EVERYWHERE = { cidrIpv4: '0.0.0.0/0', referencedSecurityGroupId: undefined };

export const MUTATIONS: readonly Mutation[] = [
  {
    what: 'mount targets let the whole network in',
    stack: 'prod-charite',
    change: oneMore('charite-workspace-from-clients', INGRESS, EVERYWHERE),
    door: ['other machine in the network', 'workspace', 2049],
    leaves: 'open',
  },
  {
    what: 'tasks lose their way to the workspace',
    stack: 'prod-charite',
    change: without('charite-workspace-to-mounts', EGRESS),
    door: ['trainers', 'workspace', 2049],
    leaves: 'shut',
  },
  {
    what: 'trainers may call the coordinator',
    stack: 'prod-charite',
    change: oneMore('charite-training-to-endpoints', EGRESS, { ...EVERYWHERE, fromPort: 0, toPort: 65_535 }),
    door: ['trainers', 'way to the coordinator', 8443],
    leaves: 'open',
  },
  {
    what: 'the public load balancer is open to everybody',
    stack: 'prod-leeds',
    change: oneMore('leeds-annotation-front-from-clients-1-443', INGRESS, EVERYWHERE),
    door: ['anybody on the internet', 'load balancer', 443],
    leaves: 'open',
  },
  {
    what: 'tasks take calls from everybody, but have no public address',
    stack: 'prod-leeds',
    change: oneMore('leeds-annotation-tasks-from-front', INGRESS, EVERYWHERE),
    door: ['anybody on the internet', 'tasks of annotation', 5000],
    leaves: 'still shut',
  },
  {
    what: 'private subnets have a route to the internet gateway: the agent still has no address there',
    stack: 'prod-leeds',
    change: oneMore('leeds-network-private-1', ROUTE, { gatewayId: 'igw-0', natGatewayId: undefined }),
    door: ['anybody on the internet', 'tasks of agent', 443],
    leaves: 'still shut',
  },
  {
    what: 'the NAT gateway has no route',
    stack: 'prod-leeds',
    change: without('leeds-network-private-1', ROUTE),
    door: ['tasks of agent', 'the coordinator', 8443],
    leaves: 'shut',
  },
  {
    what: 'the load balancer is in private subnets only',
    stack: 'prod-leeds',
    change: other('leeds-annotation', 'aws:lb/loadBalancer:LoadBalancer', { internal: true }),
    door: ['listed clients', 'load balancer', 443],
    leaves: 'shut',
  },
  {
    what: 'nobody listens on 443',
    stack: 'prod-leeds',
    change: without('leeds-annotation-https', 'aws:lb/listener:Listener'),
    door: ['listed clients', 'load balancer', 443],
    leaves: 'shut',
  },
  {
    what: 'a coordinator takes calls past its load balancer',
    stack: 'prod',
    change: oneMore('prod-coordinator-a-from-entrance-8443', INGRESS, EVERYWHERE),
    door: ['other machine in the network', 'tasks of coordinator-a', 8443],
    leaves: 'open',
  },
];
