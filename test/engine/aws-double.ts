import { createHash } from 'node:crypto';
import type { Properties } from './property-values';

/**
 * What AWS would answer: identifiers and ARNs in the right form, made from the resource's URN so that they never change.
 * A type that is not in the table gets an id and no further outputs.
 */

export interface MadeResource {
  readonly id: string;
  /** Outputs beyond the inputs. */
  readonly outputs: Properties;
}

export interface ResourceToMake {
  readonly type: string;
  readonly name: string;
  readonly urn: string;
  readonly inputs: Properties;
}

interface Place {
  readonly partition: string;
  readonly region: string;
  readonly account: string;
}

/** `name`, the property that the provider fills in from the resource's name when the program does not (pulumi-aws, autonaming). */
const NAMED: Readonly<Record<string, string>> = {
  'aws:s3/bucket:Bucket': 'bucket',
  'aws:iam/role:Role': 'name',
  'aws:iam/policy:Policy': 'name',
  'aws:iam/instanceProfile:InstanceProfile': 'name',
  'aws:iam/rolePolicy:RolePolicy': 'name',
  'aws:cloudwatch/logGroup:LogGroup': 'name',
  'aws:ecs/cluster:Cluster': 'name',
  'aws:ecs/service:Service': 'name',
  'aws:ecs/capacityProvider:CapacityProvider': 'name',
  'aws:autoscaling/group:Group': 'name',
  'aws:ec2/launchTemplate:LaunchTemplate': 'name',
  'aws:secretsmanager/secret:Secret': 'name',
  'aws:sns/topic:Topic': 'name',
  'aws:budgets/budget:Budget': 'name',
  'aws:ec2/securityGroup:SecurityGroup': 'name',
  'aws:cloudtrail/trail:Trail': 'name',
  'aws:organizations/policy:Policy': 'name',
};

type Maker = (made: Made, place: Place) => MadeResource;

interface Made extends ResourceToMake {
  /** As given, or as the provider would make it up. */
  readonly named: string;
}

/** Types whose id is a prefix and digits, with the ARN that is made of it: `service:rest`, where `$` is the id. */
const PREFIXED: Readonly<Record<string, readonly [prefix: string, arn?: string]>> = {
  'aws:efs/mountTarget:MountTarget': ['fsmt-'],
  'aws:ec2/securityGroup:SecurityGroup': ['sg-', 'ec2:security-group/$'],
  'aws:ec2/defaultSecurityGroup:DefaultSecurityGroup': ['sg-', 'ec2:security-group/$'],
  'aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule': ['sgr-', 'ec2:security-group-rule/$'],
  'aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule': ['sgr-', 'ec2:security-group-rule/$'],
  'aws:ec2/vpc:Vpc': ['vpc-', 'ec2:vpc/$'],
  'aws:ec2/subnet:Subnet': ['subnet-', 'ec2:subnet/$'],
  'aws:ec2/routeTable:RouteTable': ['rtb-', 'ec2:route-table/$'],
  'aws:ec2/routeTableAssociation:RouteTableAssociation': ['rtbassoc-'],
  'aws:ec2/route:Route': ['r-'],
  'aws:ec2/internetGateway:InternetGateway': ['igw-', 'ec2:internet-gateway/$'],
  'aws:ec2/natGateway:NatGateway': ['nat-'],
  'aws:ec2/eip:Eip': ['eipalloc-', 'ec2:elastic-ip/$'],
  'aws:ec2/flowLog:FlowLog': ['fl-', 'ec2:vpc-flow-log/$'],
  'aws:ec2/launchTemplate:LaunchTemplate': ['lt-', 'ec2:launch-template/$'],
  'aws:ec2/instance:Instance': ['i-', 'ec2:instance/$'],
  'aws:organizations/policy:Policy': ['p-'],
};

/** Types with a name and an ARN that is made of it: `service:rest`, where `$` is the name. IAM has no region. */
const BY_NAME: Readonly<Record<string, string>> = {
  'aws:iam/role:Role': 'iam:role/$',
  'aws:iam/instanceProfile:InstanceProfile': 'iam:instance-profile/$',
  'aws:cloudwatch/logGroup:LogGroup': 'logs:log-group:$',
  'aws:ecs/cluster:Cluster': 'ecs:cluster/$',
  'aws:ecs/capacityProvider:CapacityProvider': 'ecs:capacity-provider/$',
  'aws:sns/topic:Topic': 'sns:$',
  'aws:cloudwatch/metricAlarm:MetricAlarm': 'cloudwatch:alarm:$',
  'aws:cloudtrail/trail:Trail': 'cloudtrail:trail/$',
  'aws:ecr/repository:Repository': 'ecr:repository/$',
};

const MAKERS: Readonly<Record<string, Maker>> = {
  'aws:s3/bucket:Bucket': ({ named: bucket }, { partition, region }) => ({
    id: bucket,
    outputs: {
      bucket,
      arn: `arn:${partition}:s3:::${bucket}`,
      region,
      bucketDomainName: `${bucket}.s3.${dnsSuffix(partition)}`,
    },
  }),
  'aws:kms/key:Key': ({ urn }, place) => {
    const d = digits(urn, 32);
    const id = [d.slice(0, 8), d.slice(8, 12), d.slice(12, 16), d.slice(16, 20), d.slice(20)].join('-');
    return { id, outputs: { keyId: id, arn: arn('kms', `key/${id}`, place) } };
  },
  'aws:efs/fileSystem:FileSystem': ({ urn }, place) => {
    const id = `fs-${digits(urn, 17)}`;
    const dnsName = `${id}.efs.${place.region}.${dnsSuffix(place.partition)}`;
    return { id, outputs: { arn: arn('elasticfilesystem', `file-system/${id}`, place), dnsName } };
  },
  'aws:efs/accessPoint:AccessPoint': ({ urn }, place) => {
    const id = `fsap-${digits(urn, 17)}`;
    return { id, outputs: { arn: arn('elasticfilesystem', `access-point/${id}`, place) } };
  },
  'aws:iam/policy:Policy': ({ named }, place) => {
    const policyArn = arn('iam', `policy/${named}`, { ...place, region: '' });
    return { id: policyArn, outputs: { name: named, arn: policyArn } };
  },
  'aws:autoscaling/group:Group': ({ named, urn }, place) => {
    const uuid = digits(urn, 12);
    const groupArn = arn('autoscaling', `autoScalingGroup:${uuid}:autoScalingGroupName/${named}`, place);
    return { id: named, outputs: { name: named, arn: groupArn } };
  },
  'aws:ecs/service:Service': ({ named, inputs }, place) => {
    const cluster = String(inputs.cluster).split('/').pop();
    const serviceArn = arn('ecs', `service/${cluster}/${named}`, place);
    return { id: serviceArn, outputs: { name: named, arn: serviceArn } };
  },
  'aws:ecs/taskDefinition:TaskDefinition': ({ inputs }, place) => {
    const family = String(inputs.family);
    return { id: family, outputs: { arn: arn('ecs', `task-definition/${family}:1`, place), revision: 1 } };
  },
  'aws:lb/loadBalancer:LoadBalancer': ({ urn, inputs }, place) => {
    const kind = inputs.loadBalancerType === 'network' ? 'net' : 'app';
    const name = `${String(inputs.namePrefix ?? '')}${digits(urn, 26)}`;
    const arnSuffix = `${kind}/${name}/${digits(urn, 16)}`;
    const loadBalancerArn = arn('elasticloadbalancing', `loadbalancer/${arnSuffix}`, place);
    const host = `${inputs.internal === true ? 'internal-' : ''}${name}.${place.region}.elb.${dnsSuffix(place.partition)}`;
    const dnsName = kind === 'net' ? host.replace(/^internal-/, '') : host;
    return {
      id: loadBalancerArn,
      outputs: { name, arn: loadBalancerArn, arnSuffix, dnsName, zoneId: `Z${digits(urn, 13).toUpperCase()}` },
    };
  },
  'aws:lb/targetGroup:TargetGroup': ({ urn, inputs }, place) => {
    const name = `${String(inputs.namePrefix ?? '')}${digits(urn, 26)}`;
    const arnSuffix = `targetgroup/${name}/${digits(urn, 16)}`;
    const targetArn = arn('elasticloadbalancing', arnSuffix, place);
    return { id: targetArn, outputs: { name, arn: targetArn, arnSuffix } };
  },
  'aws:lb/listener:Listener': ({ urn, inputs }) => {
    const balancer = String(inputs.loadBalancerArn).replace(':loadbalancer/', ':listener/');
    return { id: `${balancer}/${digits(urn, 16)}`, outputs: { arn: `${balancer}/${digits(urn, 16)}` } };
  },
  'aws:secretsmanager/secret:Secret': ({ named, urn }, place) => {
    const secretArn = arn('secretsmanager', `secret:${named}-${digits(urn, 6)}`, place);
    return { id: secretArn, outputs: { name: named, arn: secretArn } };
  },
  'aws:secretsmanager/secretVersion:SecretVersion': ({ urn, inputs }) => {
    const versionId = digits(urn, 32);
    return { id: `${String(inputs.secretId)}|${versionId}`, outputs: { versionId, arn: inputs.secretId } };
  },
  'aws:ec2/vpcEndpoint:VpcEndpoint': ({ urn, inputs }, place) => {
    const id = `vpce-${digits(urn, 17)}`;
    const service = String(inputs.serviceName).split('.').slice(-1)[0];
    const dnsName = `${id}-${digits(urn, 8)}.${service}.${place.region}.vpce.${dnsSuffix(place.partition)}`;
    return {
      id,
      outputs: {
        arn: arn('ec2', `vpc-endpoint/${id}`, place),
        prefixListId: `pl-${digits(`${place.region} ${String(inputs.serviceName)}`, 8)}`,
        dnsEntries: [{ dnsName, hostedZoneId: `Z${digits(urn, 13).toUpperCase()}` }],
      },
    };
  },
  'aws:ec2/vpcEndpointService:VpcEndpointService': ({ urn }, place) => {
    const id = `vpce-svc-${digits(urn, 17)}`;
    return {
      id,
      outputs: {
        serviceName: `com.amazonaws.vpce.${place.region}.${id}`,
        arn: arn('ec2', `vpc-endpoint-service/${id}`, place),
      },
    };
  },
  'aws:route53/zone:Zone': ({ urn }, { partition }) => {
    const zoneId = `Z${digits(urn, 13).toUpperCase()}`;
    return { id: zoneId, outputs: { zoneId, arn: `arn:${partition}:route53:::hostedzone/${zoneId}` } };
  },
  'aws:appautoscaling/target:Target': ({ inputs }) => ({ id: String(inputs.resourceId), outputs: {} }),
  'aws:ecr/repository:Repository': ({ inputs }, place) => {
    const name = String(inputs.name);
    const region = typeof inputs.region === 'string' ? inputs.region : place.region;
    return {
      id: name,
      outputs: {
        arn: arn('ecr', `repository/${name}`, { ...place, region }),
        registryId: place.account,
        repositoryUrl: `${place.account}.dkr.ecr.${region}.${dnsSuffix(place.partition)}/${name}`,
      },
    };
  },
  'aws:organizations/organizationalUnit:OrganizationalUnit': ({ urn }, place) => {
    const id = `ou-root-${digits(urn, 8)}`;
    return { id, outputs: { arn: arn('organizations', `ou/o-double/${id}`, { ...place, region: '' }) } };
  },
  'aws:organizations/account:Account': ({ urn }, place) => {
    const id = String(BigInt(`0x${digits(urn, 12)}`) % 10n ** 12n).padStart(12, '0');
    return {
      id,
      outputs: { arn: arn('organizations', `account/o-double/${id}`, { ...place, region: '' }), status: 'ACTIVE' },
    };
  },
};

/** @param configuration inputs of the resource's provider; lists and maps are JSON text, as for any provider */
export function makeResource(resource: ResourceToMake, configuration: Properties, partition: string): MadeResource {
  const place = { partition, region: regionOf(resource, configuration), account: accountOf(configuration) };
  const { type, name, urn, inputs } = resource;
  const property = NAMED[type];
  const given = inputs[property ?? 'name'];
  const named = typeof given === 'string' ? given : property === undefined ? name : `${name}-${digits(urn, 7)}`;
  const maker = MAKERS[type];
  if (maker !== undefined) return maker({ ...resource, named }, place);
  const prefixed = PREFIXED[type];
  const id =
    prefixed !== undefined ? `${prefixed[0]}${digits(urn, 17)}` : BY_NAME[type] !== undefined ? named : `${name}-id`;
  const pattern = prefixed?.[1] ?? BY_NAME[type];
  return {
    id,
    outputs: {
      ...(property !== undefined && { [property]: named }),
      ...(pattern !== undefined && { arn: patternArn(pattern, id, place, inputs.path) }),
      ...(type === 'aws:ec2/eip:Eip' && {
        allocationId: id,
        publicIp: `203.0.113.${Number.parseInt(digits(urn, 2), 16)}`,
      }),
    },
  };
}

function patternArn(pattern: string, id: string, place: Place, path: unknown): string {
  const [service, ...rest] = pattern.split(':');
  if (service !== 'iam') return arn(service, rest.join(':').replace('$', id), place);
  const named = typeof path === 'string' ? `${path}$` : '/$';
  return arn(service, rest.join(':').replace('/$', named).replace('$', id), { ...place, region: '' });
}

/** A resource may name a region of its own (v7 of the provider); else it is the provider's. */
function regionOf({ inputs, type }: ResourceToMake, configuration: Properties): string {
  const own = type.startsWith('pulumi:') ? undefined : inputs.region;
  return String(typeof own === 'string' ? own : configuration.region);
}

/** @throws Error for a function that this double does not know, so that no program decides on an invented answer */
export function answerInvoke(
  token: string,
  configuration: Properties,
  partition: string,
  args: Properties = {},
): Properties {
  const region = String(args.region ?? configuration.region);
  switch (token) {
    case 'aws:index/getRegion:getRegion':
      return { id: region, region, description: region, endpoint: `ec2.${region}.${dnsSuffix(partition)}` };
    case 'aws:index/getAvailabilityZones:getAvailabilityZones': {
      // In this account the first zone by name is the second one by id, as it may be anywhere.
      const short = shortRegion(region);
      const zoneIds = [2, 1, 3].map((number) => `${short}-az${number}`);
      return { id: region, region, names: ['a', 'b', 'c'].map((letter) => `${region}${letter}`), zoneIds };
    }
    case 'aws:secretsmanager/getRandomPassword:getRandomPassword':
      return { id: 'drawn', randomPassword: digits(`drawn ${region}`, 32) };
    case 'aws:index/getCallerIdentity:getCallerIdentity': {
      const accountId = accountOf(configuration);
      return { id: accountId, accountId, userId: 'AIDADOUBLE', arn: `arn:${partition}:iam::${accountId}:user/double` };
    }
    case 'aws:index/getPartition:getPartition': {
      const suffix = dnsSuffix(partition);
      const reverseDnsPrefix = suffix.split('.').reverse().join('.');
      return { id: partition, partition, dnsSuffix: suffix, reverseDnsPrefix };
    }
    default:
      throw new Error(`the engine double has no answer for ${token}; add one to test/engine/aws-double.ts`);
  }
}

function accountOf({ allowedAccountIds }: Properties): string {
  const ids = typeof allowedAccountIds === 'string' ? (JSON.parse(allowedAccountIds) as string[]) : [];
  return ids[0] ?? '000000000000';
}

function arn(service: string, rest: string, { partition, region, account }: Place): string {
  return `arn:${partition}:${service}:${region}:${account}:${rest}`;
}

function dnsSuffix(partition: string): string {
  return partition === 'aws-cn' ? 'amazonaws.com.cn' : 'amazonaws.com';
}

function digits(urn: string, count: number): string {
  return createHash('sha256').update(urn).digest('hex').slice(0, count);
}

/** `euw2` of `eu-west-2`, as zone ids begin. */
function shortRegion(region: string): string {
  const [area, ...rest] = region.replace('-gov', 'g').split('-');
  const direction = rest.slice(0, -1).join('');
  const letters = direction.replace(/north|south|east|west|central/g, (word) => word[0]);
  return `${area}${letters}${rest.slice(-1)[0]}`;
}
