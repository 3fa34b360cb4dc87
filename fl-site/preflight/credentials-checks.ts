import { X509Certificate } from 'node:crypto';
import { certificatesIn } from '../../federation/certificates';
import type { Credentials } from '../../federation/credentials';
import { formatIdentity } from '../../federation/identity';
import { failed, ok, type Verdict, warning } from './verdict';

const DAY_MILLIS = 86400e3;

/**
 * The site's own certificate: whose it is and how long it lives. `loadCredentials` has judged before that the key fits it and
 * is readable by its owner only.
 */
export function certificateCheck(
  { chainPem, identity }: Credentials,
  site: string,
  now: () => number = Date.now,
): Verdict {
  const certificate = new X509Certificate(certificatesIn(chainPem, 'the chain of the site')[0]!);
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  const name = formatIdentity(identity);
  if (identity.kind !== 'site' || identity.id !== site) {
    return failed(
      `it is of ${name}, but the configuration is of site ${site}`,
      'point credentials at those of this site',
    );
  }
  if (now() < from) {
    return failed(
      `${name} is valid from ${certificate.validFrom} on, which is yet to come`,
      "set this machine's clock",
    );
  }
  const days = Math.floor((to - now()) / DAY_MILLIS);
  const found = `${name}, valid until ${certificate.validTo}, ${days} days left`;
  if (now() >= to) {
    return failed(`${name} ended on ${certificate.validTo}`, 'ask the operator for a new invitation and enrol again');
  }
  // A running agent replaces it at two thirds of its life, and tries for the last third.
  if (now() > from + ((to - from) * 2) / 3) {
    return warning(found, 'start the agent: it is overdue for renewal, which a running agent does by itself');
  }
  return ok(found);
}
