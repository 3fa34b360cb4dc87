import { ClaraError } from '../../base/errors';
import { faultsOf } from '../../base/faults';
import { keysOfOtherRoles } from '../../stacks/all-keys';
import { type SiteConfiguration, siteConfiguration } from '../../stacks/configuration';
import { siteStackName } from '../../stacks/site-stack-file';
import { stackConfiguration } from '../project-files';
import { PRICE_TABLE, type PriceTable } from './prices';
import { pricesOf } from './regional-prices';
import { type BillItem, type SiteUsage, siteBill, USUAL_USAGE } from './site-bill';

export interface CostRequest {
  /** Folder of Pulumi.yaml. */
  readonly root: string;
  readonly environment: string;
  readonly id: string;
  /** What is known better than {@link USUAL_USAGE}. */
  readonly usage?: Partial<SiteUsage>;
  /** A price table as JSON. @default the one of the site's region in this version */
  readonly prices?: string;
}

export interface SiteCost {
  readonly site: SiteConfiguration;
  readonly items: readonly BillItem[];
  readonly table: PriceTable;
}

/** The bill of a site from its stack's file. @throws ClaraError or DeploymentInputError with every fault of what was given */
export async function siteCost({ root, environment, id, usage = {}, prices }: CostRequest): Promise<SiteCost> {
  const stack = siteStackName(environment, id);
  const site = siteConfiguration(stackConfiguration(root, stack), stack, keysOfOtherRoles('site'));
  const priceTable = prices === undefined ? pricesOf(site.region) : priceTableIn(prices);
  return { site, items: siteBill(site, { ...USUAL_USAGE, ...usage }, priceTable), table: priceTable };
}

function priceTableIn(text: string): PriceTable {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new ClaraError('invalid-input', 'the price table is no JSON', { cause: error });
  }
  const parsed = PRICE_TABLE.safeParse(document);
  if (parsed.success) return parsed.data;
  throw ClaraError.ofFaults('the price table', faultsOf(parsed.error, document));
}
