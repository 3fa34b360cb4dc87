import { openDirectoryStore } from '../../fl-coordinator/storage/directory-store';
import type { ObjectStore } from '../../fl-coordinator/storage/object-store';

/** How any process opens the store under test; it crosses to child processes as JSON. */
export type StoreDescription = { readonly kind: 'directory'; readonly root: string };

export interface DescribedStore {
  readonly store: ObjectStore;
  close(): Promise<void>;
}

export async function openDescribed(description: StoreDescription): Promise<DescribedStore> {
  const store = await openDirectoryStore(description.root);
  return { store, close: () => store.close() };
}
