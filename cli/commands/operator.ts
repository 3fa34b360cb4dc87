import { Command, Option } from 'commander';
import { ClaraError, hasCode } from '../../base/errors';
import { certificatesIn, endOf } from '../../federation/certificates';
import { type Credentials, loadCredentials, parseCredentials, saveCredentials } from '../../federation/credentials';
import { formatIdentity, sameIdentity, showIdentity } from '../../federation/identity';
import { readSecret } from '../aws-secret';
import { OPERATOR_VARIABLE } from '../operator';
import { stopSignal } from '../stopping';
import { openTerminal } from '../terminal';

interface FetchOptions {
  readonly secret: string;
  readonly operator: string;
  readonly json?: boolean;
}

export function operatorCommand(): Command {
  const command = new Command('operator').description("An operator's credentials.");
  command
    .command('fetch')
    .description(
      "Brings the operator's credentials from the secret in which the coordinators keep them; again after they were renewed.",
    )
    .requiredOption('--secret <arn>', 'the secret of AWS Secrets Manager')
    .addOption(
      new Option('--operator <dir>', 'where key and certificates go').env(OPERATOR_VARIABLE).makeOptionMandatory(),
    )
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      '\nExample:\n  clara-fed operator fetch --secret arn:aws:secretsmanager:eu-west-2:111122223333:secret:operator --operator ./operator',
    )
    .action(fetchCredentials);
  return command;
}

async function fetchCredentials({ secret, operator: folder, ...options }: FetchOptions): Promise<void> {
  const terminal = openTerminal(options);
  const text = await readSecret('--secret', secret, stopSignal());
  const credentials = parseCredentials(text, `the secret ${secret}`);
  await refuseOthers(folder, credentials);
  await saveCredentials(folder, credentials);
  const { identity, coordinator } = credentials;
  const ends = endOf(certificatesIn(credentials.chainPem, secret)[0]!).toISOString();
  terminal.record({ event: 'fetched', identity: formatIdentity(identity), coordinator, operator: folder, ends });
  terminal.line(`${showIdentity(identity)}, until ${ends}; credentials are in ${folder}`);
}

/** Nobody loses a key to a slip of the hand; what is damaged is no key to lose. */
async function refuseOthers(folder: string, { identity }: Credentials): Promise<void> {
  const present = await loadCredentials(folder).catch((error: unknown) => {
    if (hasCode(error, 'not-found', 'corrupt', 'permission-denied')) return undefined;
    throw error;
  });
  if (present === undefined || sameIdentity(present.identity, identity)) return;
  throw new ClaraError(
    'already-exists',
    `${folder} has the credentials of ${formatIdentity(present.identity)}, and the secret those of ${formatIdentity(identity)}; name another folder`,
  );
}
