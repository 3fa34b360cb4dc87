import type { ServerHttp2Session } from 'node:http2';
import { Server, type ServerOptions } from '@grpc/grpc-js';
import { UploadWindows } from './upload-windows';

export interface WideWindowOptions {
  /** HTTP/2 receive window of each stream and each connection, in bytes. */
  readonly windowBytes: number;
  /** Paths of calls that upload much: while many go on, streams have narrower windows. */
  readonly uploads: readonly string[];
  /** Sees every HTTP/2 connection once it is up. */
  readonly onSession?: (session: ServerHttp2Session) => void;
}

/** The two members of `grpc.Server` that are private in its types and reached for here, each guarded. */
interface ServerInternals {
  commonServerOptions?: { settings?: Record<string, unknown> };
  createHttp2Server?: (credentials: unknown) => NodeJS.EventEmitter;
}

/**
 * A gRPC server with wide HTTP/2 receive windows. `grpc.Server` ignores `grpc-node.flow_control_window` (grpc-node pull
 * request 3058), so an upload would run at 64 KiB a round trip: 1 MB/s at 30 ms. If a later version moves the internals,
 * the server works on with narrow windows, and without `onSession`; the test of this file then fails.
 */
export class WideWindowServer extends Server {
  constructor(options: ServerOptions, { windowBytes, uploads, onSession }: WideWindowOptions) {
    super(options);
    const internals = this as unknown as ServerInternals;
    if (typeof internals.commonServerOptions === 'object') {
      internals.commonServerOptions.settings = {
        ...internals.commonServerOptions.settings,
        initialWindowSize: windowBytes, // of streams; for connections RFC 9113 (6.9.2) allows WINDOW_UPDATE only
      };
    }
    const createHttp2Server = internals.createHttp2Server?.bind(this);
    if (!createHttp2Server) return;
    const windows = new UploadWindows({ uploads, windowBytes });
    internals.createHttp2Server = (credentials) => {
      const http2Server = createHttp2Server(credentials);
      http2Server.on('session', (session: ServerHttp2Session) => {
        session.setLocalWindowSize(windowBytes);
        windows.attach(session);
        onSession?.(session);
      });
      return http2Server;
    };
  }
}
