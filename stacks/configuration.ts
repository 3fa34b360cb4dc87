import { z } from 'zod';
import { exposureFaults } from '../components/annotation/exposure';
import { IMAGE, IMAGE_RULE, SITE_IMAGES } from '../components/containers/image';
import type { Fault } from '../components/faults';
import { GPU_FAMILY_NAMES } from '../components/gpu/gpu-families';
import {
  CERTIFICATE_ARN,
  days,
  HOST_NAME,
  KMS_KEY_ARN,
  onOff,
  ROLE_ARN,
  SUBNET_ID,
  subnetsByZone,
  VPC_ID,
} from '../components/input-rules';
import {
  AGENT_SETTINGS,
  DATASET_FOLDER,
  ENDPOINT_SERVICE,
  NIGHT_HOURS,
  PREPARATION,
  preparationFaults,
  TRAINER,
} from '../components/setting-rules';
import {
  COMMON,
  COMMON_TEXT_KEYS,
  cidrs,
  coordinatorHost,
  hostedZoneId,
  region,
  siteId,
  text,
  vpcCidr,
  zones,
} from './common-keys';
import { keyFault, parseConfiguration } from './parse-configuration';
import type { RawConfiguration } from './raw-configuration';

/**
 * The configuration of a site stack. Pulumi.yaml declares the same keys with type, description and default; what is
 * checked here is what a type cannot say.
 */
export type SiteConfiguration = Readonly<z.output<typeof SITE>>;

const gpuFamily = z.enum(GPU_FAMILY_NAMES, { error: `must be one of ${GPU_FAMILY_NAMES.join(', ')}` });
const subnet = text(SUBNET_ID, 'must be the id of a subnet, subnet-...');

const SITE = z.strictObject({
  role: z.literal('site'),
  ...COMMON,
  siteId,
  networkEgress: z.enum(['nat', 'isolated'], { error: 'must be nat or isolated' }),
  zones: zones.default([]),
  vpcCidr,
  vpcId: text(VPC_ID, 'must be the id of a VPC, vpc-..., or empty for a new one').optional(),
  subnets: subnetsByZone(subnet).default({}),
  publicSubnets: subnetsByZone(subnet).default({}),
  datasetKeyArn: text(KMS_KEY_ARN, 'must be the ARN of a KMS key, or empty').optional(),
  datasetNoncurrentVersionDays: days,
  datasetUnfinishedUploadDays: days,
  retainWorkspaceOnDelete: onOff,
  backUpWorkspace: onOff,
  gpuFamilies: z
    .partialRecord(gpuFamily, z.number().int().min(1, 'must be at least 1 instance').max(50), {
      error: `must map GPU families to the most instances of each; there are ${GPU_FAMILY_NAMES.join(', ')}`,
    })
    .refine((families) => Object.keys(families).length > 0, 'must name at least one GPU family'),
  annotationGpuFamily: gpuFamily.optional(),
  annotationServer: z.enum(['own', 'clara-train'], { error: 'must be own or clara-train' }),
  annotationTasks: z.number().int().min(1).max(10),
  loadBalancer: z.enum(['internal', 'public'], { error: 'must be internal or public' }),
  clientCidrs: cidrs.min(1, 'must name at least one range of addresses that people annotate from'),
  certificateArn: text(CERTIFICATE_ARN, 'must be the ARN of an ACM certificate, or empty').optional(),
  serviceHostName: text(HOST_NAME, 'must be the host name in the certificate of the annotation server').optional(),
  hostedZoneId: hostedZoneId.optional(),
  insecureHttp: onOff,
  dataAreDeidentified: onOff,
  nightHours: NIGHT_HOURS.optional(),
  images: z.record(z.enum(SITE_IMAGES), text(IMAGE, IMAGE_RULE), {
    error: `must name the images ${SITE_IMAGES.join(', ')}`,
  }),
  trainers: z
    .array(TRAINER)
    .min(1, 'must name at least one trainer; the first is the one that the agent uses')
    .refine((list) => new Set(list.map(({ name }) => name)).size === list.length, 'must have different names'),
  dataset: DATASET_FOLDER.optional(),
  preparation: PREPARATION.default({}),
  agentSettings: AGENT_SETTINGS.default({}),
  coordinatorHost,
  coordinatorEndpointService: text(
    ENDPOINT_SERVICE,
    "must be the name of the coordinator's endpoint service, com.amazonaws.vpce..., or empty",
  ).optional(),
  coordinatorRegion: region.optional(),
  coordinatorCidrs: cidrs.default([]),
  bastion: onOff,
});

export const SITE_KEYS = Object.keys(SITE.shape);

const TEXT_KEYS = [
  ...COMMON_TEXT_KEYS,
  'siteId',
  'networkEgress',
  'vpcId',
  'datasetKeyArn',
  'annotationGpuFamily',
  'annotationServer',
  'loadBalancer',
  'certificateArn',
  'serviceHostName',
  'dataset',
  'coordinatorRegion',
];

/**
 * The typed configuration of a site.
 *
 * @param stack name of the stack, which must be `<environment>-<siteId>`: a stack file that was copied and not fully
 *   edited would otherwise deploy one hospital's site from another's file
 * @throws DeploymentInputError with every fault: key, value, rule
 */
export function siteConfiguration(
  raw: RawConfiguration,
  stack: string,
  otherRoles: readonly string[] = [],
): SiteConfiguration {
  return parseConfiguration({ schema: SITE, textKeys: TEXT_KEYS, otherRoles, cross: crossFaults }, raw, stack);
}

function crossFaults(input: Readonly<Record<string, unknown>>, stack: string): Fault[] {
  return [
    ...identityFaults(input as Partial<SiteConfiguration>, stack),
    ...networkFaults(input as Partial<SiteConfiguration>),
    ...gpuFaults(input as Partial<SiteConfiguration>),
    ...preparedFaults(input as Partial<SiteConfiguration>),
    ...exposureFaults({
      ...(input as Partial<SiteConfiguration>),
      hostName: (input as Partial<SiteConfiguration>).serviceHostName,
    }).map(({ path, rule }) => keyFault(input, path === 'hostName' ? 'serviceHostName' : path, rule)),
  ];
}

type Input = Readonly<Partial<SiteConfiguration>>;

/** An MMAR that is trained must have been brought, under the same name. */
function preparedFaults(input: Input): Fault[] {
  const { dataset, trainers = [] } = input;
  const parsed = PREPARATION.safeParse(input.preparation ?? {});
  if (!parsed.success || !Array.isArray(trainers)) return [];
  const faults = preparationFaults(parsed.data, dataset).map(({ path, rule }) =>
    keyFault(input, ['preparation', path].filter(Boolean).join('.'), rule),
  );
  const brought = parsed.data.mmar?.folder;
  for (const [index, trainer] of trainers.entries()) {
    const folder = trainer?.mmar?.folder;
    if (folder === undefined || folder === brought) continue;
    faults.push(
      keyFault(input, `trainers.${index}.mmar.folder`, 'must be preparation.mmar.folder, where the MMAR is brought to'),
    );
  }
  return faults;
}

function identityFaults(input: Input, stack: string): Fault[] {
  const { environment, siteId: site, accountId, region: area, deploymentRoleArn, datasetKeyArn, images = {} } = input;
  const faults: Fault[] = [];
  const fault = (path: string, rule: string) => faults.push(keyFault(input, path, rule));
  if (environment && site && stack !== `${environment}-${site}`) {
    fault('siteId', `environment and site must make the name of the stack; ${environment}-${site} is not ${stack}`);
  }
  if (
    accountId &&
    deploymentRoleArn &&
    ROLE_ARN.test(deploymentRoleArn) &&
    deploymentRoleArn.split(':')[4] !== accountId
  ) {
    fault('deploymentRoleArn', `must be a role in account ${accountId}, the accountId of the site`);
  }
  if (area && datasetKeyArn && KMS_KEY_ARN.test(datasetKeyArn) && datasetKeyArn.split(':')[3] !== area) {
    fault('datasetKeyArn', `must be a key in region ${area}, because S3 takes no key of another region`);
  }
  for (const [name, image] of Object.entries(images)) {
    const imageRegion = IMAGE.exec(String(image))?.groups?.region;
    if (area && imageRegion !== undefined && imageRegion !== area) {
      fault(`images.${name}`, `must be the copy in region ${area}, where the site is`);
    }
  }
  return faults;
}

function networkFaults(input: Input): Fault[] {
  const { vpcId, subnets = {}, publicSubnets = {}, zones: zoneIds = [], loadBalancer, networkEgress } = input;
  const { coordinatorEndpointService, coordinatorCidrs = [] } = input;
  const faults: Fault[] = [];
  const fault = (path: string, rule: string) => faults.push(keyFault(input, path, rule));
  const existing = vpcId !== undefined;
  const isolated = networkEgress === 'isolated' && !existing;
  const count = (values: unknown) => Object.keys(values ?? {}).length;
  const prefix = Number(String(input.vpcCidr).split('/')[1]);
  if (!existing && (prefix < 16 || prefix > 24)) fault('vpcCidr', 'must be /16 to /24 for a new network');
  if (existing && count(subnets) === 0) fault('subnets', 'are needed with vpcId: private subnets by zone id');
  if (existing && zoneIds.length > 0) fault('zones', 'are for a new network; remove them, or vpcId');
  if (!existing && zoneIds.length === 0) fault('zones', 'are needed for a new network; or name an existing one, vpcId');
  if (!existing && count(subnets) > 0) fault('subnets', 'are of an existing network; name it, vpcId');
  if (existing && loadBalancer === 'public' && count(publicSubnets) === 0) {
    fault('publicSubnets', 'are needed for a public load balancer in an existing network');
  }
  if (isolated && loadBalancer === 'public') {
    fault('loadBalancer', 'must be internal in an isolated network, which has no way to the internet');
  }
  if (coordinatorEndpointService === undefined && count(coordinatorCidrs) === 0) {
    fault(
      'coordinatorEndpointService',
      'is needed for a private link to the coordinator; or coordinatorCidrs for a public one',
    );
  }
  if (coordinatorEndpointService !== undefined && count(coordinatorCidrs) > 0) {
    fault('coordinatorCidrs', 'and coordinatorEndpointService exclude each other; remove one');
  }
  if (isolated && coordinatorEndpointService === undefined) {
    fault('networkEgress', 'must be nat with a public link to the coordinator; or give a coordinatorEndpointService');
  }
  return faults;
}

function gpuFaults(input: Input): Fault[] {
  const { gpuFamilies = {}, annotationGpuFamily, trainers = [] } = input;
  const missing = (family: string | undefined) => family !== undefined && !(family in gpuFamilies);
  return [
    ...(missing(annotationGpuFamily)
      ? [keyFault(input, 'annotationGpuFamily', 'must be one of the gpuFamilies of the site')]
      : []),
    ...(Array.isArray(trainers) ? trainers : []).flatMap(({ gpuFamily: family }, index) =>
      missing(family)
        ? [keyFault(input, `trainers.${index}.gpuFamily`, 'must be one of the gpuFamilies of the site')]
        : [],
    ),
  ];
}
