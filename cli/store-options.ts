import type { Command } from 'commander';
import { ClaraError } from '../base/errors';
import { parseS3Address, type StoreAddress } from '../fl-coordinator/storage/store-address';

/** What tells a verb which store is meant. Credentials are never options: the AWS SDK finds them. */
export interface StoreOptions {
  readonly store?: string;
  readonly storeEndpoint?: string;
  readonly storeKmsKey?: string;
}

export function withStoreOptions(command: Command, what: string): Command {
  return command
    .option('--store <dir|s3://bucket/prefix>', what)
    .option('--store-endpoint <url>', 'of a server that speaks S3 (default: AWS)')
    .option('--store-kms-key <id>', 'encrypts objects in S3 with this KMS key (default: as the bucket says)');
}

/** @returns undefined when none is named. @throws ClaraError `invalid-input` */
export function storeAddressOf({ store, storeEndpoint, storeKmsKey }: StoreOptions): StoreAddress | undefined {
  if (store?.startsWith('s3://')) return parseS3Address(store, { endpoint: storeEndpoint, kmsKeyId: storeKmsKey });
  if (storeEndpoint !== undefined || storeKmsKey !== undefined) {
    throw new ClaraError('invalid-input', '--store-endpoint and --store-kms-key need --store s3://BUCKET/PREFIX');
  }
  return store === undefined ? undefined : { kind: 'directory', root: store };
}
