import { stringify } from 'yaml';
import { SITE_IMAGES } from '../components/containers/image';
import { DeploymentInputError, type Fault } from '../components/faults';
import type { SiteEntry } from './catalogue';
import { SITE_KEYS } from './configuration';
import type { CoordinatorConfiguration } from './coordinator-configuration';
import { mirroredImage } from './image-names';
import { PROJECT } from './raw-configuration';

/** Name of the role that the organisation stack makes in every account for deployments. */
export const DEPLOYMENT_ROLE = 'clara-federation-deployment';

/** Keys of a site's stack that follow from the catalogue; its settings may not say them again. */
const DERIVED = [
  'role',
  'environment',
  'siteId',
  'accountId',
  'region',
  'deploymentRoleArn',
  'images',
  'coordinatorHost',
  'coordinatorEndpointService',
  'coordinatorRegion',
  'coordinatorCidrs',
];

/** What the file of a site needs to know of its environment. */
export type SiteEnvironment = Pick<
  CoordinatorConfiguration,
  | 'environment'
  | 'accountId'
  | 'region'
  | 'coordinatorHost'
  | 'coordinatorEndpointService'
  | 'coordinatorPublicCidrs'
  | 'imageDigests'
>;

/** Name of a site's stack. */
export function siteStackName(environment: string, id: string): string {
  return `${environment}-${id}`;
}

/**
 * The text of `Pulumi.<environment>-<site>.yaml`: a pure function of the catalogue, so that the file can be written anew and
 * compared at any time.
 *
 * @throws DeploymentInputError when the entry has no account yet, repeats what follows from the catalogue, or names an image that
 *   the environment does not have
 */
export function siteStackFile(environment: SiteEnvironment, site: SiteEntry): string {
  const stack = siteStackName(environment.environment, site.id);
  const settings = siteSettings(stack, environment, site);
  const config = {
    'pulumi:disable-default-providers': ['aws'],
    ...Object.fromEntries(Object.entries(settings).map(([key, value]) => [`${PROJECT}:${key}`, value])),
  };
  return [
    `# ${site.name}, ${environment.environment}. Written from the catalogue in Pulumi.${environment.environment}.yaml;`,
    '# change it there and run `clara-fed site add` again.',
    stringify({ config }, { lineWidth: 0 }),
  ].join('\n');
}

/** The configuration of a site's stack, by key. */
function siteSettings(stack: string, environment: SiteEnvironment, site: SiteEntry): Readonly<Record<string, unknown>> {
  const { settings } = site;
  const faults = settingFaults(environment, site);
  if (faults.length > 0) {
    throw new DeploymentInputError(`The catalogue's entry of stack ${stack}`, faults);
  }
  const image = (name: string) => mirroredImage(environment, name, environment.imageDigests[name], site.region);
  const { trainers = [], ...rest } = settings;
  return {
    role: 'site',
    environment: environment.environment,
    siteId: site.id,
    accountId: site.accountId,
    region: site.region,
    deploymentRoleArn: `arn:${partitionOf(site.region)}:iam::${site.accountId}:role/${DEPLOYMENT_ROLE}`,
    coordinatorHost: environment.coordinatorHost,
    ...(site.link === 'public'
      ? { coordinatorCidrs: environment.coordinatorPublicCidrs }
      : {
          coordinatorEndpointService: environment.coordinatorEndpointService ?? '',
          coordinatorRegion: environment.region,
        }),
    images: Object.fromEntries(SITE_IMAGES.map((name) => [name, image(imageOf(name, settings))])),
    trainers: (trainers as Readonly<Record<string, unknown>>[]).map((trainer) => ({
      ...trainer,
      image: image(String(trainer.image)),
    })),
    ...rest,
  };
}

/** NVIDIA's annotation server is NVIDIA's image, which its trainers may be as well. */
function imageOf(name: string, { annotationServer }: Readonly<Record<string, unknown>>): string {
  return name === 'aiaa' && annotationServer === 'clara-train' ? 'clara-train' : name;
}

function settingFaults({ imageDigests }: SiteEnvironment, { accountId, settings }: SiteEntry): Fault[] {
  const trainers = Array.isArray(settings.trainers) ? (settings.trainers as Readonly<Record<string, unknown>>[]) : [];
  const images = [...SITE_IMAGES.map((name) => imageOf(name, settings)), ...trainers.map(({ image }) => String(image))];
  return [
    ...(accountId === undefined
      ? [
          {
            path: 'accountId',
            rule: 'is not known yet: deploy the organisation stack, and write down the account that it made',
          },
        ]
      : []),
    ...Object.keys(settings)
      .filter((key) => DERIVED.includes(key))
      .map((key) => ({ path: `settings.${key}`, rule: 'follows from the catalogue; remove it' })),
    ...Object.keys(settings)
      .filter((key) => !SITE_KEYS.includes(key))
      .map((key) => ({ path: `settings.${key}`, rule: 'is no key of a site; see Pulumi.yaml' })),
    ...[...new Set(images)]
      .filter((name) => !(name in imageDigests))
      .map((name) => ({
        path: `imageDigests.${name}`,
        rule: `is needed: the environment has no such image; there are ${Object.keys(imageDigests).join(', ')}`,
      })),
  ];
}

/** ARNs of a site's account carry the partition of its region. */
export function partitionOf(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn';
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
}
