import { ClaraError } from '../../base/errors';
import { endOf, fingerprintOf, identityIn } from '../../federation/certificates';
import { type Identity, showIdentity } from '../../federation/identity';
import { authorise, type Role, type Verb } from './authorisation';
import type { Trust } from './trust';

export interface Peer {
  readonly identity: Identity;
  /** Lower-case hexadecimal SHA-256 of the certificate's DER. */
  readonly fingerprint: string;
  readonly ends: Date;
}

/** Anything that knows the verified certificate at the other end of a connection: each call of grpc-js does. */
export interface AuthenticatedCall {
  getAuthContext(): { readonly sslPeerCertificate?: { readonly raw: Buffer } };
}

/**
 * Who is calling, by the certificate that TLS has verified against the federation's roots. A connection may outlive its
 * certificate, so the end is looked at here for each call.
 * @throws ClaraError `unauthenticated` without a verified certificate, with one that has ended, or that names nobody
 */
export function peerOf(call: AuthenticatedCall, now: Date = new Date()): Peer {
  const der = call.getAuthContext().sslPeerCertificate?.raw;
  if (!der) {
    throw new ClaraError(
      'unauthenticated',
      'the connection has no verified certificate; enrol, and use the credentials',
    );
  }
  const peer = peerIn(der);
  if (now >= peer.ends) {
    throw new ClaraError(
      'unauthenticated',
      `the certificate of ${showIdentity(peer.identity)} ended at ${peer.ends.toISOString()}; ask for a new invitation and enrol again`,
    );
  }
  return peer;
}

const PEERS_REMEMBERED = 1000;
const remembered = new Map<string, Peer>();

/** What a certificate says never changes, and reading it costs more than most calls: it is read once. */
function peerIn(der: Buffer): Peer {
  const fingerprint = fingerprintOf(der);
  const known = remembered.get(fingerprint);
  if (known) return known;
  const peer = { identity: identityIn(der), fingerprint, ends: endOf(der) };
  remembered.set(fingerprint, peer);
  for (const oldest of remembered.keys()) {
    if (remembered.size <= PEERS_REMEMBERED) break;
    remembered.delete(oldest);
  }
  return peer;
}

/** A peer that may make the call that it makes. */
export interface AdmittedPeer extends Peer {
  readonly role: Role;
}

/**
 * The gate of every call: who calls, are they of this federation and still believed, may they do that.
 * @throws ClaraError `unauthenticated` or `permission-denied`
 */
export function admitPeer(call: AuthenticatedCall, verb: Verb, { authority, register, now }: Trust): AdmittedPeer {
  const peer = peerOf(call, now());
  if (peer.identity.federation !== authority.federation) {
    throw new ClaraError(
      'permission-denied',
      `${showIdentity(peer.identity)} belongs to federation ${peer.identity.federation}, this is ${authority.federation}`,
    );
  }
  const role = register.admit(peer.identity, peer.fingerprint);
  authorise(role, verb);
  return { ...peer, role };
}
