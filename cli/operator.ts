import { type Command, Option } from 'commander';
import { ClaraError } from '../base/errors';
import { loadCredentials } from '../federation/credentials';
import { Operations } from '../federation/gen/federation/v1/federation_pb';
import { clientOf, type ServiceClient } from '../federation/services';
import { openServingChannel } from '../federation/serving-channel';
import { parseAddress } from './address';

export type OperationsClient = ServiceClient<typeof Operations>;

export const OPERATOR_VARIABLE = 'CLARA_FED_OPERATOR';

export interface OperatorOptions {
  /** Folder with the operator's credentials. */
  readonly operator: string;
  /** `host:port`, or several joined by commas, when they are not the ones in the credentials. */
  readonly coordinator?: string | undefined;
}

/**
 * Options of every verb that talks to a coordinator.
 * @param mandatory false for a verb that may also do without one
 */
export function withOperator(command: Command, { mandatory = true } = {}): Command {
  return command
    .addOption(
      new Option('--operator <dir>', "folder with the operator's credentials")
        .env(OPERATOR_VARIABLE)
        .makeOptionMandatory(mandatory),
    )
    .addOption(
      new Option(
        '--coordinator <host:port,...>',
        'address of the coordinator, or of several of which one leads (default: as in the credentials)',
      ),
    );
}

/** Opens a channel to the coordinator that leads, for the length of `work`. */
export async function asOperator<T>(
  options: OperatorOptions,
  work: (client: OperationsClient) => Promise<T>,
): Promise<T> {
  if (!options.operator)
    throw new ClaraError(
      'invalid-input',
      `no operator's credentials are named; say --operator DIR, or set ${OPERATOR_VARIABLE}`,
    );
  const credentials = await loadCredentials(options.operator);
  const address = options.coordinator ?? credentials.coordinator;
  if (!address)
    throw new ClaraError('not-found', `${options.operator} names no coordinator; say --coordinator HOST:PORT`);
  const addresses = address.split(',').map((each) => each.trim());
  for (const each of addresses) parseAddress(each);
  const channel = await openServingChannel({ addresses, credentials });
  try {
    return await work(clientOf(Operations, channel));
  } finally {
    channel.close();
  }
}
