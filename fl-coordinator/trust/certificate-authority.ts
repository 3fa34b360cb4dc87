import { X509Certificate as NodeCertificate, randomBytes, webcrypto } from 'node:crypto';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { syncFolder, writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { exists } from '../../base/exists';
import {
  fingerprintOf,
  KEY_ALGORITHM,
  type KeyPair,
  makeKeyPair,
  pemOf,
  privateKeyPem,
  SIGNING_ALGORITHM,
} from '../../federation/certificates';
import { refuseReadableByOthers } from '../../federation/credentials';
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
import { checkCertificateRequest } from './certificate-request';

/**
 * The federation's own certificate authority: a root that signs one issuing authority, which signs leaves (RFC 5280,
 * P-256). The root's key is used once, when the authority is made; the file may be taken offline afterwards.
 */

const DAY = 86_400_000;
const ROOT_DAYS = 3650;
const ISSUER_DAYS = 1825;
const DEFAULT_LEAF_DAYS = 30;
/**
 * Certificates begin a day in the past: a clock that was ahead when one was issued, by an hour or by a whole time zone, must not
 * shut its holder out when it is put right. Nobody is believed earlier for it, since the register admits each certificate.
 */
const CLOCK_SKEW = DAY;

const FILES = { rootKey: 'root.key.pem', root: 'root.pem', issuerKey: 'issuer.key.pem', issuer: 'issuer.pem' } as const;

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
   * Loads the authority in `<folder>/authority`, or makes it there on the first start: the folder appears whole, with its
   * keys in mode 0600, or not at all.
   * @throws ClaraError `corrupt` or `permission-denied` when files are damaged, missing or readable by others
   */
  static async open(folder: string, options: AuthorityOptions): Promise<CertificateAuthority> {
    const home = path.join(folder, 'authority');
    const now = options.now ?? (() => new Date());
    if (!(await CertificateAuthority.isIn(folder))) await createAuthority(home, options.federation, now());
    const [root, issuer] = await Promise.all([FILES.root, FILES.issuer].map((name) => loadCertificate(home, name)));
    const issuerKey = await loadKey(home, FILES.issuerKey);
    await checkAuthority(home, options.federation, root, issuer, issuerKey);
    const leafMillis = options.leafMillis ?? DEFAULT_LEAF_DAYS * DAY;
    return new CertificateAuthority(options.federation, root, issuer, issuerKey, leafMillis, now);
  }

  /** True when there is an authority to load, whole or damaged. */
  static isIn(folder: string): Promise<boolean> {
    return exists(path.join(folder, 'authority'));
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

async function createAuthority(home: string, federation: string, now: Date): Promise<void> {
  const [rootKeys, issuerKeys] = [await makeKeyPair(), await makeKeyPair()];
  const rootName = [{ CN: [`${federation.slice(0, 40)} root ${randomBytes(4).toString('hex')}`] }];
  const root = await signAuthority(rootName, rootName, rootKeys.publicKey, rootKeys, 1, ROOT_DAYS, now);
  const issuerName = [{ CN: [`${federation.slice(0, 40)} issuing ${randomBytes(4).toString('hex')}`] }];
  const issuer = await signAuthority(issuerName, rootName, issuerKeys.publicKey, rootKeys, 0, ISSUER_DAYS, now);

  const partial = `${home}.partial-${randomBytes(6).toString('hex')}`;
  try {
    await mkdir(partial, { recursive: true, mode: 0o700 });
    await writeFileDurably(path.join(partial, FILES.rootKey), await privateKeyPem(rootKeys), { mode: 0o600 });
    await writeFileDurably(path.join(partial, FILES.root), pemOf(new Uint8Array(root.rawData)));
    await writeFileDurably(path.join(partial, FILES.issuerKey), await privateKeyPem(issuerKeys), { mode: 0o600 });
    await writeFileDurably(path.join(partial, FILES.issuer), pemOf(new Uint8Array(issuer.rawData)));
    await rename(partial, home);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    // Another coordinator with the same trust folder was first.
    if (await exists(home)) return;
    throw ClaraError.from(error, `the certificate authority cannot be written to ${home}`);
  }
  await syncFolder(path.dirname(home));
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

/** The files belong together and to this federation. */
async function checkAuthority(
  home: string,
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
    throw new ClaraError('corrupt', `the keys and certificates in ${home} do not belong together; restore the folder`);
  }
  if (!root.subject.startsWith(`CN=${federation.slice(0, 40)} root `)) {
    throw new ClaraError(
      'invalid-input',
      `${home} is the authority of another federation (${root.subject}), not of ${federation}; use its name or another workspace`,
    );
  }
}

async function loadCertificate(home: string, name: string): Promise<X509Certificate> {
  const pem = await readAuthorityFile(home, name);
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw new ClaraError('corrupt', `${path.join(home, name)} is not a certificate; restore it`, { cause: error });
  }
}

async function loadKey(home: string, name: string): Promise<webcrypto.CryptoKey> {
  const pem = await readAuthorityFile(home, name);
  await refuseReadableByOthers(path.join(home, name));
  try {
    const [pkcs8] = PemConverter.decode(pem);
    return await webcrypto.subtle.importKey('pkcs8', pkcs8, KEY_ALGORITHM, false, ['sign']);
  } catch (error) {
    throw new ClaraError('corrupt', `${path.join(home, name)} is not a P-256 key; restore it`, { cause: error });
  }
}

async function readAuthorityFile(home: string, name: string): Promise<string> {
  try {
    return await readFile(path.join(home, name), 'utf8');
  } catch (error) {
    if (ClaraError.from(error).code !== 'not-found') throw ClaraError.from(error);
    throw new ClaraError('corrupt', `the certificate authority in ${home} has lost ${name}; restore it from a backup`, {
      cause: error,
    });
  }
}
