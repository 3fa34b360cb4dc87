import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { ClaraError } from '../../base/errors';
import { EXIT } from '../../base/exit-codes';
import { readYaml } from '../../base/yaml';
import type { AddedSite, SiteToAdd } from '../../fleet/add-site';
import type { BillItem } from '../../fleet/cost/site-bill';
import { openTerminal, table } from '../terminal';

/** The verbs of `clara-fed site` that a platform engineer calls, before a hospital's site is there. */

interface AddOptions {
  readonly env: string;
  readonly name?: string;
  readonly region?: string;
  readonly account?: string;
  readonly accountEmail?: string;
  readonly link?: 'private' | 'public';
  readonly egressCidrs?: string;
  readonly settings?: string;
  readonly project: string;
  readonly check?: boolean;
  readonly json?: boolean;
}

interface CostOptions {
  readonly env: string;
  readonly trainingHours?: string;
  readonly datasetGb?: string;
  readonly workspaceGb?: string;
  readonly trafficGb?: string;
  readonly logGb?: string;
  readonly prices?: string;
  readonly project: string;
  readonly json?: boolean;
}

const MAX_CHARACTERS = 1 << 16;

const SAYS: Readonly<Record<AddedSite['file'], (stack: string) => string>> = {
  written: (stack) => `Pulumi.${stack}.yaml is written`,
  unchanged: (stack) => `Pulumi.${stack}.yaml is what the catalogue says`,
  differs: (stack) =>
    `Pulumi.${stack}.yaml is not what the catalogue says; \`clara-fed site add\` without --check writes it`,
  waiting: (stack) =>
    `Pulumi.${stack}.yaml waits for the account: deploy the stack org, write its output into the catalogue as accountId, and call again`,
};

export function addDeploymentVerbs(command: Command): void {
  command
    .command('add <id>')
    .description("Puts a hospital into an environment's catalogue and writes its stack's file from there.")
    .requiredOption('--env <name>', 'the environment: dev or prod')
    .option(
      '--name <text>',
      "the hospital's name; without particulars the file of a site in the catalogue is written anew",
    )
    .option('--region <region>', 'AWS region, such as eu-west-2')
    .option('--account <id>', 'an AWS account that exists')
    .option('--account-email <address>', 'root address of an account that the organisation makes')
    .option('--link <kind>', 'how the agent reaches the coordinator: private or public (default: private)')
    .option('--egress-cidrs <cidrs>', 'with a public link: where the site comes from, with commas')
    .option('--settings <file>', "YAML with configuration keys of the site's stack, see Pulumi.yaml")
    .option('--project <dir>', 'folder of Pulumi.yaml', '.')
    .option('--check', 'write nothing; end with 65 when a file differs from the catalogue')
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      "\nExample:\n  clara-fed site add leeds --env prod --name 'Leeds General Infirmary' --region eu-west-2 --account 888899990000 --settings leeds.yaml",
    )
    .action(add);
  command
    .command('cost <id>')
    .description(
      'What a site costs a month, part by part, before it is deployed: list prices, and what you expect of its use.',
    )
    .requiredOption('--env <name>', 'the environment: dev or prod')
    .option('--training-hours <n>', 'hours a month in which it trains (default: 20)')
    .option('--dataset-gb <n>', 'GB of datasets in S3 (default: 100)')
    .option('--workspace-gb <n>', 'GB of the workspace (default: 100)')
    .option('--traffic-gb <n>', 'GB a month to AWS and the coordinator (default: 50)')
    .option('--log-gb <n>', 'GB a month of logs (default: 5)')
    .option(
      '--prices <file>',
      "JSON price table, in the form of fleet/cost/prices.ts (default: that of the site's region, or us-east-1's)",
    )
    .option('--project <dir>', 'folder of Pulumi.yaml', '.')
    .option('--json', 'one JSON object a part, and one for the whole')
    .addHelpText('after', '\nExample:\n  clara-fed site cost st-marys --env prod --training-hours 60')
    .action(cost);
}

async function add(id: string, options: AddOptions): Promise<void> {
  const terminal = openTerminal(options);
  const [{ addSite }, { asClaraError }] = await Promise.all([
    import('../../fleet/add-site'),
    import('../../fleet/deployment-faults'),
  ]);
  const entry = await entryOf(options);
  const { project, env: environment, check } = options;
  const request = {
    root: path.resolve(project),
    environment,
    id,
    ...(entry ? { entry } : {}),
    ...(check ? { check } : {}),
  };
  const added = await addSite(request).catch((error: unknown) => {
    throw asClaraError(error);
  });
  terminal.record({ event: 'site-added', ...added });
  if (added.catalogue === 'added')
    terminal.line(`${id} is ${check ? 'not ' : ''}in the catalogue, Pulumi.${environment}.yaml`);
  terminal.line(SAYS[added.file](added.stack));
  if (check && (added.file === 'differs' || added.catalogue === 'added')) process.exitCode = EXIT.badData;
}

async function entryOf(options: AddOptions): Promise<SiteToAdd['entry']> {
  const { name, region, account, accountEmail, link, egressCidrs, settings } = options;
  const particulars = { name, region, account, accountEmail, link, egressCidrs, settings };
  if (Object.values(particulars).every((value) => value === undefined)) return undefined;
  if (name === undefined || region === undefined) {
    throw new ClaraError('invalid-input', 'a new site needs --name and --region, and --account or --account-email');
  }
  return {
    name,
    ...(account === undefined ? {} : { accountId: account }),
    ...(accountEmail === undefined ? {} : { accountEmail }),
    region,
    ...(link === undefined ? {} : { link }),
    ...(egressCidrs === undefined ? {} : { egressCidrs: egressCidrs.split(',').map((cidr) => cidr.trim()) }),
    ...(settings === undefined ? {} : { settings: await settingsIn(settings) }),
  };
}

async function settingsIn(file: string): Promise<Record<string, unknown>> {
  const settings = readYaml(await textOf(file), { what: file, maxCharacters: MAX_CHARACTERS });
  if (typeof settings === 'object' && settings !== null && !Array.isArray(settings))
    return settings as Record<string, unknown>;
  throw new ClaraError('invalid-input', `${file} must be a map of configuration keys`);
}

async function textOf(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    throw ClaraError.from(error, `${file} cannot be read`);
  });
}

async function cost(id: string, options: CostOptions): Promise<void> {
  const terminal = openTerminal(options);
  const [{ siteCost }, { NOT_INCLUDED, total }, { asClaraError }, { PRICE_PAGE }] = await Promise.all([
    import('../../fleet/cost/site-cost'),
    import('../../fleet/cost/site-bill'),
    import('../../fleet/deployment-faults'),
    import('../../fleet/cost/prices'),
  ]);
  const usage = Object.fromEntries(
    (['trainingHours', 'datasetGb', 'workspaceGb', 'trafficGb', 'logGb'] as const).flatMap((key) =>
      options[key] === undefined ? [] : [[key, amount(key, options[key])]],
    ),
  );
  const prices = options.prices === undefined ? undefined : await textOf(options.prices);
  const request = {
    root: path.resolve(options.project),
    environment: options.env,
    id,
    usage,
    ...(prices ? { prices } : {}),
  };
  const {
    site,
    items,
    table: used,
  } = await siteCost(request).catch((error: unknown) => {
    throw asClaraError(error);
  });
  for (const item of items) terminal.record({ event: 'part', ...item });
  const { region, date, approximate } = used;
  const sum = total(items);
  terminal.record({
    event: 'cost',
    site: id,
    environment: options.env,
    monthly: sum,
    currency: 'USD',
    pricesOf: { region, date, approximate },
    notIncluded: NOT_INCLUDED,
  });
  terminal.line(costTable(items, sum));
  terminal.line(
    `\nList prices of ${region} of ${date}; AWS's own of today are at ${PRICE_PAGE}. The site is in ${site.region}.`,
  );
  if (approximate.length > 0) {
    terminal.line(`Remembered or estimated, and right within some 10 %: ${approximate.join(', ')}.`);
  }
  if (region !== site.region)
    terminal.line('Other regions of AWS cost up to a third more: give the prices of yours with --prices.');
  terminal.line(`Not included: ${NOT_INCLUDED.join('; ')}.`);
}

function amount(option: string, text: string): number {
  const value = Number(text);
  if (/^\d{1,7}(\.\d+)?$/.test(text)) return value;
  const name = option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new ClaraError('invalid-input', `--${name} ${JSON.stringify(text)} must be a number from 0`);
}

function costTable(items: readonly BillItem[], sum: number): string {
  const rows = items.map(({ component, item, quantity, unit, price, monthly }) => [
    component,
    item,
    `${Math.round(quantity * 10) / 10} ${unit}`,
    String(price),
    monthly.toFixed(2),
  ]);
  return table([['part', 'what', 'a month', 'USD each', 'USD'], ...rows, ['total', '', '', '', sum.toFixed(2)]]);
}
