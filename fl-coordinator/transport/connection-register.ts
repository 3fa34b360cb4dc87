import type { ServerHttp2Session } from 'node:http2';
import { TLSSocket } from 'node:tls';
import { MAX_TIMER_MILLIS } from '../../base/timers';
import { endOf, fingerprintOf } from '../../federation/certificates';

/**
 * The open connections by the certificate that opened them, so that they end with it: at once when it is revoked, and
 * when it runs out. Calls on an ended connection are cancelled; the client dials again with what it has by then.
 */
export class ConnectionRegister {
  readonly #sessions = new Map<string, Set<ServerHttp2Session>>();

  constructor(private readonly now: () => Date = () => new Date()) {}

  /** To be called for each new connection; forgets it by itself. */
  track(session: ServerHttp2Session): void {
    const der = session.socket instanceof TLSSocket ? session.socket.getPeerCertificate()?.raw : undefined;
    if (!der) return;
    const fingerprint = fingerprintOf(der);
    const sessions = this.#sessions.get(fingerprint) ?? new Set();
    this.#sessions.set(fingerprint, sessions.add(session));
    const stopWatching = this.#endWith(session, endOf(der));
    session.once('close', () => {
      stopWatching();
      sessions.delete(session);
      if (sessions.size === 0 && this.#sessions.get(fingerprint) === sessions) this.#sessions.delete(fingerprint);
    });
  }

  /** Ends every connection that one of these certificates opened. @returns how many */
  end(fingerprints: readonly string[]): number {
    const ended = fingerprints.flatMap((fingerprint) => [...(this.#sessions.get(fingerprint) ?? [])]);
    for (const session of ended) session.destroy();
    return ended.length;
  }

  /** Open connections. */
  get size(): number {
    return [...this.#sessions.values()].reduce((sum, sessions) => sum + sessions.size, 0);
  }

  #endWith(session: ServerHttp2Session, ends: Date): () => void {
    let timer: NodeJS.Timeout;
    const look = (): void => {
      const left = ends.getTime() - this.now().getTime();
      if (left <= 0) {
        session.destroy();
        return;
      }
      timer = setTimeout(look, Math.min(left, MAX_TIMER_MILLIS));
      timer.unref();
    };
    look();
    return () => clearTimeout(timer);
  }
}
