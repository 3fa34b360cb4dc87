import { z } from 'zod';
import { ClaraError } from '../base/errors';
import { faultsOf } from '../base/faults';
import { FEDERATION_NAME_RULE, IDENTITY_LABEL_RULE, isFederationName, isIdentityLabel } from './identity';

/**
 * What an operator hands to a hospital, by a way that both trust: one line of text (base64url of JSON) with a one-time
 * token and the fingerprint of the root that the site shall believe. Whoever holds the line can enrol as the site, once,
 * until it expires.
 */

const MAX_CHARACTERS = 4096;

/** `host:port`, the host a name, an IPv4 address or an IPv6 address in brackets. */
const address = z
  .string()
  .max(300)
  .regex(/^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):\d{1,5}$/, 'must be host:port');

/** Of several coordinators one leads. */
const addresses = z
  .string()
  .max(300)
  .refine(
    (text) => text.split(',').every((each) => address.safeParse(each).success),
    'must be host:port, or several joined by commas',
  );

const invitationSchema = z.strictObject({
  v: z.literal(1),
  federation: z.string().refine(isFederationName, FEDERATION_NAME_RULE),
  site: z.string().refine(isIdentityLabel, IDENTITY_LABEL_RULE),
  /** Where to enrol. */
  enrolment: address,
  /** Where to work, once enrolled. */
  coordinator: addresses,
  token: z.string().regex(/^[A-Za-z0-9_-]{20,200}$/, 'must be the token as it was printed'),
  /** SHA-256 of the root certificate's DER. */
  rootFingerprint: z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits'),
  expires: z.iso.datetime(),
});

type WireInvitation = z.output<typeof invitationSchema>;
export type Invitation = Omit<WireInvitation, 'v'>;

/** @throws ClaraError `invalid-input` when a part of the invitation breaks its rule */
export function formatInvitation(invitation: Invitation): string {
  return Buffer.from(JSON.stringify(check({ v: 1, ...invitation }))).toString('base64url');
}

/** Surrounding white space is ignored, and line breaks that a mail program put in. @throws ClaraError `invalid-input` */
export function parseInvitation(text: string): Invitation {
  const line = text.replace(/\s+/g, '');
  let document: unknown;
  try {
    if (line.length > MAX_CHARACTERS || !/^[A-Za-z0-9_-]+$/.test(line)) throw new Error('not base64url');
    document = JSON.parse(Buffer.from(line, 'base64url').toString('utf8'));
  } catch (error) {
    throw new ClaraError(
      'invalid-input',
      'the invitation is not one that "clara-fed sites invite" printed; copy the whole line again',
      { cause: error },
    );
  }
  const { v: _, ...invitation } = check(document);
  return invitation;
}

function check(document: unknown): WireInvitation {
  const result = invitationSchema.safeParse(document);
  if (result.success) return result.data;
  // Values are left out: one of them is the token.
  const faults = faultsOf(result.error, document).map(({ path, rule }) => ({ path, rule }));
  throw ClaraError.ofFaults('invitation', faults);
}
