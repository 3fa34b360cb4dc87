import net from 'node:net';
import tls from 'node:tls';
import { ClaraError, hasCode } from '../base/errors';
import { splitAddress } from './address';
import {
  certificatesIn,
  fingerprintOf,
  identityIn,
  makeCertificateRequest,
  pemOf,
  privateKeyPem,
} from './certificates';
import { openChannel } from './channel';
import { type Credentials, isKeyOf, saveCredentials } from './credentials';
import { EnrolmentKey } from './enrolment-key';
import { Enrolment } from './gen/federation/v1/federation_pb';
import { neverConnected } from './grpc-errors';
import { formatIdentity, sameIdentity, siteIdentity } from './identity';
import type { Invitation } from './invitation';
import { clientOf } from './services';

/**
 * A site's side of enrolment (it lives here since the agent and `clara-fed site enrol` share it): an invitation becomes
 * credentials in a folder. The key is made here and never leaves; the coordinator is believed only through the root whose
 * fingerprint the invitation pins.
 */

export interface EnrolOptions {
  /** Where the credentials go; see credentials.ts. */
  readonly folder: string;
  /** For each of the two connections. @default 20 s */
  readonly timeoutMillis?: number;
  readonly signal?: AbortSignal;
  /** @default the system's clock */
  readonly now?: () => Date;
}

const MAX_PRESENTED = 10;

/**
 * May be called again after a failure: an enrolment that the coordinator could not finish is completed with the same key.
 *
 * @throws ClaraError `deadline-exceeded` for an expired invitation, `unauthenticated` when the server does not present the
 * pinned root or answers a certificate that is not this site's, or the coordinator's own refusal of the token
 */
export async function enrol(invitation: Invitation, options: EnrolOptions): Promise<Credentials> {
  const { folder, timeoutMillis = 20_000, signal, now = () => new Date() } = options;
  if (now() >= new Date(invitation.expires)) {
    throw new ClaraError(
      'deadline-exceeded',
      `the invitation of site ${invitation.site} expired at ${invitation.expires}; ask the coordinator for a new one`,
    );
  }
  const root = await fetchPinnedRoot(invitation, timeoutMillis, signal);
  const attempt = await EnrolmentKey.open(folder, invitation.token);
  const { keys } = attempt;
  const channel = openChannel({ address: invitation.enrolment, credentials: { rootsPem: pemOf(root) } });
  try {
    const reply = await clientOf(Enrolment, channel).enrol(
      { token: invitation.token, csrDer: await makeCertificateRequest(keys) },
      { timeoutMillis, signal },
    );
    const credentials: Credentials = {
      identity: siteIdentity(invitation.federation, invitation.site),
      coordinator: invitation.coordinator,
      keyPem: await privateKeyPem(keys),
      chainPem: reply.credentials?.chainPem ?? '',
      rootsPem: reply.credentials?.rootsPem ?? '',
    };
    checkIssued(credentials, root);
    await saveCredentials(folder, credentials);
    await attempt.forget();
    return credentials;
  } catch (error) {
    // A call that was sent and not answered may have spent the token: then only this key can complete the enrolment.
    const unanswered = hasCode(error, 'unavailable', 'deadline-exceeded', 'cancelled', 'internal');
    if (!unanswered || neverConnected(error)) await attempt.forget();
    throw error;
  } finally {
    channel.close();
  }
}

/**
 * Looks at the chain that the server presents, before anything is sent to it, and answers the certificate that the
 * invitation pins. That the server's own certificate descends from it is checked by the connection that follows.
 */
async function fetchPinnedRoot(invitation: Invitation, timeoutMillis: number, signal?: AbortSignal): Promise<Buffer> {
  const chain = await presentedChain(invitation.enrolment, timeoutMillis, signal);
  const root = chain.find((der) => fingerprintOf(der) === invitation.rootFingerprint);
  if (root) return root;
  throw new ClaraError(
    'unauthenticated',
    `${invitation.enrolment} does not present the root certificate ${invitation.rootFingerprint.slice(0, 16)}... that the invitation pins; it is not the coordinator that invited you, or the invitation was changed on the way: ask for a new one`,
  );
}

function presentedChain(address: string, timeoutMillis: number, signal?: AbortSignal): Promise<Buffer[]> {
  const { host, port } = splitAddress(address);
  return new Promise((resolve, reject) => {
    // Unverified on purpose: nothing is sent, and only what matches the pinned fingerprint is used.
    const servername = net.isIP(host) ? undefined : host;
    const socket = tls.connect({ host, port, servername, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
    const fail = (error: Error): void => {
      socket.destroy();
      const failure = ClaraError.from(error);
      const code = failure.code === 'internal' ? 'unavailable' : failure.code;
      reject(new ClaraError(code, `${address} cannot be reached for enrolment: ${error.message}`, { cause: error }));
    };
    const abort = (): void => fail(signal?.reason instanceof Error ? signal.reason : new Error('stopped'));
    signal?.addEventListener('abort', abort, { once: true });
    socket.setTimeout(timeoutMillis, () =>
      fail(Object.assign(new Error('no answer in time'), { name: 'TimeoutError' })),
    );
    socket.once('error', fail);
    socket.once('close', () => signal?.removeEventListener('abort', abort));
    socket.once('secureConnect', () => {
      const chain: Buffer[] = [];
      let certificate: tls.DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
      while (certificate?.raw && chain.length < MAX_PRESENTED && !chain.some((der) => der.equals(certificate!.raw))) {
        chain.push(certificate.raw);
        certificate = certificate.issuerCertificate;
      }
      socket.destroy();
      resolve(chain);
    });
    if (signal?.aborted) abort();
  });
}

/** The coordinator answered for this key and this site, under the root that the invitation pinned. */
function checkIssued(credentials: Credentials, root: Buffer): void {
  const [leaf] = certificatesIn(credentials.chainPem, "the coordinator's answer");
  if (!isKeyOf(credentials.keyPem, leaf)) {
    throw new ClaraError(
      'unauthenticated',
      'the coordinator answered a certificate of another key; ask for a new invitation',
    );
  }
  const issued = identityIn(leaf);
  if (!sameIdentity(issued, credentials.identity)) {
    throw new ClaraError(
      'unauthenticated',
      `the coordinator answered a certificate of ${formatIdentity(issued)} instead of ${formatIdentity(credentials.identity)}; ask for a new invitation`,
    );
  }
  if (!certificatesIn(credentials.rootsPem, "the coordinator's answer").some((der) => der.equals(root))) {
    throw new ClaraError('unauthenticated', 'the coordinator answered roots without the one that the invitation pins');
  }
}
