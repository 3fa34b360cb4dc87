import { openDirectoryStore } from './directory-store';
import type { ObjectStore } from './object-store';
import type { StoreAddress } from './store-address';

export interface OpenStore extends ObjectStore {
  close(): Promise<void>;
}

/**
 * Opens a store by its address.
 * @throws ClaraError `invalid-input` when there is no such folder or bucket; `permission-denied`; `unavailable`
 */
export async function openStore(address: StoreAddress): Promise<OpenStore> {
  if (address.kind === 'directory') return openDirectoryStore(address.root);
  // Loading the SDK takes longer than starting everything else.
  const { openS3Store } = await import('./s3/s3-store');
  return openS3Store(address);
}
