import { gpuFamilies } from '../../../policies/rules/gpu-families';
import { flowLogged, logRetention } from '../../../policies/rules/log-retention';
import { protectedData } from '../../../policies/rules/protected-data';
import { tags } from '../../../policies/rules/tags';
import { PROVIDER, type RuleCases, resource } from './case';

const DATA = [
  'aws:efs/fileSystem:FileSystem',
  'aws:kms/key:Key',
  'aws:organizations/account:Account',
  'aws:s3/bucket:Bucket',
];
const tagged = (changes: Readonly<Record<string, string | undefined>>) => {
  const { tags: common } = JSON.parse(PROVIDER.props.defaultTags) as { tags: Record<string, string> };
  return JSON.stringify({ tags: { ...common, ...changes } });
};

export const CARE_CASES: readonly RuleCases[] = [
  {
    rule: logRetention,
    good: [
      resource('aws:cloudwatch/logGroup:LogGroup', 'log', { retentionInDays: 365 }),
      resource('aws:ec2/flowLog:FlowLog', 'flow', { trafficType: 'ALL' }),
      resource('aws:lb/loadBalancer:LoadBalancer', 'front', {
        loadBalancerType: 'application',
        accessLogs: { enabled: true },
      }),
      resource('aws:lb/loadBalancer:LoadBalancer', 'through', { loadBalancerType: 'network' }),
      resource('aws:cloudtrail/trail:Trail', 'trail', {
        enableLogFileValidation: true,
        isMultiRegionTrail: true,
        isOrganizationTrail: true,
      }),
      resource('aws:cloudtrail/trail:Trail', 'objects', { enableLogFileValidation: true }),
    ],
    broken: [
      { of: 'log', set: ['props.retentionInDays', undefined] },
      { of: 'log', set: ['props.retentionInDays', 0] },
      { of: 'log', set: ['props.retentionInDays', 7] },
      { of: 'flow', set: ['props.trafficType', 'REJECT'] },
      { of: 'front', set: ['props.accessLogs.enabled', false] },
      { of: 'front', set: ['props.accessLogs', undefined], field: 'accessLogs.enabled' },
      { of: 'trail', set: ['props.enableLogFileValidation', undefined] },
      { of: 'trail', set: ['props.isMultiRegionTrail', false] },
      { of: 'trail', set: ['props.enableLogging', false] },
    ],
  },
  {
    rule: flowLogged,
    good: [
      resource('aws:ec2/vpc:Vpc', 'network', { id: 'vpc-1' }),
      resource('aws:ec2/flowLog:FlowLog', 'flow', { vpcId: 'vpc-1' }),
    ],
    broken: [{ of: 'flow', set: ['props.vpcId', 'vpc-2'], field: 'flow log', at: 'network' }],
  },
  {
    rule: protectedData,
    good: [
      ...DATA.map((type) => resource(type, type, {})),
      resource('aws:s3/bucket:Bucket', 'logs', { forceDestroy: true }, { opts: { protect: false } }),
    ],
    broken: [
      ...DATA.map((of) => ({ of, set: ['opts.protect', false] as const, field: 'protect' })),
      { of: 'aws:organizations/account:Account', set: ['props.closeOnDeletion', true] },
      { of: 'logs', set: ['props.forceDestroy', false], field: 'protect' },
    ],
  },
  {
    rule: tags,
    good: [
      resource('aws:s3/bucket:Bucket', 'data', { tags: { Name: 'st-marys-datasets', Account: '111122223333' } }),
      resource('pulumi:pulumi:Stack', 'stack', {}, { provider: undefined }),
    ],
    broken: [
      ...['Project', 'Environment', 'ManagedBy', 'Site'].map((tag) => ({
        of: 'data',
        set: ['provider.props.defaultTags', tagged({ [tag]: undefined })] as const,
        field: `provider site: defaultTags.tags.${tag}`,
      })),
      { of: 'data', set: ['provider.props.defaultTags', undefined], field: 'provider site: defaultTags.tags.Project' },
      {
        of: 'data',
        set: ['provider.props.defaultTags', tagged({ Owner: 'a.smith@example.nhs.uk' })],
        field: 'provider site: defaultTags.tags.Owner',
      },
      { of: 'data', set: ['props.tags.PatientName', 'Smith'], field: 'tags.PatientName' },
      { of: 'data', set: ['props.tags.Name', 'scan of 1961-02-28'], field: 'tags.Name' },
      { of: 'data', set: ['props.tags.Name', '1.2.840.113619.2.55.3'], field: 'tags.Name' },
      // The example number of the NHS Data Dictionary's check digit rule.
      { of: 'data', set: ['props.tags.Name', '943 476 5919'], field: 'tags.Name' },
    ],
  },
  {
    rule: gpuFamilies,
    good: ['g5.2xlarge', 'g6e.2xlarge', 'p4d.24xlarge', 't3.micro'].map((instanceType) =>
      resource('aws:ec2/launchTemplate:LaunchTemplate', instanceType, { instanceType }),
    ),
    broken: ['p3.2xlarge', 'p3dn.24xlarge', 'p2.xlarge'].map((instanceType) => ({
      of: 'g5.2xlarge',
      set: ['props.instanceType', instanceType] as const,
    })),
  },
];
