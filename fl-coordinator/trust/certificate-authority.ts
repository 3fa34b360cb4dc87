import { X509Certificate as NodeCertificate, webcrypto } from 'node:crypto';
import net from 'node:net';
import { ClaraError } from '../../base/errors';
import {
  fingerprintOf,
  KEY_ALGORITHM,
  makeKeyPair,
  pemOf,
  privateKeyPem,
  SIGNING_ALGORITHM,
} from '../../federation/certificates';
import { formatIdentity, type Identity, showIdentity } from '../../federation/identity';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  type PublicKey,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '../../federation/x509';
import { faultPoint } from '../fault-points';
import { type AuthorityHome, authorityHome } from './authority-home';
import { checkCertificateRequest } from './certificate-request';
import { type AuthorityMaterial, CLOCK_SKEW, makeAuthority, rootNameOf } from './make-authority';

/**
 * The federation's own certificate authority: a root that signs one issuing authority, which signs leaves (RFC 5280,
 * P-256). The root's key is used once, when the authority is made; it may be taken offline afterwards.
 */

const DAY = 86_400_000;
const DEFAULT_LEAF_DAYS = 30;

export interface AuthorityOptions {
  readonly federation: string;
  /** Life of a leaf in milliseconds, cut short where the issuing authority itself ends. @default 30 days */
  readonly leafMillis?: number;
  /** @default the system's clock */
  readonly now?: () => Date;
}

export interface IssuedCertificate {
  /** Leaf first, then the issuing authority. */
  readonly chainPem: string;
  readonly rootsPem: string;
  /** Lower-case hexadecimal SHA-256 of the leaf's DER. */
  readonly fingerprint: string;
  readonly ends: Date;
}

/** What a TLS server of the coordinator presents. The key exists in memory only; a restart makes another. */
export interface ServerCertificate extends IssuedCertificate {
  readonly keyPem: string;
  /** The chain with the root, for enrolling sites that know no more than the root's fingerprint. */
  readonly chainWithRootPem: string;
}

export class CertificateAuthority {
  private constructor(
    readonly federation: string,
    private readonly root: X509Certificate,
    private readonly issuer: X509Certificate,
    private readonly issuerKey: webcrypto.CryptoKey,
    private readonly leafMillis: number,
    private readonly now: () => Date,
  ) {}

  /**
   * Loads the authority, or makes it at the first start.
   * @param place the folder that it is in, as `authority`, or where else
   * @throws ClaraError `corrupt` or `permission-denied` when it is damaged, incomplete or readable by others; `invalid-input` when
   * it is of another federation
   */
  static async open(place: string | AuthorityHome, options: AuthorityOptions): Promise<CertificateAuthority> {
    const home = authorityHome(place);
    const now = options.now ?? (() => new Date());
    const material = (await home.load()) ?? (await makeIn(home, options.federation, now()));
    const [root, issuer] = [certificateOf(material, 'root.pem', home), certificateOf(material, 'issuer.pem', home)];
    const issuerKey = await keyOf(material, 'issuer.key.pem', home);
    await checkAuthority(home.place, options.federation, root, issuer, issuerKey);
    const leafMillis = options.leafMillis ?? DEFAULT_LEAF_DAYS * DAY;
    return new CertificateAuthority(options.federation, root, issuer, issuerKey, leafMillis, now);
  }

  get rootsPem(): string {
    return pemOf(new Uint8Array(this.root.rawData));
  }

  /** What invitations pin. */
  get rootFingerprint(): string {
    return fingerprintOf(new Uint8Array(this.root.rawData));
  }

  /**
   * A client certificate for the key in a PKCS #10 request. The identity is the caller's decision; whatever names or
   * extensions the request asks for are ignored.
   * @throws ClaraError `invalid-input` for a request that is malformed, not signed by its own key, or not P-256
   */
  async issue(csrDer: Uint8Array, identity: Identity): Promise<IssuedCertificate> {
    if (identity.federation !== this.federation) {
      throw new ClaraError(
        'permission-denied',
        `${formatIdentity(identity)} is not of federation ${this.federation}, whose authority this is`,
      );
    }
    const publicKey = await checkCertificateRequest(csrDer);
    return this.#sign(publicKey, showIdentity(identity), [
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension([{ type: 'url', value: formatIdentity(identity) }]),
    ]);
  }

  /** A key and certificate for the coordinator's servers under each of its host names and IP addresses. */
  async issueForServer(hosts: readonly string[]): Promise<ServerCertificate> {
    if (hosts.length === 0) throw new ClaraError('invalid-input', 'a server certificate needs at least one host name');
    const keys = await makeKeyPair();
    const names = hosts.map((host) => ({ type: net.isIP(host) ? ('ip' as const) : ('dns' as const), value: host }));
    const issued = await this.#sign(keys.publicKey, `coordinator of ${this.federation}`.slice(0, 64), [
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(names),
    ]);
    return { ...issued, keyPem: await privateKeyPem(keys), chainWithRootPem: issued.chainPem + this.rootsPem };
  }

  async #sign(
    publicKey: PublicKey | webcrypto.CryptoKey,
    commonName: string,
    purpose: readonly Extension[],
  ): Promise<IssuedCertificate> {
    const now = this.now().getTime();
    const certificate = await X509CertificateGenerator.create({
      subject: [{ CN: [commonName.slice(0, 64)] }],
      issuer: this.issuer.subjectName,
      notBefore: new Date(now - CLOCK_SKEW),
      notAfter: new Date(Math.min(now + this.leafMillis, this.issuer.notAfter.getTime())),
      publicKey,
      signingKey: this.issuerKey,
      signingAlgorithm: SIGNING_ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        await SubjectKeyIdentifierExtension.create(publicKey),
        await AuthorityKeyIdentifierExtension.create(this.issuer.publicKey),
        ...purpose,
      ],
    });
    const der = new Uint8Array(certificate.rawData);
    return {
      chainPem: pemOf(der, new Uint8Array(this.issuer.rawData)),
      rootsPem: this.rootsPem,
      fingerprint: fingerprintOf(der),
      ends: certificate.notAfter,
    };
  }
}

async function makeIn(home: AuthorityHome, federation: string, now: Date): Promise<AuthorityMaterial> {
  const made = await makeAuthority(federation, now);
  faultPoint('authority.made');
  const first = await home.keepFirst(made);
  faultPoint('authority.kept');
  return first;
}

/** The parts belong together and to this federation. */
async function checkAuthority(
  place: string,
  federation: string,
  root: X509Certificate,
  issuer: X509Certificate,
  issuerKey: webcrypto.CryptoKey,
): Promise<void> {
  const probe = Buffer.from('does this key belong to that certificate?');
  const signature = await webcrypto.subtle.sign(SIGNING_ALGORITHM, issuerKey, probe);
  const issuerPublic = await issuer.publicKey.export();
  const fits =
    new NodeCertificate(issuer.toString('pem')).verify(new NodeCertificate(root.toString('pem')).publicKey) &&
    (await webcrypto.subtle.verify(SIGNING_ALGORITHM, issuerPublic, signature, probe));
  if (!fits) {
    throw new ClaraError(
      'corrupt',
      `the keys and certificates in ${place} do not belong together; restore them from a backup`,
    );
  }
  if (!root.subject.startsWith(`CN=${rootNameOf(federation)}`)) {
    throw new ClaraError(
      'invalid-input',
      `${place} has the authority of another federation (${root.subject}), not of ${federation}; use its name or another workspace`,
    );
  }
}

function certificateOf(material: AuthorityMaterial, name: 'root.pem' | 'issuer.pem', { place }: AuthorityHome) {
  try {
    return new X509Certificate(material[name]);
  } catch (error) {
    throw new ClaraError('corrupt', `${name} in ${place} is not a certificate; restore it`, { cause: error });
  }
}

async function keyOf(
  material: AuthorityMaterial,
  name: 'issuer.key.pem',
  { place }: AuthorityHome,
): Promise<webcrypto.CryptoKey> {
  try {
    const [pkcs8] = PemConverter.decode(material[name]);
    return await webcrypto.subtle.importKey('pkcs8', pkcs8!, KEY_ALGORITHM, false, ['sign']);
  } catch {
    throw new ClaraError('corrupt', `${name} in ${place} is not a P-256 key; restore it`);
  }
}
