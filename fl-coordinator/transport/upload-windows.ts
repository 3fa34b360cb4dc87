import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';

export interface UploadWindowOptions {
  /** Paths of the calls that upload, for example `/federation.v1.Federation/Upload`. */
  readonly uploads: readonly string[];
  /** Receive window of a stream while few uploads go on, in bytes. */
  readonly windowBytes: number;
}

/**
 * What uploads may pile up in memory together, unless they are so many that each has the least window. A stream's window is what
 * its client may send before the server has read any of it; the connection's is no bound, since Node opens it again at once.
 */
const TOGETHER_BYTES = 32 * 2 ** 20;
const LEAST_BYTES = 2 ** 20;

/** Of each of so many uploads: the widest, halved until all fit. One upload needs it for long distances, many fill any line. */
export function uploadWindow(uploads: number, windowBytes: number): number {
  let window = windowBytes;
  while (window * uploads > TOGETHER_BYTES && window / 2 >= LEAST_BYTES) window /= 2;
  return window;
}

/**
 * Makes the windows of all connections narrower while many upload at once, so that the server's memory does not grow with the
 * number of its sites. A client learns it by SETTINGS, which hold for its open streams too (RFC 9113, 6.9.2).
 */
export class UploadWindows {
  readonly #sessions = new Map<ServerHttp2Session, { told: number; isWaiting: boolean }>();
  #uploads = 0;
  #window: number;

  constructor(private readonly options: UploadWindowOptions) {
    this.#window = options.windowBytes;
  }

  /** A connection that was opened with `windowBytes`. */
  attach(session: ServerHttp2Session): void {
    this.#sessions.set(session, { told: this.options.windowBytes, isWaiting: false });
    session.once('close', () => this.#sessions.delete(session));
    session.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      if (!this.options.uploads.includes(headers[':path'] ?? '')) return;
      this.#count(+1);
      stream.once('close', () => this.#count(-1));
    });
    this.#tell(session);
  }

  #count(change: number): void {
    this.#uploads += change;
    const window = uploadWindow(this.#uploads, this.options.windowBytes);
    if (window === this.#window) return;
    this.#window = window;
    for (const session of this.#sessions.keys()) this.#tell(session);
  }

  /** One SETTINGS at a time: a client that does not acknowledge is told nothing more, and no queue grows. */
  #tell(session: ServerHttp2Session): void {
    const known = this.#sessions.get(session);
    if (!known || known.isWaiting || known.told === this.#window || session.closed || session.destroyed) return;
    known.told = this.#window;
    known.isWaiting = true;
    session.settings({ initialWindowSize: known.told }, () => {
      known.isWaiting = false;
      this.#tell(session);
    });
  }
}
