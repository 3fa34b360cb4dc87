import { isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { ClaraError } from '../../base/errors';
import { systemCode } from '../../base/system-codes';
import { type Address, splitAddress } from '../../federation/address';
import { openChannel } from '../../federation/channel';
import type { Credentials } from '../../federation/credentials';
import { Federation } from '../../federation/gen/federation/v1/federation_pb';
import { PROTOCOL } from '../../federation/protocol';
import { clientOf } from '../../federation/services';
import { dial } from './dial';
import type { Route } from './route';
import { failed, failedBy, ok, type Verdict, warning } from './verdict';

/** The coordinator as it is reached from here, layer by layer, so that the lowest broken one is named. */

const FIREWALL = 'ask the network team to allow this machine outbound TCP to it; nothing needs to come in';

export function proxyCheck({ proxy, ignored }: Route): Verdict {
  if (proxy) {
    return ok(`${proxy.variable} names the proxy ${proxy.host}:${proxy.port}; the agent dials through it`);
  }
  if (ignored.length === 0) return ok('no proxy is named; the agent dials straight');
  return warning(
    `${ignored.join(', ')} is set, but the agent heeds grpc_proxy, https_proxy and http_proxy only, and dials straight`,
    'if the proxy is needed, set https_proxy=http://HOST:PORT for the agent',
  );
}

export async function reachCheck(coordinator: string, route: Route, signal: AbortSignal): Promise<Verdict> {
  const target = splitAddress(coordinator);
  try {
    const socket = await dial(target, route, signal);
    socket.destroy();
    return ok(`${coordinator} accepts connections${route.proxy ? ' through the proxy' : ''}`);
  } catch (thrown) {
    if (signal.aborted) return failed(`nothing answers at ${coordinator}: packets seem to be dropped`, FIREWALL);
    const code = systemCode(thrown);
    const mend =
      code === 'ECONNREFUSED'
        ? 'check the port, and whether the coordinator runs; a firewall that rejects looks the same'
        : code === 'ENOTFOUND' || code === 'EAI_AGAIN'
          ? 'mend the name first'
          : FIREWALL;
    return failedBy(thrown, mend);
  }
}

export async function tlsCheck(
  coordinator: string,
  route: Route,
  { keyPem, chainPem, rootsPem }: Credentials,
  signal: AbortSignal,
): Promise<Verdict> {
  const target = splitAddress(coordinator);
  const socket = await dial(target, route, signal);
  const secure = await handshake(socket, target, { key: keyPem, cert: chainPem, ca: rootsPem });
  try {
    return judgeTls(secure, target);
  } finally {
    secure.destroy();
  }
}

function handshake(
  socket: Socket,
  { host }: Address,
  material: { readonly key: string; readonly cert: string; readonly ca: string },
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const secure = connectTls({
      socket,
      host,
      ...(isIP(host) ? {} : { servername: host }),
      ...material,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['h2'],
      // What is wrong with the certificate is told in words, and the connection ends right after.
      rejectUnauthorized: false,
    });
    secure.once('secureConnect', () => resolve(secure));
    secure.once('error', reject);
    secure.once('close', () => reject(new ClaraError('unavailable', 'the connection was closed during the handshake')));
  });
}

function judgeTls(secure: TLSSocket, { host }: Address): Verdict {
  const { issuer, valid_from, valid_to, subjectaltname = 'none' } = secure.getPeerCertificate();
  // Typed as an Error, but a code or an Error in fact.
  const fault: unknown = secure.authorizationError;
  if (secure.authorized)
    return ok(`${secure.getProtocol()}, chain and name ${host} are right, valid until ${valid_to}`);
  const code = String(fault instanceof Error ? systemCode(fault) : fault);
  switch (code) {
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return failed(
        `the coordinator's certificate is for ${subjectaltname}, not for ${host}`,
        'dial it by one of those names, or have the coordinator started with --host-name for this one',
      );
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return failed(
        `the coordinator's certificate is valid from ${valid_from} to ${valid_to}, and it is ${new Date().toUTCString()} here`,
        "set this machine's clock (NTP); if it is right, the coordinator's is not",
      );
    default:
      return failed(
        `the certificate at ${host} was issued by ${issuer?.CN ?? issuer?.O ?? 'somebody unnamed'}, not by the federation (${code})`,
        'a firewall that inspects TLS stands between: have it let this connection pass untouched; or the address is of another service',
      );
  }
}

export interface Answered {
  readonly admitted: Verdict;
  readonly clock: Verdict;
}

/** Below this the uncertainty of networks and the life of certificates hide it. */
const SKEW_MILLIS = 60_000;

/** Asks the coordinator whether it admits this site, and what time it is there. */
export async function askCoordinator(
  coordinator: string,
  credentials: Credentials,
  signal: AbortSignal,
  now: () => number = Date.now,
): Promise<Answered> {
  const channel = openChannel({ address: coordinator, credentials });
  try {
    const asked = now();
    const { software, protocol, unixMillis } = await clientOf(Federation, channel).probe({}, { signal });
    const heard = now();
    const admitted =
      protocol === PROTOCOL
        ? ok(`${software} admits this site`)
        : failed(`${software} speaks protocol ${protocol}, this agent ${PROTOCOL}`, 'update the older one of the two');
    return { admitted, clock: clockVerdict(Number(unixMillis), asked, heard) };
  } finally {
    channel.close();
  }
}

/** The answer was given somewhere between question and answer, so the middle is wrong by half of that time at most. */
export function clockVerdict(theirs: number, asked: number, heard: number): Verdict {
  const skew = (asked + heard) / 2 - theirs;
  const seconds = `${Math.abs(skew / 1000).toFixed(1)} s`;
  const found = `this clock is ${seconds} ${skew < 0 ? 'behind' : 'ahead of'} the coordinator's (+-${((heard - asked) / 2000).toFixed(1)} s)`;
  if (Math.abs(skew) <= SKEW_MILLIS) return ok(found);
  return warning(found, 'set it by NTP: certificates are judged by it, deadlines are not');
}
