import { createHash } from 'node:crypto';
import { ClaraError, hasCode } from '../../base/errors';
import { makeCertificateRequest, makeKeyPair, privateKeyPem } from '../../federation/certificates';
import type { Credentials } from '../../federation/credentials';
import { operatorIdentity, type SiteIdentity, siteIdentity } from '../../federation/identity';
import { formatInvitation } from '../../federation/invitation';
import { faultPoint } from '../fault-points';
import type { OperatorRole } from './authorisation';
import type { IssuedCertificate } from './certificate-authority';
import { checkCertificateRequest } from './certificate-request';
import type { OperatorHome } from './operator-home';
import { RateLimit } from './rate-limit';
import { usedToken } from './token-store';
import type { Trust } from './trust';

/** The ways into the federation: invite, enrol, renew for sites; bootstrap for the first operator. */

const DEFAULT_VALID_MINUTES = 24 * 60;
const MAX_VALID_MINUTES = 30 * 24 * 60;

export interface InviteSettings {
  readonly site: string;
  /** 0: one day. At most 30 days. */
  readonly validMinutes: number;
  /** `host:port` where sites enrol. */
  readonly enrolment: string;
  /** `host:port` where sites work. */
  readonly coordinator: string;
}

/** A new invitation; earlier ones of the same site become void. @throws ClaraError `invalid-input` */
export async function inviteSite(
  { authority, register, tokens, now }: Trust,
  { site, validMinutes, enrolment, coordinator }: InviteSettings,
): Promise<{ readonly invitation: string; readonly expires: Date }> {
  if (validMinutes > MAX_VALID_MINUTES) {
    throw new ClaraError(
      'invalid-input',
      `an invitation may be valid for at most ${MAX_VALID_MINUTES} minutes (30 days), not ${validMinutes}`,
    );
  }
  const identity = siteIdentity(authority.federation, site);
  const expires = new Date(now().getTime() + (validMinutes || DEFAULT_VALID_MINUTES) * 60_000);
  const { id, token } = await tokens.create(identity, expires);
  const invitation = formatInvitation({
    federation: authority.federation,
    site,
    enrolment,
    coordinator,
    token,
    rootFingerprint: authority.rootFingerprint,
    expires: expires.toISOString(),
  });
  await register.invited(site, id, expires);
  return { invitation, expires };
}

/**
 * Spends a token for a certificate. The request is checked before the token is spent, so that a broken program does not
 * use its invitation up. A coordinator that died between spending and the register is no reason to invite again: until the
 * register has the enrolment, the same key may complete it.
 * @throws ClaraError `unauthenticated` for the token, `invalid-input` for the request
 */
export async function enrolSite(
  { authority, register, tokens }: Trust,
  token: string,
  csrDer: Uint8Array,
): Promise<{ readonly identity: SiteIdentity; readonly issued: IssuedCertificate }> {
  const checked = await tokens.check(token);
  const { identity } = checked;
  if (identity.kind !== 'site') throw new ClaraError('unauthenticated', 'the token is not one of a site');
  const key = await checkCertificateRequest(csrDer);
  const keySha256 = createHash('sha256').update(new Uint8Array(key.rawData)).digest('hex');
  const use = await tokens.spend(checked, keySha256);
  faultPoint('enrol.token-spent');
  const issued = await authority.issue(csrDer, identity);
  try {
    await register.enrolled(identity.id, checked.id, issued);
  } catch (error) {
    // The register has it, or had it: there is nothing to complete any more.
    throw use === 'again' && hasCode(error, 'unauthenticated') ? usedToken(identity) : error;
  }
  return { identity, issued };
}

/** Each renewal is kept in a journal for ever, and is due once in weeks. */
const RENEWALS = { what: 'renew certificates', minutes: 60, perAddress: 6, total: 1000 };

/**
 * A new certificate for a site that is connected with a valid one, a few times an hour at most.
 * @throws ClaraError `permission-denied`, `invalid-input`, `resource-exhausted`
 */
export function siteRenewal({ authority, register }: Trust) {
  const rate = new RateLimit(RENEWALS);
  return async (identity: SiteIdentity, csrDer: Uint8Array): Promise<IssuedCertificate> => {
    rate.take(identity.id);
    const issued = await authority.issue(csrDer, identity);
    await register.renewed(identity.id, issued);
    return issued;
  };
}

export interface OperatorSettings {
  readonly name: string;
  readonly role: OperatorRole;
  /** Where key and certificates go. */
  readonly home: Pick<OperatorHome, 'save'>;
  /** `host:port` of the coordinator, remembered beside them. */
  readonly coordinator?: string;
  /**
   * They are saved before the register knows them, not after. Whoever dies in between leaves credentials that nobody admits, and
   * otherwise an operator whose credentials nobody has. @default false
   */
  readonly savedFirst?: boolean;
}

/**
 * Issues an operator's credentials. Key and authority are in the same hands here: whoever may read the authority is trusted with
 * everything anyway. An operator of the same name loses earlier certificates.
 */
export async function bootstrapOperator(
  { authority, register }: Trust,
  { name, role, home, coordinator, savedFirst = false }: OperatorSettings,
): Promise<Credentials> {
  const identity = operatorIdentity(authority.federation, name);
  const keys = await makeKeyPair();
  const issued = await authority.issue(await makeCertificateRequest(keys), identity);
  const { chainPem, rootsPem } = issued;
  const credentials = { identity, coordinator, keyPem: await privateKeyPem(keys), chainPem, rootsPem };
  if (savedFirst) await home.save(credentials);
  await register.operatorAdded(name, role, issued);
  faultPoint('operator.added');
  if (!savedFirst) await home.save(credentials);
  return credentials;
}
