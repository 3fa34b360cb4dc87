import { z } from 'zod';

/**
 * What AWS asks for the parts of a site, in US dollars before tax: public on-demand list prices of one region. AWS publishes them on
 * the pages that are named; this table was written down from them and is not updated by itself, so an estimate names its date.
 */
export const PRICE_TABLE = z.strictObject({
  region: z.string(),
  /** Year and month in which the prices were written down. */
  date: z.string().regex(/^\d{4}-\d{2}$/, 'must be a year and a month, such as 2026-06'),
  /** An hour of a Linux instance, by type. https://aws.amazon.com/ec2/pricing/on-demand/ */
  instanceHour: z.record(z.string(), z.number().positive()),
  /** A GB and month of a gp3 volume. https://aws.amazon.com/ebs/pricing/ */
  volumeGbMonth: z.number(),
  /** https://aws.amazon.com/fargate/pricing/ */
  fargateCpuHour: z.number(),
  fargateGbHour: z.number(),
  /** https://aws.amazon.com/elasticloadbalancing/pricing/ */
  loadBalancerHour: z.number(),
  loadBalancerUnitHour: z.number(),
  /** https://aws.amazon.com/vpc/pricing/ (NAT gateway, public IPv4) and https://aws.amazon.com/privatelink/pricing/ */
  natHour: z.number(),
  natGb: z.number(),
  endpointHour: z.number(),
  endpointGb: z.number(),
  publicAddressHour: z.number(),
  /** A GB and month. https://aws.amazon.com/s3/pricing/, https://aws.amazon.com/efs/pricing/, https://aws.amazon.com/backup/pricing/ */
  bucketGbMonth: z.number(),
  workspaceGbMonth: z.number(),
  backupGbMonth: z.number(),
  /** https://aws.amazon.com/kms/pricing/, https://aws.amazon.com/secrets-manager/pricing/ */
  keyMonth: z.number(),
  secretMonth: z.number(),
  /** https://aws.amazon.com/cloudwatch/pricing/ */
  logGb: z.number(),
  alarmMonth: z.number(),
  dashboardMonth: z.number(),
  /** Prices, by path, that were not read from a price list: remembered or estimated, within some 10 %. */
  approximate: z.array(z.string()).default([]),
});

export type PriceTable = Readonly<z.output<typeof PRICE_TABLE>>;

export const PRICE_PAGE = 'https://aws.amazon.com/pricing/';

export const PRICES: PriceTable = {
  region: 'us-east-1',
  date: '2026-06',
  instanceHour: {
    'g5.2xlarge': 1.212,
    'g6.2xlarge': 0.9776,
    'g6e.2xlarge': 2.24208,
    'p3.2xlarge': 3.06,
    't3.nano': 0.0052,
    't3.micro': 0.0104,
    't4g.nano': 0.0042,
    't4g.micro': 0.0084,
  },
  volumeGbMonth: 0.08,
  fargateCpuHour: 0.04048,
  fargateGbHour: 0.004445,
  loadBalancerHour: 0.0225,
  loadBalancerUnitHour: 0.008,
  natHour: 0.045,
  natGb: 0.045,
  endpointHour: 0.01,
  endpointGb: 0.01,
  publicAddressHour: 0.005,
  bucketGbMonth: 0.023,
  workspaceGbMonth: 0.3,
  backupGbMonth: 0.05,
  keyMonth: 1,
  secretMonth: 0.4,
  logGb: 0.5,
  alarmMonth: 0.1,
  dashboardMonth: 3,
  approximate: [],
};
