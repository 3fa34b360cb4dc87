import { ClaraError } from '../base/errors';
import { certificatesIn, endOf } from '../federation/certificates';
import { type Credentials, loadCredentials } from '../federation/credentials';
import { formatIdentity } from '../federation/identity';
import type { SiteConfiguration } from './configuration';

export type CredentialsFolder = Pick<SiteConfiguration, 'id' | 'credentials'>;

/**
 * The credentials of this site.
 * @throws ClaraError as {@link loadCredentials}; `permission-denied` for those of anybody else
 */
export async function ownCredentials(site: CredentialsFolder): Promise<Credentials> {
  const credentials = await loadCredentials(site.credentials);
  const { identity } = credentials;
  if (identity.kind === 'site' && identity.id === site.id) return credentials;
  throw new ClaraError(
    'permission-denied',
    `the credentials in ${site.credentials} are of ${formatIdentity(identity)}, but the configuration is of site ${site.id}; enrol this site`,
  );
}

export function endOfCertificate({ chainPem }: Pick<Credentials, 'chainPem'>): Date {
  return endOf(certificatesIn(chainPem, 'the certificate of the site')[0]!);
}
