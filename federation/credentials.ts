import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { writeFileDurably } from '../base/durable-file';
import { ClaraError } from '../base/errors';
import { mkdir, readFile, rm, stat } from '../base/files';
import { certificatesIn, identityIn } from './certificates';
import type { ChannelCredentials } from './channel';
import { formatIdentity, type Identity, parseIdentity, sameIdentity } from './identity';

/**
 * Credentials of a site or an operator in a folder of mode 0700: `key.pem` (PKCS #8, mode 0600), `chain.pem` (own
 * certificate first), `roots.pem`, `identity.json`. Each file is replaced as a whole. A new key waits in `key.next.pem` until
 * its certificate is there, so that a program killed while it renews finds a key that fits, whichever certificate it finds.
 */
export interface Credentials extends Required<ChannelCredentials> {
  readonly identity: Identity;
  /** Where the federation is reached; what `identity.json` remembers of the invitation. */
  readonly coordinator?: string;
}

const FILES = {
  key: 'key.pem',
  nextKey: 'key.next.pem',
  chain: 'chain.pem',
  roots: 'roots.pem',
  identity: 'identity.json',
} as const;
const MAX_FILE_BYTES = 1 << 20;

const identitySchema = z.object({ identity: z.string().max(400), coordinator: z.string().max(300).optional() });

export async function saveCredentials(folder: string, credentials: Credentials): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const about = { identity: formatIdentity(credentials.identity), coordinator: credentials.coordinator };
  await writeFileDurably(path.join(folder, FILES.nextKey), credentials.keyPem, { mode: 0o600 });
  await writeFileDurably(path.join(folder, FILES.roots), credentials.rootsPem);
  await writeFileDurably(path.join(folder, FILES.identity), `${JSON.stringify(about, null, 2)}\n`);
  await writeFileDurably(path.join(folder, FILES.chain), credentials.chainPem);
  await writeFileDurably(path.join(folder, FILES.key), credentials.keyPem, { mode: 0o600 });
  await rm(path.join(folder, FILES.nextKey), { force: true });
}

/**
 * @throws ClaraError `not-found` when the folder holds no credentials; `permission-denied` when others may read the key;
 * `corrupt` when a file is damaged, or key, certificate and identity do not belong together
 */
export async function loadCredentials(folder: string): Promise<Credentials> {
  const [chainPem, rootsPem, about] = await Promise.all(
    [FILES.chain, FILES.roots, FILES.identity].map((name) => readSmall(path.join(folder, name))),
  );
  const { identity, coordinator } = parseAbout(about, path.join(folder, FILES.identity));
  const [leaf] = certificatesIn(chainPem, path.join(folder, FILES.chain));
  certificatesIn(rootsPem, path.join(folder, FILES.roots));
  const keyPem = await loadKey(folder, leaf);
  if (!sameIdentity(identityIn(leaf), identity)) {
    throw new ClaraError(
      'corrupt',
      `the certificate in ${folder} is of ${formatIdentity(identityIn(leaf))}, but identity.json says ${formatIdentity(identity)}; enrol again`,
    );
  }
  return { keyPem, chainPem, rootsPem, identity, coordinator };
}

const textSchema = z.strictObject({
  v: z.literal(1),
  [FILES.key]: z.string().max(16_384),
  [FILES.chain]: z.string().max(65_536),
  [FILES.roots]: z.string().max(65_536),
  identity: z.string().max(400),
  coordinator: z.string().max(300).optional(),
});

/** Credentials as one text, for a secret manager. */
export function formatCredentials({ keyPem, chainPem, rootsPem, identity, coordinator }: Credentials): string {
  const parts = { [FILES.key]: keyPem, [FILES.chain]: chainPem, [FILES.roots]: rootsPem };
  return JSON.stringify({ v: 1, identity: formatIdentity(identity), coordinator, ...parts });
}

/**
 * Reads what {@link formatCredentials} has written.
 * @param place names where the text lies, in sentences
 * @throws ClaraError `corrupt` when something is damaged or does not belong together; no message or cause has any of the text
 */
export function parseCredentials(text: string, place: string): Credentials {
  try {
    const parts = textSchema.parse(JSON.parse(text));
    const { [FILES.key]: keyPem, [FILES.chain]: chainPem, [FILES.roots]: rootsPem, coordinator } = parts;
    const identity = parseIdentity(parts.identity);
    const [leaf] = certificatesIn(chainPem, place);
    certificatesIn(rootsPem, place);
    if (isKeyOf(keyPem, leaf) && sameIdentity(identityIn(leaf), identity)) {
      return { keyPem, chainPem, rootsPem, identity, coordinator };
    }
  } catch {
    // Said below, for all of them alike.
  }
  throw new ClaraError(
    'corrupt',
    `${place} does not hold credentials: JSON with "v": 1, an identity, and the certificates and the key that belong to it`,
  );
}

/** The key in `folder` that belongs to the certificate. */
async function loadKey(folder: string, certificate: Uint8Array): Promise<string> {
  const file = path.join(folder, FILES.key);
  const nextFile = path.join(folder, FILES.nextKey);
  for (const candidate of existsSync(nextFile) ? [nextFile, file] : [file]) {
    const keyPem = await readSmall(candidate);
    await refuseReadableByOthers(candidate);
    if (isKeyOf(keyPem, certificate)) return keyPem;
  }
  throw new ClaraError('corrupt', `${file} is not the key of the certificate beside it; enrol again`);
}

/** True when `keyPem` is the private half of the certificate's key. */
export function isKeyOf(keyPem: string, certificate: Uint8Array): boolean {
  try {
    const own = createPublicKey(createPrivateKey(keyPem)).export({ type: 'spki', format: 'der' });
    return own.equals(new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' }));
  } catch {
    return false;
  }
}

/** @throws ClaraError `permission-denied` when group or others have any right on the key file */
export async function refuseReadableByOthers(keyFile: string): Promise<void> {
  if (process.platform === 'win32') return; // no permission bits there
  const { mode } = await stat(keyFile);
  if ((mode & 0o077) === 0) return;
  throw new ClaraError(
    'permission-denied',
    `${keyFile} has mode ${(mode & 0o777).toString(8).padStart(4, '0')}, but a key must be readable by its owner only; run chmod 600 on it`,
  );
}

async function readSmall(file: string): Promise<string> {
  try {
    const bytes = await readFile(file);
    if (bytes.length <= MAX_FILE_BYTES) return bytes.toString('utf8');
  } catch (error) {
    const failure = ClaraError.from(error);
    if (failure.code !== 'not-found') throw failure;
    throw new ClaraError(
      'not-found',
      `${file} does not exist; enrol first, or point at the folder of the credentials`,
      {
        cause: error,
      },
    );
  }
  throw new ClaraError('corrupt', `${file} is larger than ${MAX_FILE_BYTES} bytes, which credentials never are`);
}

function parseAbout(text: string, file: string): { identity: Identity; coordinator?: string } {
  try {
    const { identity, coordinator } = identitySchema.parse(JSON.parse(text));
    return { identity: parseIdentity(identity), coordinator };
  } catch (error) {
    throw new ClaraError('corrupt', `${file} does not name an identity; enrol again`, { cause: error });
  }
}
