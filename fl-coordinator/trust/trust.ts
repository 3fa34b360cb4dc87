import type { JournalTerm } from '../storage/journaled-state';
import type { ObjectStore } from '../storage/object-store';
import type { CertificateAuthority } from './certificate-authority';
import { SiteRegister } from './site-register';
import { TokenStore } from './token-store';

/** Everything that decides who is believed. */
export interface Trust {
  readonly authority: CertificateAuthority;
  readonly register: SiteRegister;
  readonly tokens: TokenStore;
  readonly now: () => Date;
}

export interface TrustOptions {
  readonly authority: CertificateAuthority;
  readonly store: ObjectStore;
  /** Of the leader whose trust this is. @default nobody else works on the store */
  readonly term?: JournalTerm;
  /** @default the system's clock */
  readonly now?: () => Date;
}

/** Replays the register. */
export async function openTrust({ authority, store, term, now = () => new Date() }: TrustOptions): Promise<Trust> {
  return { authority, register: await SiteRegister.open(store, now, term), tokens: new TokenStore(store, now), now };
}
