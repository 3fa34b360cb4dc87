import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';

/** `grpc.health.v1` (https://grpc.io/docs/guides/health-checking/): SERVING while this coordinator leads. */
export class Health {
  // The empty name stands for the server as a whole.
  readonly #implementation = new HealthImplementation({ '': 'NOT_SERVING' });

  addTo(server: Server): void {
    this.#implementation.addToServer(server);
  }

  setServing(serving: boolean): void {
    this.#implementation.setStatus('', serving ? 'SERVING' : 'NOT_SERVING');
  }
}
