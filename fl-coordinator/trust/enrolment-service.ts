import { Enrolment } from '../../federation/gen/federation/v1/federation_pb';
import { formatIdentity } from '../../federation/identity';
import { serve } from '../../federation/service-handlers';
import { keepRotating } from '../transport/certificate-rotation';
import { type SecureServer, type ServerMaterial, startSecureServer } from '../transport/mtls-server';
import type { CertificateAuthority, ServerCertificate } from './certificate-authority';
import { enrolSite } from './enrolment';
import { RateLimit, type RateLimits } from './rate-limit';
import type { Trust } from './trust';

/** A token and a P-256 request are 300 bytes. */
const MAX_REQUEST_BYTES = 8192;

export interface EnrolmentServerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Names and addresses under which sites reach this server. */
  readonly hosts: readonly string[];
  readonly limits?: RateLimits;
  /** Told of every refusal, before the caller is. */
  readonly onFailure?: (thrown: unknown) => void;
  /** @default the system's clock */
  readonly now?: () => Date;
}

/**
 * The Enrolment service on a port of its own: the server alone has a certificate, and presents it with the root, which
 * the caller compares with the fingerprint in its invitation. What a caller without a valid token can make this server do
 * is bounded: 8 KiB a request, one object read, a rate for each address and for all.
 *
 * @param trust throws ClaraError `unavailable` while this coordinator does not lead
 */
export async function startEnrolmentServer(
  authority: CertificateAuthority,
  trust: () => Trust,
  options: EnrolmentServerOptions,
): Promise<SecureServer> {
  const { host, port, hosts, limits, onFailure, now } = options;
  const first = await authority.issueForServer(hosts);
  const rate = new RateLimit(limits);
  const server = await startSecureServer({
    host,
    port,
    material: materialOf(first),
    maxMessageBytes: MAX_REQUEST_BYTES,
    maxStreams: 4,
    maxConnectionMillis: 60_000,
    register: (server) =>
      serve(
        server,
        Enrolment,
        {
          enrol: async ({ token, csrDer }) => {
            const { identity, issued } = await enrolSite(trust(), token, csrDer);
            const { chainPem, rootsPem } = issued;
            return { credentials: { chainPem, rootsPem }, identity: formatIdentity(identity) };
          },
        },
        { admit: (call) => rate.take(addressOf(call.getPeer())), onFailure },
      ),
  });
  const stopRotating = keepRotating({
    first,
    issue: () => authority.issueForServer(hosts),
    apply: (certificate) => server.rotate(materialOf(certificate)),
    onFailure,
    now,
  });
  return {
    ...server,
    stop: (graceMillis) => {
      stopRotating();
      return server.stop(graceMillis);
    },
  };
}

function materialOf({ keyPem, chainWithRootPem }: ServerCertificate): ServerMaterial {
  return { keyPem, chainPem: chainWithRootPem };
}

/** `192.0.2.1:4711` without the port. */
function addressOf(peer: string): string {
  const colon = peer.lastIndexOf(':');
  return colon === -1 ? peer : peer.slice(0, colon);
}
