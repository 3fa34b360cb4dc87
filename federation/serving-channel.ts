import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@grpc/grpc-js';
import { ClaraError } from '../base/errors';
import { type ChannelCredentials, LIVENESS_MILLIS, openChannel } from './channel';
import { fromServiceError } from './grpc-errors';

/** How programs that come and go find, of several coordinators, the one that leads: they ask each for its health. */

export interface ServingChannelOptions {
  /** `host:port` of each. */
  readonly addresses: readonly string[];
  readonly credentials: ChannelCredentials;
  /** How long a leader is waited for. @default the liveness interval, and a third */
  readonly patienceMillis?: number;
}

const CHECK_MILLIS = 3000;
const PAUSE_MILLIS = 250;
/** HealthCheckResponse of grpc.health.v1: field 1, varint, 1 is SERVING. */
const SERVING = Buffer.from([8, 1]);

/**
 * A channel to the coordinator that serves. A single address is not asked: the call itself tells.
 * @throws ClaraError `unavailable` when none serves within the patience
 */
export async function openServingChannel(options: ServingChannelOptions): Promise<Client> {
  const { addresses, credentials, patienceMillis = (LIVENESS_MILLIS * 4) / 3 } = options;
  if (addresses.length === 1) return openChannel({ address: addresses[0]!, credentials });
  const giveUpAt = performance.now() + patienceMillis;
  for (;;) {
    const reasons: string[] = [];
    for (const address of addresses) {
      const channel = openChannel({ address, credentials });
      const reason = await reasonAgainst(channel, address);
      if (reason === undefined) return channel;
      channel.close();
      reasons.push(reason);
    }
    if (performance.now() > giveUpAt) {
      throw new ClaraError('unavailable', `none of ${addresses.length} coordinators leads: ${reasons.join('; ')}`);
    }
    await delay(PAUSE_MILLIS);
  }
}

/** Why the coordinator is not the one; undefined when it serves. */
function reasonAgainst(channel: Client, address: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    channel.makeUnaryRequest(
      '/grpc.health.v1.Health/Check',
      () => Buffer.alloc(0),
      (bytes: Buffer) => bytes,
      undefined,
      { deadline: Date.now() + CHECK_MILLIS },
      (error, reply) => {
        if (error) resolve(fromServiceError(error, `coordinator ${address}`).message);
        else resolve(reply?.equals(SERVING) ? undefined : `coordinator ${address} stands by`);
      },
    );
  });
}
