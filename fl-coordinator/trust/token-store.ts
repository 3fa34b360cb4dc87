import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { ClaraError, hasCode } from '../../base/errors';
import { formatIdentity, type Identity, parseIdentity, showIdentity } from '../../federation/identity';
import { type ObjectStore, readAll } from '../storage/object-store';

/**
 * One-time tokens for enrolment. A token reads `<id>-<secret>`; the store keeps the SHA-256 of the secret only, and one
 * marker object, written with create-if-absent, spends it: of any number of concurrent uses one wins, also across
 * coordinators and restarts. The marker names the key that the token was spent for, so that an enrolment whose coordinator
 * died before the register had it can be completed, by the same key only.
 *
 * `federation/tokens/<id>.json`, `federation/tokens/<id>.used.json`
 */

const MAX_RECORD_BYTES = 4096;
const TOKEN = /^([0-9a-f]{16})-([A-Za-z0-9_-]{43})$/;

const recordSchema = z.strictObject({
  v: z.literal(1),
  identity: z.string().max(400),
  secretSha256: z.string().regex(/^[0-9a-f]{64}$/),
  expires: z.iso.datetime(),
});

/** Markers of earlier releases name no key: nobody completes them. */
const markerSchema = z.object({
  v: z.literal(1),
  keySha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
});

const INVALID = 'the token is not valid; copy the whole invitation again, or ask for a new one';

export interface CheckedToken {
  readonly id: string;
  /** Who its holder may enrol as. */
  readonly identity: Identity;
}

export class TokenStore {
  constructor(
    private readonly store: ObjectStore,
    private readonly now: () => Date = () => new Date(),
  ) {}

  /** A new token that lets its holder enrol as `identity`, once, before `expires`. Only the caller ever sees its text. */
  async create(identity: Identity, expires: Date): Promise<{ readonly id: string; readonly token: string }> {
    const id = randomBytes(8).toString('hex');
    const secret = randomBytes(32).toString('base64url');
    const record = {
      v: 1,
      identity: formatIdentity(identity),
      secretSha256: digestOf(secret).toString('hex'),
      expires: expires.toISOString(),
    };
    await this.store.putIfAbsent(recordKey(id), Buffer.from(JSON.stringify(record)));
    return { id, token: `${id}-${secret}` };
  }

  /**
   * Looks a token up without spending it. About a token whose secret is wrong nothing is told.
   * @throws ClaraError `unauthenticated` for a token that is unknown, mistyped or expired
   */
  async check(token: string): Promise<CheckedToken> {
    const [, id, secret] = TOKEN.exec(token) ?? [];
    const record = id === undefined ? undefined : await this.#read(id);
    // The same comparison runs for unknown tokens, so that time tells nothing about which ids exist.
    const expected = record ? Buffer.from(record.secretSha256, 'hex') : Buffer.alloc(32);
    if (!timingSafeEqual(digestOf(secret ?? ''), expected) || !record) throw new ClaraError('unauthenticated', INVALID);
    const identity = parseIdentity(record.identity);
    if (this.now() >= new Date(record.expires)) {
      throw new ClaraError(
        'unauthenticated',
        `the token of ${showIdentity(identity)} expired at ${record.expires}; ask for a new invitation`,
      );
    }
    return { id, identity };
  }

  /**
   * Spends the token for one public key, once; spending it again for the same key is left to the caller to judge.
   * @param keySha256 of the public key (SPKI in DER), lower-case hexadecimal
   * @returns `again` when it had been spent for this key before
   * @throws ClaraError `unauthenticated` when it was spent for another key
   */
  async spend({ id, identity }: CheckedToken, keySha256: string): Promise<'first' | 'again'> {
    const marker = Buffer.from(JSON.stringify({ v: 1, at: this.now().toISOString(), keySha256 }));
    try {
      await this.store.putIfAbsent(usedKey(id), marker);
      return 'first';
    } catch (error) {
      if (!hasCode(error, 'precondition-failed', 'already-exists')) throw error;
    }
    if ((await this.#keyOf(id)) === keySha256) return 'again';
    throw usedToken(identity);
  }

  async #keyOf(id: string): Promise<string | undefined> {
    const bytes = await readAll(this.store, usedKey(id), MAX_RECORD_BYTES);
    try {
      return markerSchema.parse(JSON.parse(bytes.toString('utf8'))).keySha256;
    } catch {
      return undefined; // It is spent, whatever stands in it.
    }
  }

  async #read(id: string): Promise<z.output<typeof recordSchema> | undefined> {
    let bytes: Uint8Array;
    try {
      bytes = await readAll(this.store, recordKey(id), MAX_RECORD_BYTES);
    } catch (error) {
      if (hasCode(error, 'not-found')) return undefined;
      throw error;
    }
    try {
      return recordSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
    } catch (error) {
      throw new ClaraError('corrupt', `${recordKey(id)} is not a token record; delete it and invite again`, {
        cause: error,
      });
    }
  }
}

export function usedToken(identity: Identity): ClaraError {
  return new ClaraError(
    'unauthenticated',
    `the token of ${showIdentity(identity)} has been used; if that was not you, tell the coordinator's operator, and ask for a new invitation`,
  );
}

function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

function recordKey(id: string): string {
  return `federation/tokens/${id}.json`;
}

function usedKey(id: string): string {
  return `federation/tokens/${id}.used.json`;
}
