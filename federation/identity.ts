import { ClaraError, showValue } from '../base/errors';

/**
 * Who somebody is in a federation: the SPIFFE ID in the URI SAN of their certificate,
 * `spiffe://<federation>/site/<id>` or `spiffe://<federation>/operator/<name>`.
 * Source: https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md (trust domain, path).
 */
export interface SiteIdentity {
  readonly kind: 'site';
  readonly federation: string;
  readonly id: string;
}

export interface OperatorIdentity {
  readonly kind: 'operator';
  readonly federation: string;
  readonly name: string;
}

export type Identity = SiteIdentity | OperatorIdentity;

/** SPIFFE trust domain names: lower-case letters, digits, dots, dashes and underscores; bounded as a DNS name is. */
const FEDERATION = /^[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?$/;
/** A DNS label, as plans and configuration files name sites, runs and trainers. */
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export const FEDERATION_NAME_RULE =
  'must be 1-253 characters of a-z, 0-9, ".", "-" and "_", beginning and ending with a letter or digit';
export const IDENTITY_LABEL_RULE = 'must be 1-63 characters of a-z, 0-9 and "-", as a DNS label';

export function isFederationName(text: string): boolean {
  return FEDERATION.test(text);
}

/** True for what may name a site, an operator, a plan or a trainer. */
export function isIdentityLabel(text: string): boolean {
  return LABEL.test(text);
}

/** @throws ClaraError `invalid-input`, naming the part that breaks its rule */
export function siteIdentity(federation: string, id: string): SiteIdentity {
  checkFederation(federation);
  checkLabel('site id', id);
  return { kind: 'site', federation, id };
}

/** @throws ClaraError `invalid-input`, naming the part that breaks its rule */
export function operatorIdentity(federation: string, name: string): OperatorIdentity {
  checkFederation(federation);
  checkLabel('operator name', name);
  return { kind: 'operator', federation, name };
}

/** The canonical SPIFFE ID. */
export function formatIdentity(identity: Identity): string {
  return `spiffe://${identity.federation}/${identity.kind}/${identity.kind === 'site' ? identity.id : identity.name}`;
}

/** The inverse of {@link formatIdentity}; nothing but the canonical spelling is accepted. @throws ClaraError `invalid-input` */
export function parseIdentity(text: string): Identity {
  const match = /^spiffe:\/\/([^/]+)\/(site|operator)\/([^/]+)$/.exec(text);
  if (!match || text.length > 400) {
    throw new ClaraError(
      'invalid-input',
      `${showValue(text)} is not an identity; it must read spiffe://<federation>/site/<id> or spiffe://<federation>/operator/<name>`,
    );
  }
  const [, federation, kind, label] = match;
  return kind === 'site' ? siteIdentity(federation, label) : operatorIdentity(federation, label);
}

export function sameIdentity(a: Identity, b: Identity): boolean {
  return formatIdentity(a) === formatIdentity(b);
}

/** For sentences: `site st-marys`, `operator alice`. */
export function showIdentity(identity: Identity): string {
  return identity.kind === 'site' ? `site ${identity.id}` : `operator ${identity.name}`;
}

function checkFederation(name: string): void {
  if (isFederationName(name)) return;
  throw new ClaraError('invalid-input', `federation name ${showValue(name)} ${FEDERATION_NAME_RULE}`);
}

function checkLabel(what: string, label: string): void {
  if (isIdentityLabel(label)) return;
  throw new ClaraError('invalid-input', `${what} ${showValue(label)} ${IDENTITY_LABEL_RULE}`);
}
