import type { ServerHttp2Session } from 'node:http2';
import type { SecureContextOptions } from 'node:tls';
import { type Server, ServerCredentials, type ServerOptions } from '@grpc/grpc-js';
import { ClaraError } from '../../base/errors';
import { MAX_MESSAGE_BYTES, WINDOW_BYTES } from '../../federation/channel';
import { WideWindowServer } from './wide-window-server';

/** gRPC over TLS 1.3 (both ends are ours and as new as Node 20, so nothing older is offered), with or without client certificates. */

export interface ServerMaterial {
  readonly keyPem: string;
  /** Own certificate first. */
  readonly chainPem: string;
  /** Roots of client certificates. When absent, clients show none. */
  readonly rootsPem?: string;
}

export interface SecureServerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly material: ServerMaterial;
  /** Adds the services. */
  readonly register: (server: Server) => void;
  /** Sees every HTTP/2 connection; for {@link ConnectionRegister}. */
  readonly onSession?: (session: ServerHttp2Session) => void;
  /** @default 8 MiB, see federation/channel.ts */
  readonly maxMessageBytes?: number;
  /** Concurrent calls on one connection. @default 64 */
  readonly maxStreams?: number;
  /** Receive window of streams and connections. @default 16 MiB, see federation/channel.ts */
  readonly windowBytes?: number;
  /** Paths of calls that upload much: while many go on at once, the windows of streams are narrower. @default none */
  readonly uploads?: readonly string[];
  /** Connections end after this long. @default never */
  readonly maxConnectionMillis?: number;
}

export interface SecureServer {
  readonly port: number;
  /** New connections use the new material; open ones go on. @throws ClaraError `corrupt` when it does not fit together */
  rotate(material: ServerMaterial): void;
  /** Lets calls finish for so long, then ends them. */
  stop(graceMillis: number): Promise<void>;
}

/** @throws ClaraError `unavailable` when the address is taken */
export async function startSecureServer(options: SecureServerOptions): Promise<SecureServer> {
  const { windowBytes = WINDOW_BYTES, uploads = [], onSession } = options;
  const server = new WideWindowServer(grpcOptions(options), { windowBytes, uploads, onSession });
  options.register(server);
  const credentials = new RotatingCredentials(options.material);
  const port = await bind(server, options.host, options.port, credentials);
  return {
    port,
    rotate: (material) => credentials.rotate(material),
    stop: (graceMillis) => stop(server, graceMillis),
  };
}

/** Clients that vanished are found by their missing heartbeats; this finds those that are no sites. */
const KEEPALIVE_MILLIS = 60_000;

/** grpc-js sets no lower bound on the clients' pings; the pings below find clients that vanished without a word. */
function grpcOptions({
  maxMessageBytes = MAX_MESSAGE_BYTES,
  maxStreams = 64,
  maxConnectionMillis,
}: SecureServerOptions) {
  const options: ServerOptions = {
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_concurrent_streams': maxStreams,
    'grpc.keepalive_time_ms': KEEPALIVE_MILLIS,
    'grpc.keepalive_timeout_ms': 20_000,
    // Counts and traces of each call for a debugging service that nobody serves here.
    'grpc.enable_channelz': 0,
  };
  if (maxConnectionMillis !== undefined) {
    options['grpc.max_connection_age_ms'] = maxConnectionMillis;
    options['grpc.max_connection_age_grace_ms'] = maxConnectionMillis;
  }
  return options;
}

/** Credentials whose key and certificates can change while the server runs. */
class RotatingCredentials extends ServerCredentials {
  constructor(material: ServerMaterial) {
    super(
      { requestCert: material.rootsPem !== undefined, rejectUnauthorized: material.rootsPem !== undefined },
      contextOf(material),
    );
  }

  rotate(material: ServerMaterial): void {
    this.updateSecureContextOptions(contextOf(material));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

/**
 * In the order of the server's preference. AES with 128 bits is as strong as the certificates' P-256 keys, and takes a tenth less
 * CPU time for a whole transfer than with 256 (measured).
 */
const CIPHER_SUITES = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'].join(':');

function contextOf({ keyPem, chainPem, rootsPem }: ServerMaterial): SecureContextOptions {
  return {
    key: keyPem,
    cert: chainPem,
    ca: rootsPem,
    minVersion: 'TLSv1.3',
    ciphers: CIPHER_SUITES,
    honorCipherOrder: true,
  };
}

function bind(server: Server, host: string, port: number, credentials: ServerCredentials): Promise<number> {
  const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, bound) => {
      if (!error) {
        resolve(bound);
        return;
      }
      server.forceShutdown();
      const message = `${address} cannot be listened on: ${error.message}; is another program using it?`;
      reject(new ClaraError('unavailable', message, { cause: error }));
    });
  });
}

function stop(server: Server, graceMillis: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.forceShutdown(), graceMillis);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
