import { imdsv2 } from '../../../policies/rules/imdsv2';
import { bucketsClosed, noPublicAddress, placedPrivately } from '../../../policies/rules/no-public-address';
import { internetMeetsBalancers, openToTheWorld } from '../../../policies/rules/open-to-the-world';
import { type RuleCases, resource } from './case';

const INGRESS = 'aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule';
const EGRESS = 'aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule';
const https = { ipProtocol: 'tcp', fromPort: 443, toPort: 443 };
const BLOCKED = { blockPublicAcls: true, blockPublicPolicy: true, ignorePublicAcls: true, restrictPublicBuckets: true };

export const NETWORK_CASES: readonly RuleCases[] = [
  {
    rule: noPublicAddress,
    good: [
      resource('aws:ecs/service:Service', 'service', { networkConfiguration: { assignPublicIp: false } }),
      resource('aws:ec2/instance:Instance', 'machine', {}),
      resource('aws:rds/instance:Instance', 'database', { publiclyAccessible: false }),
      resource('aws:ec2/launchTemplate:LaunchTemplate', 'nodes', {
        networkInterfaces: [{ associatePublicIpAddress: 'false' }],
      }),
      resource('aws:ec2/eip:Eip', 'nat-address', { domain: 'vpc' }),
      resource('aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock', 'closed', BLOCKED),
    ],
    broken: [
      { of: 'service', set: ['props.networkConfiguration.assignPublicIp', true] },
      { of: 'machine', set: ['props.associatePublicIpAddress', true] },
      { of: 'database', set: ['props.publiclyAccessible', true] },
      { of: 'nodes', set: ['props.networkInterfaces.0.associatePublicIpAddress', 'true'] },
      { of: 'nodes', set: ['props.networkInterfaces.0.associatePublicIpAddress', undefined] },
      { of: 'nat-address', set: ['props.instance', 'i-1'] },
      { of: 'nat-address', set: ['props.networkInterface', 'eni-1'] },
      ...Object.keys(BLOCKED).flatMap((field) => [
        { of: 'closed', set: [`props.${field}`, false] as const },
        { of: 'closed', set: [`props.${field}`, undefined] as const },
      ]),
    ],
  },
  {
    rule: bucketsClosed,
    good: [
      resource('aws:s3/bucket:Bucket', 'data', { bucket: 'data-1' }),
      resource('aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock', 'closed', { bucket: 'data-1', ...BLOCKED }),
      resource('aws:s3/bucketVersioning:BucketVersioning', 'versions', {
        bucket: 'data-1',
        versioningConfiguration: { status: 'Enabled' },
      }),
      resource('aws:s3/bucketOwnershipControls:BucketOwnershipControls', 'owner', {
        bucket: 'data-1',
        rule: { objectOwnership: 'BucketOwnerEnforced' },
      }),
    ],
    broken: [
      { of: 'closed', set: ['props.bucket', 'another'], field: 'public access', at: 'data' },
      { of: 'versions', set: ['props.bucket', 'another'], field: 'versioning', at: 'data' },
      { of: 'owner', set: ['props.bucket', 'another'], field: 'ownership', at: 'data' },
      { of: 'versions', set: ['props.versioningConfiguration.status', 'Suspended'] },
      { of: 'owner', set: ['props.rule.objectOwnership', 'ObjectWriter'] },
    ],
  },
  {
    rule: placedPrivately,
    good: [
      resource('aws:ec2/subnet:Subnet', 'private', { id: 'subnet-1' }),
      resource('aws:ec2/subnet:Subnet', 'public', { id: 'subnet-2', mapPublicIpOnLaunch: true }),
      resource('aws:ecs/service:Service', 'service', { networkConfiguration: { subnets: ['subnet-1'] } }),
      resource('aws:autoscaling/group:Group', 'group', { vpcZoneIdentifiers: ['subnet-1'] }),
      resource('aws:ec2/instance:Instance', 'machine', { subnetId: 'subnet-1' }),
      resource('aws:efs/mountTarget:MountTarget', 'mount', { subnetId: 'subnet-1' }),
      resource('aws:ec2/vpcEndpoint:VpcEndpoint', 'endpoint', { subnetIds: ['subnet-1'] }),
      resource('aws:lb/loadBalancer:LoadBalancer', 'front', { subnets: ['subnet-2'] }),
    ],
    broken: [
      { of: 'service', set: ['props.networkConfiguration.subnets', ['subnet-1', 'subnet-2']] },
      { of: 'group', set: ['props.vpcZoneIdentifiers', ['subnet-2']] },
      { of: 'machine', set: ['props.subnetId', 'subnet-2'] },
      { of: 'mount', set: ['props.subnetId', 'subnet-2'] },
      { of: 'endpoint', set: ['props.subnetIds', ['subnet-2']] },
    ],
  },
  {
    rule: imdsv2,
    good: [
      ...['aws:ec2/launchTemplate:LaunchTemplate', 'aws:ec2/instance:Instance'].map((type) =>
        resource(type, type, { metadataOptions: { httpTokens: 'required', httpPutResponseHopLimit: 1 } }),
      ),
      resource('aws:ec2/instance:Instance', 'templated', { launchTemplate: { id: 'lt-1' } }),
    ],
    broken: [
      { of: 'templated', set: ['props.metadataOptions.httpTokens', 'optional'] as const },
      ...['aws:ec2/launchTemplate:LaunchTemplate', 'aws:ec2/instance:Instance'].flatMap((of) => [
        { of, set: ['props.metadataOptions.httpTokens', 'optional'] as const },
        { of, set: ['props.metadataOptions.httpPutResponseHopLimit', 2] as const },
        { of, set: ['props.metadataOptions', undefined] as const, field: 'metadataOptions.httpTokens' },
      ]),
    ],
  },
  {
    rule: openToTheWorld,
    good: [
      resource(INGRESS, 'from-clients', { ...https, cidrIpv4: '203.0.113.0/24' }),
      resource(INGRESS, 'from-group', { ...https, referencedSecurityGroupId: 'sg-1' }),
      resource(EGRESS, 'to-aws', { ...https, cidrIpv4: '0.0.0.0/0' }),
      resource('aws:ec2/securityGroup:SecurityGroup', 'group', {
        ingress: [{ protocol: 'tcp', fromPort: 22, toPort: 22, cidrBlocks: ['10.0.0.0/16'] }],
        egress: [{ protocol: '-1', fromPort: 0, toPort: 0, cidrBlocks: ['10.0.0.0/16'] }],
      }),
      resource('aws:ec2/securityGroupRule:SecurityGroupRule', 'rule', {
        type: 'ingress',
        protocol: 'tcp',
        cidrBlocks: ['10.0.0.0/16'],
      }),
    ],
    broken: [
      { of: 'from-clients', set: ['props.cidrIpv4', '0.0.0.0/0'] },
      { of: 'from-clients', set: ['props.cidrIpv4', '128.0.0.0/1'] },
      { of: 'from-clients', set: ['props.cidrIpv6', '::/0'] },
      { of: 'from-clients', set: ['props.ipProtocol', '-1'] },
      { of: 'to-aws', set: ['props.fromPort', 0], field: 'cidrIpv4' },
      { of: 'to-aws', set: ['props.toPort', 65535], field: 'cidrIpv4' },
      { of: 'to-aws', set: ['props.ipProtocol', '-1'] },
      { of: 'group', set: ['props.ingress.0.cidrBlocks', ['0.0.0.0/0']], field: 'ingress.0.cidrBlocks.0' },
      { of: 'group', set: ['props.ingress.0.ipv6CidrBlocks', ['::/0']], field: 'ingress.0.ipv6CidrBlocks.0' },
      { of: 'group', set: ['props.egress.0.cidrBlocks', ['0.0.0.0/0']], field: 'egress.0.cidrBlocks.0' },
      { of: 'rule', set: ['props.cidrBlocks', ['0.0.0.0/0']], field: 'cidrBlocks.0' },
    ],
  },
  {
    rule: internetMeetsBalancers,
    good: [
      resource('aws:ec2/securityGroup:SecurityGroup', 'front', { id: 'sg-front' }),
      resource('aws:ec2/securityGroup:SecurityGroup', 'tasks', { id: 'sg-tasks' }),
      resource('aws:lb/loadBalancer:LoadBalancer', 'balancer', { securityGroups: ['sg-front'] }),
      resource(INGRESS, 'from-clients', { ...https, securityGroupId: 'sg-front', cidrIpv4: '203.0.113.0/24' }),
      resource(INGRESS, 'from-vpc', { ...https, securityGroupId: 'sg-tasks', cidrIpv4: '100.64.0.0/16' }),
    ],
    broken: [
      { of: 'from-clients', set: ['props.securityGroupId', 'sg-tasks'], field: 'cidrIpv4' },
      { of: 'from-vpc', set: ['props.cidrIpv4', '198.51.100.7/32'] },
      { of: 'balancer', set: ['props.securityGroups', ['sg-tasks']], field: 'cidrIpv4', at: 'from-clients' },
      {
        of: 'tasks',
        set: ['props.ingress', [{ protocol: 'tcp', cidrBlocks: ['198.51.100.7/32'] }]],
        field: 'ingress.0.cidrBlocks.0',
      },
    ],
  },
];
