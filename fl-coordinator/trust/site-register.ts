import { ClaraError } from '../../base/errors';
import type { Identity } from '../../federation/identity';
import { JournaledState, type JournalRules, type JournalTerm } from '../storage/journaled-state';
import type { ObjectStore } from '../storage/object-store';
import type { OperatorRole, Role } from './authorisation';
import {
  admit,
  EMPTY_REGISTER,
  type NewRegisterEvent,
  type OperatorRecord,
  type RegisterEvent,
  type RegisterState,
  reduceRegister,
  registerEventSchema,
  type SiteRecord,
} from './register-state';

/**
 * The journal of who belongs to the federation: one object an event, `federation/journal/000000000001.json`, written with
 * create-if-absent and replayed at start.
 */

export const REGISTER_PREFIX = 'federation/journal/';
const RULES: JournalRules<RegisterState, RegisterEvent> = {
  place: { prefix: REGISTER_PREFIX, what: 'the register', maxEventBytes: 16_384 },
  initial: EMPTY_REGISTER,
  schema: registerEventSchema,
  reduce: reduceRegister,
};

/** Certificates that were admitted a moment ago and are not any more. */
export interface Revocation {
  readonly fingerprints: readonly string[];
}

export interface CertificateRecord {
  /** Lower-case hexadecimal SHA-256 of the DER. */
  readonly fingerprint: string;
  readonly ends: Date;
}

export class SiteRegister {
  readonly #listeners = new Set<(revocation: Revocation) => void>();
  #journal!: JournaledState<RegisterState, RegisterEvent, NewRegisterEvent>;

  private constructor() {}

  /** Replays the journal. @throws ClaraError `corrupt`, naming the first event that is missing or damaged */
  static async open(store: ObjectStore, now?: () => Date, term?: JournalTerm): Promise<SiteRegister> {
    const register = new SiteRegister();
    register.#journal = await JournaledState.open(RULES, {
      ...{ store, now, term },
      onEvent: (_event, before, after) => register.#tellRevoked(before, after),
    });
    return register;
  }

  get #state(): RegisterState {
    return this.#journal.state;
  }

  /** How many its journal has. */
  get events(): number {
    return this.#state.seq;
  }

  /** In order of name. */
  sites(): SiteRecord[] {
    return [...this.#state.sites.values()].sort((a, b) => (a.site < b.site ? -1 : 1));
  }

  site(id: string): SiteRecord | undefined {
    return this.#state.sites.get(id);
  }

  operator(name: string): OperatorRecord | undefined {
    return this.#state.operators.get(name);
  }

  hasOperators(): boolean {
    return this.#state.operators.size > 0;
  }

  /** See {@link admit} of register-state.ts. */
  admit(identity: Identity, fingerprint: string): Role {
    return admit(this.#state, identity, fingerprint);
  }

  /** Calls back right after certificates have lost their validity; the answer stops that. */
  onRevoked(listener: (revocation: Revocation) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @param invitation id of the token; earlier invitations of the site are void from now on */
  async invited(site: string, invitation: string, expires: Date): Promise<void> {
    await this.#append(() => ({ type: 'site-invited', site, invitation, expires: expires.toISOString() }));
  }

  /** @throws ClaraError `unauthenticated` when the invitation was used, withdrawn, or replaced by a later one */
  async enrolled(site: string, invitation: string, { fingerprint, ends }: CertificateRecord): Promise<void> {
    await this.#append((state) => {
      if (state.sites.get(site)?.invitation !== invitation) {
        throw new ClaraError(
          'unauthenticated',
          `this invitation of site ${site} was withdrawn or replaced by a later one; use the latest, or ask for a new one`,
        );
      }
      return { type: 'site-enrolled', site, fingerprint, ends: ends.toISOString() };
    });
  }

  /** @throws ClaraError `permission-denied` when the site is not enrolled, or was revoked meanwhile */
  async renewed(site: string, { fingerprint, ends }: CertificateRecord): Promise<void> {
    await this.#append((state) => {
      if (state.sites.get(site)?.state !== 'enrolled') {
        throw new ClaraError('permission-denied', `site ${site} is not enrolled, so its certificate is not renewed`);
      }
      return { type: 'site-renewed', site, fingerprint, ends: ends.toISOString() };
    });
  }

  /** Harmless when repeated. @throws ClaraError `not-found` for a site that was never invited */
  async revoke(site: string, reason: string): Promise<void> {
    await this.#append((state) => {
      const record = state.sites.get(site);
      if (!record)
        throw new ClaraError('not-found', `site ${site} is not known here; "clara-fed sites list" shows all`);
      return record.state === 'revoked' ? undefined : { type: 'site-revoked', site, reason: reason.slice(0, 1000) };
    });
  }

  async operatorAdded(operator: string, role: OperatorRole, { fingerprint, ends }: CertificateRecord): Promise<void> {
    await this.#append(() => ({ type: 'operator-added', operator, role, fingerprint, ends: ends.toISOString() }));
  }

  async revokeOperator(operator: string, reason: string): Promise<void> {
    await this.#append((state) => {
      const record = state.operators.get(operator);
      if (!record) throw new ClaraError('not-found', `operator ${operator} is not known here`);
      return record.state === 'revoked'
        ? undefined
        : { type: 'operator-revoked', operator, reason: reason.slice(0, 1000) };
    });
  }

  async #append(decide: (state: RegisterState) => NewRegisterEvent | undefined): Promise<void> {
    await this.#journal.append(decide);
  }

  #tellRevoked(before: RegisterState, after: RegisterState): void {
    if (this.#listeners.size === 0) return;
    const kept = admittedIn(after);
    const fingerprints = [...admittedIn(before)].filter((fingerprint) => !kept.has(fingerprint));
    if (fingerprints.length > 0) for (const listener of this.#listeners) listener({ fingerprints });
  }
}

function admittedIn(state: RegisterState): Set<string> {
  return new Set([...state.sites.values(), ...state.operators.values()].flatMap(({ admitted }) => [...admitted]));
}
