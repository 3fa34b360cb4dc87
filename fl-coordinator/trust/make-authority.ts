import { randomBytes, type webcrypto } from 'node:crypto';
import { type KeyPair, makeKeyPair, pemOf, privateKeyPem, SIGNING_ALGORITHM } from '../../federation/certificates';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from '../../federation/x509';

const DAY = 86_400_000;
const ROOT_DAYS = 3650;
const ISSUER_DAYS = 1825;
/**
 * Certificates begin a day in the past: a clock that was ahead when one was issued, by an hour or by a whole time zone, must not
 * shut its holder out when it is put right. Nobody is believed earlier for it, since the register admits each certificate.
 */
export const CLOCK_SKEW = DAY;

/** What a certificate authority consists of, each as PEM, under the names that it is kept by. */
export interface AuthorityMaterial {
  readonly 'root.pem': string;
  readonly 'issuer.pem': string;
  readonly 'issuer.key.pem': string;
  /** Has signed the issuing authority and is not read again: absent once it was taken offline. */
  readonly 'root.key.pem'?: string | undefined;
}

/** How the root's common name of a federation begins. */
export const rootNameOf = (federation: string): string => `${federation.slice(0, 40)} root `;

/** A new root, and an issuing authority that it has signed. */
export async function makeAuthority(federation: string, now: Date): Promise<Required<AuthorityMaterial>> {
  const [rootKeys, issuerKeys] = [await makeKeyPair(), await makeKeyPair()];
  const rootName = [{ CN: [`${rootNameOf(federation)}${randomBytes(4).toString('hex')}`] }];
  const root = await signAuthority(rootName, rootName, rootKeys.publicKey, rootKeys, 1, ROOT_DAYS, now);
  const issuerName = [{ CN: [`${federation.slice(0, 40)} issuing ${randomBytes(4).toString('hex')}`] }];
  const issuer = await signAuthority(issuerName, rootName, issuerKeys.publicKey, rootKeys, 0, ISSUER_DAYS, now);
  return {
    'root.pem': pemOf(new Uint8Array(root.rawData)),
    'issuer.pem': pemOf(new Uint8Array(issuer.rawData)),
    'issuer.key.pem': await privateKeyPem(issuerKeys),
    'root.key.pem': await privateKeyPem(rootKeys),
  };
}

type CommonName = { CN: string[] }[];

async function signAuthority(
  subject: CommonName,
  issuer: CommonName,
  publicKey: webcrypto.CryptoKey,
  signer: KeyPair,
  pathLength: number,
  days: number,
  now: Date,
): Promise<X509Certificate> {
  return X509CertificateGenerator.create({
    subject,
    issuer,
    notBefore: new Date(now.getTime() - CLOCK_SKEW),
    notAfter: new Date(now.getTime() + days * DAY),
    publicKey,
    signingKey: signer.privateKey,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, pathLength, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(publicKey),
      await AuthorityKeyIdentifierExtension.create(signer.publicKey),
    ],
  });
}
