import * as aws from '../components/aws';
import { DeploymentInputError } from '../components/faults';

/**
 * Names of zones in the provider's account, by their ids. Asked before anything is made, because how many subnets there are must
 * not depend on what is known only later.
 *
 * @throws DeploymentInputError when the account has no such zone
 */
export async function zoneNames(
  stack: string,
  zoneIds: readonly string[],
  provider: aws.Provider,
): Promise<Record<string, string>> {
  const zones = await aws.getAvailabilityZones({ state: 'available' }, { provider });
  const names = new Map(zones.zoneIds.map((id, index) => [id, zones.names[index]]));
  const missing = zoneIds.filter((id) => !names.has(id));
  if (missing.length > 0) {
    throw new DeploymentInputError(
      `The configuration of stack ${stack}`,
      missing.map((id) => ({
        path: 'clara-federation:zones',
        value: id,
        rule: `is no zone of this account and region; there are ${[...names.keys()].join(', ')}`,
      })),
    );
  }
  return Object.fromEntries(zoneIds.map((id) => [id, names.get(id)!]));
}
