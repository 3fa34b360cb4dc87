import { z } from 'zod';
import { ClaraError, hasCode } from '../../base/errors';
import { type ObjectStore, readAll } from '../storage/object-store';
import { type AuthorityHome, authorityHome } from './authority-home';
import { type AuthorityOptions, CertificateAuthority } from './certificate-authority';
import { REGISTER_PREFIX } from './site-register';

/**
 * The authority of a store: every coordinator of one store signs with the same one, or sites would refuse some of them. The
 * store remembers the fingerprint of its root; keys never go there.
 */

const KEY = 'federation/authority.json';
const MAX_BYTES = 4096;

const recordSchema = z.object({ v: z.literal(1), rootFingerprint: z.string().regex(/^[0-9a-f]{64}$/) });

/**
 * Opens the authority of a store. Only the first coordinator makes one.
 * @param place the folder that it is in, as `authority`, or where else
 * @throws ClaraError `precondition-failed` when the store belongs to another authority, or to one that is not there
 */
export async function openSharedAuthority(
  place: string | AuthorityHome,
  store: ObjectStore,
  options: AuthorityOptions,
): Promise<CertificateAuthority> {
  const home = authorityHome(place);
  const known = await rootOf(store);
  const isTaken = known !== undefined || (await hasObjects(store, REGISTER_PREFIX));
  if (isTaken && (await home.load()) === undefined) {
    throw new ClaraError(
      'precondition-failed',
      `the store has a federation already, but ${home.place} does not hold its certificate authority; ${home.wayOut}`,
    );
  }
  const authority = await CertificateAuthority.open(home, options);
  const root = known ?? (await claim(store, authority.rootFingerprint));
  if (root === authority.rootFingerprint) return authority;
  throw new ClaraError(
    'precondition-failed',
    `the certificate authority in ${home.place} has root ${authority.rootFingerprint.slice(0, 16)}..., but the store belongs to the one with root ${root.slice(0, 16)}...; ${home.wayOut}`,
  );
}

/** @returns the root that the store belongs to from now on */
async function claim(store: ObjectStore, rootFingerprint: string): Promise<string> {
  try {
    await store.putIfAbsent(KEY, Buffer.from(JSON.stringify({ v: 1, rootFingerprint })));
    return rootFingerprint;
  } catch (error) {
    if (!hasCode(error, 'precondition-failed', 'already-exists')) throw error;
    return (await rootOf(store)) ?? rootFingerprint;
  }
}

async function rootOf(store: ObjectStore): Promise<string | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await readAll(store, KEY, MAX_BYTES);
  } catch (error) {
    if (hasCode(error, 'not-found')) return undefined;
    throw error;
  }
  try {
    return recordSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8'))).rootFingerprint;
  } catch (error) {
    throw new ClaraError('corrupt', `${KEY} does not name a root; restore it from a backup`, { cause: error });
  }
}

async function hasObjects(store: ObjectStore, prefix: string): Promise<boolean> {
  for await (const _ of store.list(prefix, { limit: 1 })) return true;
  return false;
}
