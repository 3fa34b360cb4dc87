import assert from 'node:assert/strict';
import path from 'node:path';
import type { ClaraError } from '../../base/errors';
import { PRICES, type PriceTable } from '../../fleet/cost/prices';
import { pricesOf } from '../../fleet/cost/regional-prices';
import { ALWAYS, type BillItem, siteBill, total, USUAL_USAGE, wakingHours } from '../../fleet/cost/site-bill';
import { siteCost } from '../../fleet/cost/site-cost';
import { ProjectFolder } from '../../fleet/project';
import { stackNames } from '../../fleet/project-files';
import type { SiteConfiguration } from '../../stacks/configuration';
import { planStack } from '../engine/plan';
import type { ProgramRun } from '../engine/run-program';

const ROOT = path.resolve(__dirname, '../..');
const ISOLATED = { environment: 'prod', id: 'charite' };
const MONTH = 730;

const bill = async ({ environment, id }: { environment: string; id: string }) =>
  siteCost({ root: ROOT, environment, id });
const quantity = (items: readonly BillItem[], item: RegExp) =>
  items.filter((line) => item.test(line.item)).reduce((sum, line) => sum + line.quantity, 0);

describe('the bill of a site', () => {
  let site: SiteConfiguration;
  before(async () => {
    ({ site } = await bill({ environment: 'prod', id: 'st-marys' }));
  });
  const of = (changes: Partial<SiteConfiguration>, usage = USUAL_USAGE) =>
    siteBill({ ...site, ...changes }, usage, PRICES);

  it('adds up, and every part is its quantity times its price', () => {
    const items = of({});
    for (const { quantity: count, price, monthly } of items) assert.equal(monthly, count * price);
    const sum = items.reduce((all, { monthly }) => all + monthly, 0);
    assert.equal(total(items), sum);
    assert.ok(sum > 100 && sum < 5000, String(sum));
  });

  it('counts a GPU hour for each hour of training, and each annotation server', () => {
    const hours = (items: readonly BillItem[], component: string) =>
      quantity(
        items.filter((line) => line.component === component),
        /xlarge/,
      );
    assert.equal(hours(of({}, { ...USUAL_USAGE, trainingHours: 61 }), 'TrainingTasks'), 61);
    const awake = { nightHours: undefined };
    assert.equal(hours(of({ ...awake, annotationTasks: 1 }), 'AnnotationService'), MONTH);
    assert.equal(hours(of({ ...awake, annotationTasks: 3 }), 'AnnotationService'), 3 * MONTH);
  });

  it('knows that the night schedule sleeps at night and over the weekend', () => {
    const weeks = 365 / 7 / 12;
    assert.equal(wakingHours(undefined), MONTH);
    const [from, to, timezone] = ['20:00', '07:30', 'Europe/London'];
    assert.ok(Math.abs(wakingHours({ from, to, timezone }) - 12.5 * 5 * weeks) < 1e-9);
    // Asleep through the day, for those who annotate at night.
    assert.ok(Math.abs(wakingHours({ from: '06:00', to: '22:00', timezone }) - 8 * 5 * weeks) < 1e-9);
    const asleep = total(of({ nightHours: { from, to, timezone } }));
    assert.ok(asleep < total(of({ nightHours: undefined })) * 0.7);
  });

  it('has a NAT gateway or endpoints, and neither in a network that exists', () => {
    const fresh = { vpcId: undefined, zones: ['euw2-az1', 'euw2-az2'] };
    const nat = of({ ...fresh, networkEgress: 'nat' });
    assert.equal(quantity(nat, /^NAT gateway/), MONTH);
    const isolated = of({ ...fresh, networkEgress: 'isolated' });
    assert.equal(quantity(isolated, /NAT/), 0);
    assert.ok(quantity(isolated, /interface endpoints/) > 10 * MONTH);
    assert.equal(quantity(of({}), /NAT|endpoints,/), 0);
  });

  it('has prices of the region of every site in the catalogues', async () => {
    const sites = ['dev', 'prod'].flatMap((environment) =>
      ProjectFolder.open(ROOT)
        .siteIds(environment)
        .filter((id) => stackNames(ROOT).includes(`${environment}-${id}`))
        .map((id) => ({ environment, id })),
    );
    const regions = new Set<string>();
    for (const each of sites) {
      const { site: of, table, items } = await bill(each);
      assert.equal(table.region, of.region, each.id);
      assert.ok(items.every(({ price }) => price > 0));
      regions.add(table.region);
    }
    assert.ok(regions.size >= 2, [...regions].join());
  });

  it('says which prices it remembers, and has none that is far from those of us-east-1', () => {
    for (const region of ['eu-west-2', 'eu-central-1']) {
      const table = pricesOf(region);
      assert.match(table.date, /^20\d\d-\d\d$/);
      const flat = (prices: PriceTable) =>
        Object.entries(prices).flatMap(([key, value]): [string, number][] =>
          typeof value === 'number'
            ? [[key, value]]
            : key === 'instanceHour'
              ? Object.entries(value as Record<string, number>).map(([type, hour]) => [`instanceHour.${type}`, hour])
              : [],
        );
      const known = new Map(flat(PRICES));
      for (const [key, price] of flat(table)) {
        const ratio = price / known.get(key)!;
        assert.ok(ratio >= 1 && ratio <= 1.34, `${region} ${key}: ${ratio}`);
      }
      for (const key of table.approximate) assert.ok(new Map(flat(table)).has(key), `${region}: ${key}`);
    }
    assert.equal(pricesOf('ap-south-1').region, 'us-east-1');
  });

  it('uses the prices that it is given, and refuses a table that lacks one', async () => {
    const twice = { ...PRICES, region: 'eu-west-2', natHour: PRICES.natHour * 2 };
    const request = { root: ROOT, environment: 'prod', id: 'leeds' };
    const { items, table } = await siteCost({ ...request, prices: JSON.stringify(twice) });
    assert.equal(table.region, 'eu-west-2');
    assert.equal(items.find(({ item }) => item === 'NAT gateway')?.price, PRICES.natHour * 2);
    const { natHour: _, ...without } = PRICES;
    await assert.rejects(siteCost({ ...request, prices: JSON.stringify(without) }), /natHour/);
    const noGpu = siteCost({ ...request, prices: JSON.stringify({ ...PRICES, instanceHour: {} }) });
    await assert.rejects(noGpu, (error: ClaraError) => error.code === 'not-found' && /p3\.2xlarge/.test(error.message));
  });
});

describe('the bill counts what the offline plan makes', () => {
  let plan: ProgramRun;
  let items: readonly BillItem[];
  before(async () => {
    plan = await planStack({ root: ROOT, stack: `${ISOLATED.environment}-${ISOLATED.id}` });
    assert.equal(plan.exitCode, 0, plan.printed);
    ({ items } = await bill(ISOLATED));
  });
  const made = (type: string) => plan.resources.filter((resource) => resource.type === type);

  it('keys, secrets, alarms, dashboards', () => {
    assert.equal(made('aws:kms/key:Key').length, quantity(items, /KMS keys/));
    assert.equal(made('aws:secretsmanager/secret:Secret').length, ALWAYS.secrets);
    assert.equal(made('aws:cloudwatch/metricAlarm:MetricAlarm').length, ALWAYS.alarms);
    assert.equal(made('aws:cloudwatch/dashboard:Dashboard').length, ALWAYS.dashboards);
  });

  it('an hour of an interface endpoint for each of its zones', () => {
    const zones = made('aws:ec2/vpcEndpoint:VpcEndpoint')
      .filter(({ inputs }) => inputs.vpcEndpointType === 'Interface')
      .reduce((sum, { inputs }) => sum + (inputs.subnetIds as unknown[]).length, 0);
    assert.equal(quantity(items, /interface endpoint/), zones * MONTH);
  });

  it('one load balancer, no NAT gateway, and the agent as big as its task', () => {
    assert.equal(made('aws:lb/loadBalancer:LoadBalancer').length * MONTH, quantity(items, /application load balancer/));
    assert.equal(made('aws:ec2/natGateway:NatGateway').length, 0);
    const agent = made('aws:ecs/taskDefinition:TaskDefinition').find(({ name }) => /agent/.test(name));
    assert.deepEqual([agent?.inputs.cpu, agent?.inputs.memory], ['1024', '4096']);
    assert.ok(items.some(({ item }) => item === 'Fargate, 1 vCPU and 4 GB'));
  });
});
