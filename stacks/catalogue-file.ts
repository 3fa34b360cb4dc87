import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { checked } from '../components/faults';
import { CATALOGUE, type SiteEntry } from './catalogue';
import { accountId, type Environment } from './common-keys';

/** What the organisation needs to know of an environment. */
export interface EnvironmentAccounts {
  readonly environment: Environment;
  /** The platform's. */
  readonly accountId: string;
  readonly sites: readonly SiteEntry[];
}

const FILE = z.looseObject({
  config: z.looseObject({ 'clara-federation:accountId': accountId, 'clara-federation:sites': CATALOGUE.default([]) }),
});

/**
 * Reads an environment's accounts from its stack file: the organisation makes the accounts of the catalogue, and a copy of it
 * would be a second place where a hospital is declared.
 *
 * @param root folder of Pulumi.yaml
 * @throws DeploymentInputError with every fault
 */
export function environmentAccounts(root: string, environment: Environment): EnvironmentAccounts {
  const name = `Pulumi.${environment}.yaml`;
  const { config } = checked(name, FILE, parse(readFileSync(path.join(root, name), 'utf8')));
  return { environment, accountId: config['clara-federation:accountId'], sites: config['clara-federation:sites'] };
}
