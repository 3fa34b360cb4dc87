import path from 'node:path';
import type { ObjectStore } from '../storage/object-store';
import { CertificateAuthority } from './certificate-authority';
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
  readonly federation: string;
  /** The coordinator's workspace; the authority's keys live in `<workspace>/trust`. */
  readonly workspace: string;
  readonly store: ObjectStore;
  /** Life of a site's or operator's certificate. @default 30 days */
  readonly leafMillis?: number;
  /** @default the system's clock */
  readonly now?: () => Date;
}

/** Loads the authority and replays the register; makes both on the first start. */
export async function openTrust({
  federation,
  workspace,
  store,
  leafMillis,
  now = () => new Date(),
}: TrustOptions): Promise<Trust> {
  const authority = await CertificateAuthority.open(path.join(workspace, 'trust'), { federation, leafMillis, now });
  const register = await SiteRegister.open(store, now);
  return { authority, register, tokens: new TokenStore(store, now), now };
}
