import { stat } from 'node:fs/promises';
import { Command } from 'commander';
import { ClaraError } from '../../base/errors';
import { openStore } from '../../fl-coordinator/storage/open-store';
import { type StoreAddress, storeInWorkspace } from '../../fl-coordinator/storage/store-address';
import { verifyStore } from '../../fl-coordinator/upkeep/verify-store';
import { stopSignal } from '../stopping';
import { type StoreOptions, storeAddressOf, withStoreOptions } from '../store-options';
import { openTerminal } from '../terminal';

interface VerifyOptions extends StoreOptions {
  readonly workspace?: string;
  readonly json?: boolean;
}

export function storeCommand(): Command {
  const command = new Command('store').description('What a coordinator keeps.');
  const verifying = command
    .command('verify')
    .description('Replays every journal and checks the digest of every model and update that a journal names.')
    .option('--workspace <dir>', "the coordinator's workspace");
  withStoreOptions(verifying, 'the store, when it is elsewhere')
    .option('--json', 'one JSON object a line')
    .addHelpText('after', '\nExample:\n  clara-fed store verify --workspace ./coordinator')
    .action(verify);
  return command;
}

async function verify(options: VerifyOptions): Promise<void> {
  const terminal = openTerminal(options);
  const signal = stopSignal();
  const store = await openStore(await addressOf(options));
  const counts = { journals: 0, events: 0, objects: 0, bytes: 0, deleted: 0, broken: 0 };
  try {
    for await (const finding of verifyStore(store, signal)) {
      signal.throwIfAborted();
      if (finding.kind === 'journal') {
        counts.journals++;
        counts.events += finding.events;
      } else if (finding.kind === 'object') {
        counts.objects++;
        counts.bytes += finding.bytes;
      } else if (finding.kind === 'deleted') counts.deleted++;
      else {
        counts.broken++;
        terminal.record({ event: 'broken', what: finding.what, problem: finding.problem });
        terminal.line(`broken  ${finding.what}: ${finding.problem}`);
      }
    }
  } finally {
    await store.close();
  }
  terminal.record({ event: 'verified', ...counts });
  const { journals, events, objects, bytes, deleted, broken } = counts;
  terminal.line(
    `${journals} journals with ${events} events and ${objects} objects with ${bytes} bytes are whole; ${deleted} updates were deleted by the retention rule`,
  );
  if (broken > 0) {
    throw new ClaraError(
      'corrupt',
      `${broken} ${broken === 1 ? 'part' : 'parts'} of the store are broken; restore them from a backup`,
    );
  }
}

/** @throws ClaraError `invalid-input` unless one store is named; `not-found` when there is none */
async function addressOf(options: VerifyOptions): Promise<StoreAddress> {
  const named = storeAddressOf(options);
  if ((named === undefined) === (options.workspace === undefined)) {
    throw new ClaraError('invalid-input', 'name one store: --workspace DIR, --store DIR or --store s3://BUCKET/PREFIX');
  }
  const address = named ?? storeInWorkspace(options.workspace!);
  if (address.kind === 's3' || (await stat(address.root).catch(() => undefined))?.isDirectory()) return address;
  throw new ClaraError(
    'not-found',
    `there is no store in ${address.root}; name a coordinator's workspace or its store`,
  );
}
