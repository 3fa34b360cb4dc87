import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { syncFolder, writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { exists } from '../../base/exists';
import { mkdir, readFile, rename, rm } from '../../base/files';
import { refuseReadableByOthers } from '../../federation/credentials';
import type { AuthorityMaterial } from './make-authority';
import type { Secret } from './secret';

/** Where a certificate authority lies, the same place for every coordinator of a store. */
export interface AuthorityHome {
  /** Names it in sentences. */
  readonly place: string;
  /** How a coordinator gets at the authority of its store, in sentences. */
  readonly wayOut: string;
  /**
   * @returns undefined when there is none
   * @throws ClaraError `corrupt` or `permission-denied` when something of it is missing, is no PEM, or may be read by others
   */
  load(): Promise<AuthorityMaterial | undefined>;
  /** Keeps it, unless there is one already: it appears whole, or not at all. @returns the one that was there first */
  keepFirst(made: Required<AuthorityMaterial>): Promise<AuthorityMaterial>;
}

const FILES = ['root.pem', 'issuer.pem', 'issuer.key.pem'] as const;

/** The folder `<folder>/authority`, a file for each, keys with mode 0600. */
export function authorityInFolder(folder: string): AuthorityHome {
  const home = path.join(folder, 'authority');

  const load = async (): Promise<AuthorityMaterial | undefined> => {
    if (!(await exists(home))) return undefined;
    const [root, issuer, issuerKey] = await Promise.all(FILES.map((name) => readAuthorityFile(home, name)));
    await refuseReadableByOthers(path.join(home, 'issuer.key.pem'));
    return { 'root.pem': root!, 'issuer.pem': issuer!, 'issuer.key.pem': issuerKey! };
  };

  const keepFirst = async (made: Required<AuthorityMaterial>): Promise<AuthorityMaterial> => {
    const partial = `${home}.partial-${randomBytes(6).toString('hex')}`;
    try {
      await mkdir(partial, { recursive: true, mode: 0o700 });
      for (const [name, pem] of Object.entries(made)) {
        await writeFileDurably(path.join(partial, name), pem, name.endsWith('.key.pem') ? { mode: 0o600 } : {});
      }
      await rename(partial, home);
    } catch (error) {
      await rm(partial, { recursive: true, force: true });
      // Another coordinator with the same trust folder was first.
      const first = await load();
      if (first) return first;
      throw ClaraError.from(error, `the certificate authority cannot be written to ${home}`);
    }
    await syncFolder(path.dirname(home));
    return made;
  };

  const wayOut =
    'give every coordinator of a store the same trust folder (--trust DIR), or copy the folder "authority" of another one into it';
  return { place: home, wayOut, load, keepFirst };
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

const pem = z.string().min(1).max(16_384);
const secretSchema = z.strictObject({
  v: z.literal(1),
  'root.pem': pem,
  'issuer.pem': pem,
  'issuer.key.pem': pem,
  'root.key.pem': pem.optional(),
});

/** Secret managers show a value to everybody some time after it was put; longer than this it has never taken. */
const PATIENCE_MILLIS = 20_000;

/** One secret for all of it, as JSON with the names of the files. */
export function authorityInSecret(secret: Secret): AuthorityHome {
  const place = `the secret ${secret.name}`;

  const load = async (): Promise<AuthorityMaterial | undefined> => {
    const text = await secret.read();
    return text === undefined ? undefined : parseAuthority(text, place);
  };

  const keepFirst = async (made: Required<AuthorityMaterial>): Promise<AuthorityMaterial> => {
    if (await secret.putFirst(JSON.stringify({ v: 1, ...made }))) return made;
    const end = performance.now() + PATIENCE_MILLIS;
    for (let wait = 100; ; wait *= 2) {
      const first = await load();
      if (first) return first;
      if (performance.now() > end) {
        throw new ClaraError(
          'unavailable',
          `another coordinator has made the authority, but ${place} does not show it`,
        );
      }
      await delay(wait);
    }
  };

  const wayOut =
    'give every coordinator of a store the same secret (--authority-secret ARN), or put the value of a backup into it';
  return { place, wayOut, load, keepFirst };
}

/** What is wrong with a value is not said by quoting it, and no cause is kept that does. */
function parseAuthority(text: string, place: string): AuthorityMaterial {
  try {
    const { v: _version, ...material } = secretSchema.parse(JSON.parse(text));
    return material;
  } catch {
    throw new ClaraError(
      'corrupt',
      `${place} does not hold a certificate authority, which is JSON with "v": 1, ${FILES.map((name) => `"${name}"`).join(', ')}; put its last good value back`,
    );
  }
}

/** A folder stands for the authority in it. */
export function authorityHome(home: string | AuthorityHome): AuthorityHome {
  return typeof home === 'string' ? authorityInFolder(home) : home;
}
