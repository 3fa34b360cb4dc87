import { openDirectoryStore } from '../../fl-coordinator/storage/directory-store';
import type { ObjectStore } from '../../fl-coordinator/storage/object-store';
import { openS3Store } from '../../fl-coordinator/storage/s3/s3-store';
import type { StoreAddress } from '../../fl-coordinator/storage/store-address';

/** How any process opens the store under test; it crosses to child processes as JSON. */
export type StoreDescription = StoreAddress;

/** Servers of tests answer at once; what is tried again is tried again soon. */
const RETRIES = { firstPauseMillis: 5, longestPauseMillis: 100 };

export interface DescribedStore {
  readonly store: ObjectStore;
  close(): Promise<void>;
}

export async function openDescribed(description: StoreDescription): Promise<DescribedStore> {
  const store =
    description.kind === 'directory'
      ? await openDirectoryStore(description.root)
      : await openS3Store(description, { retries: RETRIES });
  return { store, close: () => store.close() };
}
