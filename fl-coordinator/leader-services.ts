import type { Server } from '@grpc/grpc-js';
import { Federation, Operations } from '../federation/gen/federation/v1/federation_pb';
import type { OperatorIdentity, SiteIdentity } from '../federation/identity';
import { type ServeOptions, serve } from '../federation/service-handlers';
import { leaderHandlers } from './api/leader-handlers';
import type { LeaderTerm } from './leader-term';
import type { Verb } from './trust/authorisation';
import { admitPeer } from './trust/peer-identity';

export interface LeaderServicesOptions {
  /** @throws ClaraError `unavailable` while this coordinator does not lead */
  readonly current: () => LeaderTerm;
  /** Told of every call that was refused or failed. */
  readonly onFailure: (thrown: unknown, method: string) => void;
}

/** Adds what only a leader serves: each call is admitted and answered by the term that leads when it comes. */
export function serveLeader(server: Server, { current, onFailure }: LeaderServicesOptions): void {
  const gate = <Service extends typeof Federation | typeof Operations, Identity>(
    service: 'federation' | 'operations',
  ): ServeOptions<Service, Identity> => ({
    admit: (call, method) => admitPeer(call, `${service}.${method}` as Verb, current().trust).identity as Identity,
    onFailure,
  });
  const ofTerm = <Key extends 'federation' | 'operations'>(key: Key) => {
    const { [key]: handlers, ended } = current();
    return { handlers, ended };
  };
  const federation = leaderHandlers<typeof Federation, SiteIdentity>(Federation, () => ofTerm('federation'));
  serve(server, Federation, federation, gate('federation'));
  const operations = leaderHandlers<typeof Operations, OperatorIdentity>(Operations, () => ofTerm('operations'));
  serve(server, Operations, operations, gate('operations'));
}
