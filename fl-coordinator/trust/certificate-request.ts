import { ClaraError } from '../../base/errors';
import { Pkcs10CertificateRequest, type PublicKey } from '../../federation/x509';

/** A P-256 request is about 220 bytes; the rest is room for names that are ignored anyway. */
const MAX_REQUEST_BYTES = 4096;

/**
 * The public key in a PKCS #10 request, once the request proves that its sender has the private half.
 * @throws ClaraError `invalid-input`
 */
export async function checkCertificateRequest(der: Uint8Array): Promise<PublicKey> {
  if (der.length === 0 || der.length > MAX_REQUEST_BYTES) {
    throw refused(`has ${der.length} bytes; it must have 1 to ${MAX_REQUEST_BYTES}`);
  }
  let request: Pkcs10CertificateRequest;
  let proven: boolean;
  try {
    request = new Pkcs10CertificateRequest(Uint8Array.from(der));
    const { name, namedCurve } = request.publicKey.algorithm as { name: string; namedCurve?: string };
    if (name !== 'ECDSA' || namedCurve !== 'P-256')
      throw refused(`has a key of ${namedCurve ?? name}; it must be P-256`);
    proven = await request.verify();
  } catch (error) {
    if (error instanceof ClaraError) throw error;
    throw refused('is not PKCS #10 in DER', error);
  }
  if (!proven) throw refused('is not signed by the key that it asks a certificate for');
  return request.publicKey;
}

function refused(why: string, cause?: unknown): ClaraError {
  return new ClaraError('invalid-input', `the certificate request ${why}`, { cause });
}
