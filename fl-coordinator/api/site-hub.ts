import { create } from '@bufbuild/protobuf';
import { type CoordinatorMessage, CoordinatorMessageSchema } from '../../federation/gen/federation/v1/federation_pb';

/** The write end of a site's open `Connect` stream. */
export interface MessageStream {
  write(message: CoordinatorMessage): void;
  /** Ends the stream; the site will dial again. */
  end(): void;
}

/** One connection of one site. A site that connects again replaces its earlier connection. */
export class SiteConnection {
  /** Tasks that were pushed on this connection and not yet taken back: id, and the deadline that was told. */
  readonly pushed = new Map<string, string>();
  /** Runs whose proposal, or end, was told on this connection. */
  readonly told = new Set<string>();
  lastHeard: number;

  constructor(
    readonly site: string,
    readonly software: string,
    private readonly stream: MessageStream,
    now: number,
  ) {
    this.lastHeard = now;
  }

  send(message: CoordinatorMessage['message']): void {
    this.stream.write(create(CoordinatorMessageSchema, { message }));
  }

  end(): void {
    this.stream.end();
  }
}

export interface HubOptions {
  /** A site that said nothing for this long is taken for disconnected. Milliseconds. */
  readonly livenessMillis: number;
  /** Milliseconds that never go back. @default performance.now */
  readonly now?: () => number;
}

/** Which sites are connected now. Knows nothing of runs. */
export class SiteHub {
  readonly #connections = new Map<string, SiteConnection>();
  readonly #sweeper: NodeJS.Timeout;
  readonly #now: () => number;

  constructor(
    private readonly options: HubOptions,
    private readonly onGone: (site: string) => void,
  ) {
    this.#now = options.now ?? (() => performance.now());
    this.#sweeper = setInterval(() => this.endSilent(), options.livenessMillis / 3);
    this.#sweeper.unref();
  }

  attach(site: string, software: string, stream: MessageStream): SiteConnection {
    this.#connections.get(site)?.end();
    const connection = new SiteConnection(site, software, stream, this.#now());
    this.#connections.set(site, connection);
    return connection;
  }

  heard(connection: SiteConnection): void {
    connection.lastHeard = this.#now();
  }

  /** The stream is gone. A newer connection of the same site stays. */
  detach(connection: SiteConnection): void {
    if (this.#connections.get(connection.site) !== connection) return;
    this.#connections.delete(connection.site);
    this.onGone(connection.site);
  }

  get(site: string): SiteConnection | undefined {
    return this.#connections.get(site);
  }

  all(): Iterable<SiteConnection> {
    return this.#connections.values();
  }

  /** Ends connections whose site has been silent for longer than the liveness interval. */
  endSilent(): void {
    const oldest = this.#now() - this.options.livenessMillis;
    for (const connection of [...this.#connections.values()]) {
      if (connection.lastHeard >= oldest) continue;
      connection.end();
      this.detach(connection);
    }
  }

  close(): void {
    clearInterval(this.#sweeper);
    for (const connection of this.#connections.values()) connection.end();
    this.#connections.clear();
  }
}
