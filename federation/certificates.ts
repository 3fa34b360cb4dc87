import {
  createHash,
  createPrivateKey,
  createPublicKey,
  X509Certificate as NodeCertificate,
  webcrypto,
} from 'node:crypto';
import { ClaraError, showValue } from '../base/errors';
import { type Identity, parseIdentity } from './identity';
import {
  PemConverter,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  X509Certificate,
} from './x509';

/** Keys, certificate requests and what a certificate says. P-256 with SHA-256 throughout (NIST FIPS 186-5). */

export const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
export const SIGNING_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' } as const;

export type KeyPair = webcrypto.CryptoKeyPair;

/** A fresh P-256 key. It is extractable, since its owner must store it. */
export async function makeKeyPair(): Promise<KeyPair> {
  return webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
}

/** PKCS #8 in PEM. */
export async function privateKeyPem(keys: KeyPair): Promise<string> {
  return `${PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')}\n`;
}

/** Both halves of a key that {@link privateKeyPem} wrote. @throws ClaraError `corrupt` */
export async function keyPairOf(pem: string): Promise<KeyPair> {
  const { subtle } = webcrypto;
  try {
    const pkcs8 = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
    const spki = createPublicKey(pem).export({ type: 'spki', format: 'der' });
    return {
      privateKey: await subtle.importKey('pkcs8', pkcs8, KEY_ALGORITHM, true, ['sign']),
      publicKey: await subtle.importKey('spki', spki, KEY_ALGORITHM, true, ['verify']),
    };
  } catch (error) {
    throw new ClaraError('corrupt', 'this is not a P-256 key in PEM form; remove the file', { cause: error });
  }
}

/**
 * A PKCS #10 request (RFC 2986) that proves possession of the key and asks for nothing else: who its owner is, the
 * certificate authority knows from the token or the connection.
 */
export async function makeCertificateRequest(keys: KeyPair): Promise<Uint8Array> {
  const request = await Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: SIGNING_ALGORITHM });
  return new Uint8Array(request.rawData);
}

/** Lower-case hexadecimal SHA-256 of a DER certificate. */
export function fingerprintOf(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex');
}

/**
 * The certificates in a PEM text, in order, as DER.
 * @throws ClaraError `corrupt`, naming `what`, when there is none, or one that is not a certificate
 */
export function certificatesIn(pem: string, what: string): Buffer[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new ClaraError('corrupt', `${what} holds no certificate in PEM form; enrol again`);
  try {
    return blocks.map((block) => new NodeCertificate(block).raw);
  } catch (error) {
    throw new ClaraError('corrupt', `${what} holds a damaged certificate; enrol again`, { cause: error });
  }
}

/** Certificates as PEM, in order. */
export function pemOf(...certificates: readonly Uint8Array[]): string {
  return certificates.map((der) => new NodeCertificate(der).toString()).join('');
}

/**
 * The one SPIFFE ID that a certificate carries (X.509-SVID: exactly one URI SAN).
 * It says nothing about who signed the certificate.
 * @throws ClaraError `unauthenticated`
 */
export function identityIn(der: Uint8Array): Identity {
  const names =
    new X509Certificate(Uint8Array.from(der)).getExtension(SubjectAlternativeNameExtension)?.names.items ?? [];
  const uris = names.filter(({ type }) => type === 'url');
  if (uris.length !== 1) {
    throw new ClaraError(
      'unauthenticated',
      `the certificate carries ${uris.length} identities; it must carry exactly one, as the federation's authority issues it`,
    );
  }
  try {
    return parseIdentity(uris[0].value);
  } catch (error) {
    throw new ClaraError(
      'unauthenticated',
      `the certificate carries ${showValue(uris[0].value)}, which is not an identity of a federation`,
      { cause: error },
    );
  }
}

/** When a certificate stops being valid. */
export function endOf(der: Uint8Array): Date {
  return new Date(new NodeCertificate(der).validTo);
}
