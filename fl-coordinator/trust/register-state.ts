import { z } from 'zod';
import { ClaraError } from '../../base/errors';
import { type Identity, isIdentityLabel, showIdentity } from '../../federation/identity';
import { OPERATOR_ROLES, type OperatorRole, type Role } from './authorisation';

/**
 * Who belongs to the federation, as a pure function of the register's events. Certificates are admitted by an allow list:
 * only those whose issue is in the journal, and which nothing later in it took back.
 */

const label = z.string().refine(isIdentityLabel);
const fingerprint = z.string().regex(/^[0-9a-f]{64}$/);
const instant = z.iso.datetime();
const reason = z.string().max(1000);
const certificate = { fingerprint, ends: instant };
/** The id part of a one-time token. */
const invitation = z.string().regex(/^[0-9a-f]{16}$/);
const envelope = {
  v: z.literal(1),
  seq: z.number().int().min(1),
  at: instant,
  /** The term of the leader that wrote it; 0 from before there were terms. */
  epoch: z.number().int().min(0).default(0),
};

export const registerEventSchema = z.discriminatedUnion('type', [
  /** Of all invitations of a site only the newest is open. */
  z.strictObject({ ...envelope, type: z.literal('site-invited'), site: label, invitation, expires: instant }),
  /** Certificates from before are not admitted any more: whoever was invited again has lost them. */
  z.strictObject({ ...envelope, type: z.literal('site-enrolled'), site: label, ...certificate }),
  /** The former certificate stays admitted until it ends, so that nothing breaks while the site changes over. */
  z.strictObject({ ...envelope, type: z.literal('site-renewed'), site: label, ...certificate }),
  z.strictObject({ ...envelope, type: z.literal('site-revoked'), site: label, reason }),
  /** Replaces role and certificates of an operator of this name. */
  z.strictObject({
    ...envelope,
    type: z.literal('operator-added'),
    operator: label,
    role: z.enum(OPERATOR_ROLES),
    ...certificate,
  }),
  z.strictObject({ ...envelope, type: z.literal('operator-revoked'), operator: label, reason }),
  /** Another coordinator leads from here on: no event of an earlier epoch can follow. */
  z.strictObject({ ...envelope, type: z.literal('leader-changed'), address: z.string().max(300) }),
]);

export type RegisterEvent = z.output<typeof registerEventSchema>;
type WithoutEnvelope<E> = E extends RegisterEvent ? Omit<E, keyof typeof envelope> : never;
export type NewRegisterEvent = WithoutEnvelope<RegisterEvent>;

export interface SiteRecord {
  readonly site: string;
  readonly state: 'invited' | 'enrolled' | 'revoked';
  /** Fingerprints of certificates that are admitted. */
  readonly admitted: ReadonlySet<string>;
  /** When the newest admitted certificate ends; RFC 3339. */
  readonly certificateEnds?: string;
  /** The invitation that may still be used, if it has not expired. */
  readonly invitation?: string;
  /** Why it was revoked. */
  readonly reason?: string;
}

export interface OperatorRecord {
  readonly operator: string;
  readonly role: OperatorRole;
  readonly state: 'enrolled' | 'revoked';
  readonly admitted: ReadonlySet<string>;
}

export interface RegisterState {
  readonly seq: number;
  readonly sites: ReadonlyMap<string, SiteRecord>;
  readonly operators: ReadonlyMap<string, OperatorRecord>;
}

export const EMPTY_REGISTER: RegisterState = { seq: 0, sites: new Map(), operators: new Map() };

const NONE: ReadonlySet<string> = new Set();

export function reduceRegister(state: RegisterState, event: RegisterEvent): RegisterState {
  const next = { ...state, seq: event.seq };
  if (event.type === 'leader-changed') return next;
  if (event.type === 'operator-added' || event.type === 'operator-revoked') {
    return { ...next, operators: new Map(state.operators).set(event.operator, reduceOperator(state, event)) };
  }
  return { ...next, sites: new Map(state.sites).set(event.site, reduceSite(state.sites.get(event.site), event)) };
}

type OperatorEvent = Extract<RegisterEvent, { operator: string }>;
type SiteEvent = Extract<RegisterEvent, { site: string }>;

function reduceOperator(state: RegisterState, event: OperatorEvent): OperatorRecord {
  const { operator } = event;
  if (event.type === 'operator-added') {
    return { operator, role: event.role, state: 'enrolled', admitted: new Set([event.fingerprint]) };
  }
  return { operator, role: state.operators.get(operator)?.role ?? 'auditor', state: 'revoked', admitted: NONE };
}

function reduceSite(before: SiteRecord | undefined, event: SiteEvent): SiteRecord {
  const { site } = event;
  switch (event.type) {
    case 'site-invited':
      return before?.state === 'enrolled'
        ? { ...before, invitation: event.invitation }
        : { site, state: 'invited', admitted: NONE, invitation: event.invitation };
    case 'site-enrolled':
      return { site, state: 'enrolled', admitted: new Set([event.fingerprint]), certificateEnds: event.ends };
    case 'site-renewed':
      return {
        site,
        state: 'enrolled',
        invitation: before?.invitation,
        admitted: new Set([...(before?.admitted ?? []), event.fingerprint]),
        certificateEnds: event.ends,
      };
    case 'site-revoked':
      return { site, state: 'revoked', admitted: NONE, reason: event.reason };
  }
}

/**
 * The role of whoever presents a certificate that the federation's authority signed.
 * @throws ClaraError `permission-denied` when it was revoked or replaced, or its issue is in no journal
 */
export function admit(state: RegisterState, identity: Identity, fingerprint: string): Role {
  const record = identity.kind === 'site' ? state.sites.get(identity.id) : state.operators.get(identity.name);
  if (record?.admitted.has(fingerprint)) return 'role' in record ? record.role : 'site';
  if (record?.state === 'revoked') {
    throw new ClaraError(
      'permission-denied',
      `${showIdentity(identity)} has been revoked; ask the coordinator's operator for a new invitation`,
    );
  }
  const wayOut =
    identity.kind === 'site'
      ? 'or enrol again'
      : 'of the coordinator; "clara-fed operator fetch" brings it out of a secret';
  throw new ClaraError(
    'permission-denied',
    `this certificate of ${showIdentity(identity)} is not in the federation's register, or was replaced by a later enrolment; use the newer one ${wayOut}`,
  );
}
