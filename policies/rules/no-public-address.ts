import { at, isText, listAt, refersTo, texts } from '../properties';
import type { ResourceRule, StackRule } from '../rule';

const BLOCKS = ['blockPublicAcls', 'blockPublicPolicy', 'ignorePublicAcls', 'restrictPublicBuckets'] as const;

export const noPublicAddress: ResourceRule = {
  name: 'no-public-address',
  rule: 'No task, instance or store has an address of the internet; only a load balancer and a NAT gateway may have one.',
  *check({ type, props }) {
    const forbidden = FORBIDDEN[type] ?? [];
    for (const field of forbidden) {
      const value = at(props, field);
      if (value === true || value === 'true') yield { field, value, wayOut: 'set it to false' };
    }
    if (type === 'aws:ec2/launchTemplate:LaunchTemplate') {
      for (const [index, card] of listAt(props, 'networkInterfaces').entries()) {
        const value = at(card, 'associatePublicIpAddress');
        if (value !== false && value !== 'false') {
          yield { field: `networkInterfaces.${index}.associatePublicIpAddress`, value, wayOut: 'set it to false' };
        }
      }
    }
    if (type === 'aws:ec2/eip:Eip' || type === 'aws:ec2/eipAssociation:EipAssociation') {
      for (const field of ['instance', 'instanceId', 'networkInterface', 'networkInterfaceId']) {
        const value = props[field];
        if (isText(value))
          yield { field, value, wayOut: 'remove it; elastic addresses are for NAT gateways and load balancers' };
      }
    }
    if (type === 'aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock') {
      for (const field of BLOCKS) {
        if (props[field] !== true) yield { field, value: props[field], wayOut: 'set it to true' };
      }
    }
  },
};

const FORBIDDEN: Readonly<Record<string, readonly string[]>> = {
  'aws:ecs/service:Service': ['networkConfiguration.assignPublicIp'],
  'aws:ec2/instance:Instance': ['associatePublicIpAddress'],
  'aws:rds/instance:Instance': ['publiclyAccessible'],
};

export const bucketsClosed: StackRule = {
  name: 'buckets-closed',
  rule: 'Every bucket blocks public access, keeps versions, and belongs to its account alone.',
  *checkStack(resources) {
    for (const bucket of resources.filter(({ type }) => type === 'aws:s3/bucket:Bucket')) {
      for (const [type, field, wayOut] of PARTS) {
        const has = resources.some((part) => part.type === type && refersTo(part, 'bucket', bucket));
        if (!has) yield { of: bucket, field, wayOut };
      }
    }
    for (const part of resources) {
      const status = at(part.props, 'versioningConfiguration.status');
      if (part.type === VERSIONING && status !== 'Enabled') {
        yield { of: part, field: 'versioningConfiguration.status', value: status, wayOut: 'set it to Enabled' };
      }
      const owner = at(part.props, 'rule.objectOwnership');
      if (part.type === OWNERSHIP && owner !== 'BucketOwnerEnforced') {
        yield { of: part, field: 'rule.objectOwnership', value: owner, wayOut: 'set it to BucketOwnerEnforced' };
      }
    }
  },
};

const VERSIONING = 'aws:s3/bucketVersioning:BucketVersioning';
const OWNERSHIP = 'aws:s3/bucketOwnershipControls:BucketOwnershipControls';
const PARTS = [
  [
    'aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock',
    'public access',
    'give it a BucketPublicAccessBlock with all four switches on',
  ],
  [VERSIONING, 'versioning', 'give it a BucketVersioning that is Enabled'],
  [OWNERSHIP, 'ownership', 'give it BucketOwnershipControls with BucketOwnerEnforced'],
] as const;

/** A subnet that hands out public addresses is for load balancers and NAT gateways. */
export const placedPrivately: StackRule = {
  name: 'placed-privately',
  rule: 'Tasks, instances and file systems are in subnets that hand out no address of the internet.',
  *checkStack(resources) {
    const open = resources.filter(
      ({ type, props }) => type === 'aws:ec2/subnet:Subnet' && props.mapPublicIpOnLaunch === true,
    );
    for (const resource of resources) {
      const field = SUBNET_FIELDS[resource.type];
      if (field === undefined) continue;
      for (const subnet of open) {
        if (texts(at(resource.props, field)).includes(String(subnet.props.id))) {
          yield { of: resource, field, value: subnet.name, wayOut: 'use a private subnet' };
        }
      }
    }
  },
};

const SUBNET_FIELDS: Readonly<Record<string, string>> = {
  'aws:ecs/service:Service': 'networkConfiguration.subnets',
  'aws:autoscaling/group:Group': 'vpcZoneIdentifiers',
  'aws:ec2/instance:Instance': 'subnetId',
  'aws:efs/mountTarget:MountTarget': 'subnetId',
  'aws:ec2/vpcEndpoint:VpcEndpoint': 'subnetIds',
};
