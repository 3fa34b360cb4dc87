import { PRICES, type PriceTable } from './prices';

/** What costs the same in every region of the table. */
const EVERYWHERE = {
  publicAddressHour: 0.005,
  keyMonth: 1,
  secretMonth: 0.4,
  alarmMonth: 0.1,
  dashboardMonth: 3,
} as const;

const REMEMBERED_HOURS = ['instanceHour.g6e.2xlarge', 'instanceHour.p3.2xlarge', 'instanceHour.t3.micro'] as const;

/**
 * London. Prices of Fargate, load balancer, NAT, endpoints, addresses, S3, keys, secrets, logs and alarms are those of AWS's price list
 * files of 2026 for `EUW2`, as others have quoted them. What is `approximate` is remembered from the pages named in `prices.ts`, and g5, g6
 * and g6e are estimated by what other instances cost here and in us-east-1.
 */
const LONDON: PriceTable = {
  ...EVERYWHERE,
  region: 'eu-west-2',
  date: '2026-11',
  instanceHour: {
    'g5.2xlarge': 1.42,
    'g6.2xlarge': 1.15,
    'g6e.2xlarge': 2.63,
    'p3.2xlarge': 3.589,
    't3.micro': 0.0118,
  },
  volumeGbMonth: 0.0928,
  fargateCpuHour: 0.04656,
  fargateGbHour: 0.00511,
  loadBalancerHour: 0.02646,
  loadBalancerUnitHour: 0.0084,
  natHour: 0.05,
  natGb: 0.05,
  endpointHour: 0.011,
  endpointGb: 0.01,
  bucketGbMonth: 0.024,
  workspaceGbMonth: 0.33,
  backupGbMonth: 0.055,
  logGb: 0.5985,
  approximate: [
    'instanceHour.g5.2xlarge',
    'instanceHour.g6.2xlarge',
    ...REMEMBERED_HOURS,
    'volumeGbMonth',
    'workspaceGbMonth',
    'backupGbMonth',
    'dashboardMonth',
  ],
};

/** Frankfurt. Prices of g5, g6, Fargate, endpoints and S3 are quoted from price lists of 2026 for `EUC1`, as for London; g6e is estimated as there. */
const FRANKFURT: PriceTable = {
  ...EVERYWHERE,
  region: 'eu-central-1',
  date: '2026-11',
  instanceHour: {
    'g5.2xlarge': 1.5156,
    'g6.2xlarge': 1.2225,
    'g6e.2xlarge': 2.8,
    'p3.2xlarge': 3.823,
    't3.micro': 0.012,
  },
  volumeGbMonth: 0.0952,
  fargateCpuHour: 0.04656,
  fargateGbHour: 0.00511,
  loadBalancerHour: 0.027,
  loadBalancerUnitHour: 0.008,
  natHour: 0.052,
  natGb: 0.052,
  endpointHour: 0.012,
  endpointGb: 0.01,
  bucketGbMonth: 0.0245,
  workspaceGbMonth: 0.36,
  backupGbMonth: 0.06,
  logGb: 0.63,
  approximate: [
    ...REMEMBERED_HOURS,
    'volumeGbMonth',
    'loadBalancerHour',
    'loadBalancerUnitHour',
    'natHour',
    'natGb',
    'workspaceGbMonth',
    'backupGbMonth',
    'logGb',
    'dashboardMonth',
  ],
};

const TABLES: readonly PriceTable[] = [PRICES, LONDON, FRANKFURT];

/** The prices of a region, or those of us-east-1 where there is no table of it. */
export function pricesOf(region: string): PriceTable {
  return TABLES.find((table) => table.region === region) ?? PRICES;
}
