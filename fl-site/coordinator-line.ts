import type { Credentials } from '../federation/credentials';
import type { CoordinatorClient } from './coordinator-client';

export type Dial = (address: string, credentials: Credentials) => CoordinatorClient;

/**
 * The line to whichever coordinator leads. Of several coordinators one serves, and the others answer `unavailable`: after each
 * failure the next address is dialled, always on a new channel, since a name may stand for several machines.
 */
export class CoordinatorLine {
  #index = 0;
  #client: CoordinatorClient;

  constructor(
    private readonly addresses: readonly string[],
    private credentials: Credentials,
    private readonly dial: Dial,
  ) {
    this.#client = dial(this.address, credentials);
  }

  get address(): string {
    return this.addresses[this.#index]!;
  }

  get client(): CoordinatorClient {
    return this.#client;
  }

  /** Dials the next address, and gives up whatever still runs on the line of before: it may hang for good. */
  next(): void {
    this.#index = (this.#index + 1) % this.addresses.length;
    this.#redial().abandon();
  }

  /** Dials the same address with new credentials; calls that run come to their end. */
  renew(credentials: Credentials): void {
    this.credentials = credentials;
    this.#redial().close();
  }

  close(): void {
    this.#client.close();
  }

  /** @returns the client of before */
  #redial(): CoordinatorClient {
    const old = this.#client;
    this.#client = this.dial(this.address, this.credentials);
    return old;
  }
}
