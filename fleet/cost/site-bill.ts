import { ClaraError } from '../../base/errors';
import { gpuFamily } from '../../components/gpu/gpu-families';
import { interfaceEndpoints } from '../../components/network/endpoints';
import type { NightHours } from '../../components/setting-rules';
import type { SiteConfiguration } from '../../stacks/configuration';
import type { PriceTable } from './prices';

/** What nobody can know before a site runs. */
export interface SiteUsage {
  /** Hours of a month in which a training task runs. */
  readonly trainingHours: number;
  readonly datasetGb: number;
  readonly workspaceGb: number;
  /** What the site exchanges with AWS's services, other than S3 in the same region, and with the coordinator. */
  readonly trafficGb: number;
  readonly logGb: number;
}

export const USUAL_USAGE: SiteUsage = { trainingHours: 20, datasetGb: 100, workspaceGb: 100, trafficGb: 50, logGb: 5 };

export interface BillItem {
  readonly component: string;
  readonly item: string;
  readonly quantity: number;
  readonly unit: string;
  /** USD. */
  readonly price: number;
  /** USD a month. */
  readonly monthly: number;
}

/** What a site has whatever its configuration says; a test counts the same in the offline plan. */
export const ALWAYS = { keys: 3, secrets: 2, alarms: 7, dashboards: 1 } as const;

/** AWS's own month (365 days / 12). */
const MONTH_HOURS = 730;
const WEEKS_A_MONTH = 365 / 7 / 12;
/** GiB of a GPU instance's volume; see `components/gpu/gpu-cluster.ts`. */
const GPU_DISK_GB = 200;
/** An instance stays about that long after its last task (managed scaling of ECS). */
const IDLE_HOURS = 0.25;
const AGENT = { cpus: 1, gb: 4 } as const;

/** What is not in a bill, in words for those who read it. */
export const NOT_INCLUDED = [
  'tax, support plans, and discounts (savings plans, spot, free tier)',
  'data sent to the internet and between regions, and requests to S3, EFS, KMS and ECR',
  "the share of the coordinator's and the organisation's accounts",
  'licences, such as that of NVIDIA Clara Train',
] as const;

/** The monthly bill of one site, part by part, from its configuration alone. */
export function siteBill(site: SiteConfiguration, usage: SiteUsage, prices: PriceTable): BillItem[] {
  return [
    ...gpuItems(site, usage, prices),
    ...networkItems(site, usage, prices),
    ...doorItems(site, prices),
    line('SiteAgent', `Fargate, ${AGENT.cpus} vCPU and ${AGENT.gb} GB`, MONTH_HOURS, 'h', agentHour(prices)),
    ...storageItems(site, usage, prices),
    ...watchItems(site, usage, prices),
  ];
}

export function total(items: readonly BillItem[]): number {
  return items.reduce((sum, { monthly }) => sum + monthly, 0);
}

/**
 * Hours of a month in which the annotation server is awake. With night hours it sleeps over the weekend as well: it goes to sleep
 * every day and wakes up on working days only.
 */
export function wakingHours(night: NightHours | undefined): number {
  if (night === undefined) return MONTH_HOURS;
  const [from, to] = [hourOf(night.from), hourOf(night.to)];
  const day = from > to ? from - to : from + 24 - to;
  return day * 5 * WEEKS_A_MONTH;
}

function gpuItems(site: SiteConfiguration, { trainingHours }: SiteUsage, prices: PriceTable): BillItem[] {
  const families = Object.keys(site.gpuFamilies) as (keyof SiteConfiguration['gpuFamilies'])[];
  const annotation = site.annotationGpuFamily ?? families[0]!;
  const awake = wakingHours(site.nightHours);
  // Each morning an instance starts, each night it waits a little before it ends.
  const nights = site.nightHours === undefined ? 0 : 5 * WEEKS_A_MONTH;
  const annotationHours = (awake + nights * IDLE_HOURS) * site.annotationTasks;
  return [
    ...gpuHours('AnnotationService', annotation, annotationHours, prices),
    ...gpuHours('TrainingTasks', site.trainers[0]!.gpuFamily, trainingHours, prices),
  ];
}

function gpuHours(
  component: string,
  family: keyof SiteConfiguration['gpuFamilies'],
  hours: number,
  prices: PriceTable,
) {
  const { instanceType, gpu } = gpuFamily(family);
  const disk = (GPU_DISK_GB * hours) / MONTH_HOURS;
  return [
    line(component, `${instanceType} (${gpu})`, hours, 'h', instancePrice(prices, instanceType)),
    line(component, `gp3 volume, ${GPU_DISK_GB} GB while it runs`, disk, 'GB-month', prices.volumeGbMonth),
  ];
}

function networkItems(site: SiteConfiguration, { trafficGb }: SiteUsage, prices: PriceTable): BillItem[] {
  const zones = site.vpcId === undefined ? site.zones.length : Object.keys(site.subnets).length;
  const link = site.coordinatorEndpointService === undefined ? 0 : 1;
  const items = [
    line('FederationLink', `interface endpoint, ${zones} zones`, link * zones * MONTH_HOURS, 'h', prices.endpointHour),
  ];
  if (site.vpcId !== undefined) return items;
  if (site.networkEgress === 'nat') {
    return [
      line('SiteNetwork', 'NAT gateway', MONTH_HOURS, 'h', prices.natHour),
      line('SiteNetwork', 'its public address', MONTH_HOURS, 'h', prices.publicAddressHour),
      line('SiteNetwork', 'data through the NAT gateway', trafficGb, 'GB', prices.natGb),
      ...items,
    ];
  }
  const needs = { fargate: true, instances: true, shell: true, startsTasks: true, bastion: site.bastion };
  const endpoints = interfaceEndpoints(needs).length;
  return [
    line(
      'SiteNetwork',
      `${endpoints} interface endpoints, ${zones} zones`,
      endpoints * zones * MONTH_HOURS,
      'h',
      prices.endpointHour,
    ),
    line('SiteNetwork', 'data through the endpoints', trafficGb, 'GB', prices.endpointGb),
    ...items,
  ];
}

/** The load balancer, and the bastion where there is one. */
function doorItems(site: SiteConfiguration, prices: PriceTable): BillItem[] {
  const zones = site.vpcId === undefined ? site.zones.length : Object.keys(site.publicSubnets).length;
  const addresses = site.loadBalancer === 'public' ? zones : 0;
  return [
    line('AnnotationService', 'application load balancer', MONTH_HOURS, 'h', prices.loadBalancerHour),
    line('AnnotationService', 'one capacity unit of it', MONTH_HOURS, 'h', prices.loadBalancerUnitHour),
    line('AnnotationService', 'its public addresses', addresses * MONTH_HOURS, 'h', prices.publicAddressHour),
    line('Bastion', 't3.micro', site.bastion ? MONTH_HOURS : 0, 'h', instancePrice(prices, 't3.micro')),
    line('Bastion', 'gp3 volume', site.bastion ? 16 : 0, 'GB-month', prices.volumeGbMonth),
  ].filter(({ quantity }) => quantity > 0);
}

function storageItems(site: SiteConfiguration, usage: SiteUsage, prices: PriceTable): BillItem[] {
  return [
    line('DatasetBucket', 'S3 standard', usage.datasetGb, 'GB-month', prices.bucketGbMonth),
    line('WorkspaceFileSystem', 'EFS standard', usage.workspaceGb, 'GB-month', prices.workspaceGbMonth),
    line(
      'WorkspaceFileSystem',
      'backups',
      site.backUpWorkspace ? usage.workspaceGb : 0,
      'GB-month',
      prices.backupGbMonth,
    ),
  ].filter(({ quantity }) => quantity > 0);
}

function watchItems(site: SiteConfiguration, { logGb }: SiteUsage, prices: PriceTable): BillItem[] {
  const keys = ALWAYS.keys + (site.datasetKeyArn === undefined ? 1 : 0);
  return [
    line('ClaraSite', 'KMS keys', keys, 'a month', prices.keyMonth),
    line('ClaraSite', 'secrets', ALWAYS.secrets, 'a month', prices.secretMonth),
    line('SiteOperations', 'logs', logGb, 'GB', prices.logGb),
    line('SiteOperations', 'alarms', ALWAYS.alarms, 'a month', prices.alarmMonth),
    line('SiteOperations', 'dashboard', ALWAYS.dashboards, 'a month', prices.dashboardMonth),
  ];
}

function line(component: string, item: string, quantity: number, unit: string, price: number): BillItem {
  return { component, item, quantity, unit, price, monthly: quantity * price };
}

function agentHour({ fargateCpuHour, fargateGbHour }: PriceTable): number {
  // A price of the table again, without what binary fractions add to the sum.
  return Number((AGENT.cpus * fargateCpuHour + AGENT.gb * fargateGbHour).toPrecision(12));
}

/** @throws ClaraError `not-found` when the table has no price of the type */
function instancePrice({ instanceHour, region }: PriceTable, type: string): number {
  const price = instanceHour[type];
  if (price === undefined)
    throw new ClaraError('not-found', `the price table of ${region} has no instanceHour of ${type}`);
  return price;
}

function hourOf(time: string): number {
  const [hours, minutes] = time.split(':').map(Number);
  return hours! + minutes! / 60;
}
