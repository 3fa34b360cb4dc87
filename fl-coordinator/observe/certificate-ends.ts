import { certificatesIn, endOf } from '../../federation/certificates';
import type { ServerCertificate } from '../trust/certificate-authority';

/** When the coordinator's certificates end, by what they are for. */
export function certificateEnds({ chainPem, rootsPem, ends }: ServerCertificate): Readonly<Record<string, Date>> {
  const [, issuer] = certificatesIn(chainPem, 'the chain of the server');
  const [root] = certificatesIn(rootsPem, 'the roots of the federation');
  return { server: ends, 'issuing-authority': endOf(issuer!), root: endOf(root!) };
}
