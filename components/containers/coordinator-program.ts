import { COMMON_ENVIRONMENT, METRICS_ADDRESS, type Program } from './program';

/**
 * The two coordinators of a federation. Each listens on ports of its own, and the load balancer hands those through unchanged:
 * a coordinator tells sites and invitations the ports that it listens on, and clients find the one that leads by trying the
 * addresses in turn. Behind one shared port every second call would meet the one that stands by.
 */
export const COORDINATORS = {
  a: { service: 8443, enrolment: 8444 },
  b: { service: 9443, enrolment: 9444 },
} as const;

export type CoordinatorName = keyof typeof COORDINATORS;
export const COORDINATOR_NAMES = Object.keys(COORDINATORS) as CoordinatorName[];

/** `host:port` of every coordinator behind a host name: what sites list under `coordinator`. */
export function coordinatorAddresses(hostName: string): string[] {
  return COORDINATOR_NAMES.map((name) => `${hostName}:${COORDINATORS[name].service}`);
}

/** Ports that a site must reach, in order. */
export const COORDINATOR_PORTS = COORDINATOR_NAMES.flatMap((name) => [
  COORDINATORS[name].service,
  COORDINATORS[name].enrolment,
]).sort((a, b) => a - b);

export interface CoordinatorProgramOptions {
  readonly name: CoordinatorName;
  readonly federation: string;
  /** The names under which sites reach it; they go into its certificate, and the first one into invitations. */
  readonly hostNames: readonly string[];
  /** `s3://bucket/prefix` of journals and models. */
  readonly store: string;
  readonly storeKeyArn: string;
  /** Secrets of the certificate authority and of the first operator's credentials. */
  readonly authoritySecretArn: string;
  readonly operatorSecretArn: string;
}

export function coordinatorProgram(options: CoordinatorProgramOptions): Program {
  const { service, enrolment } = COORDINATORS[options.name];
  return {
    command: [
      // What is to stay lies in the store and in the secrets; the workspace goes with the task.
      ...['coordinator', 'start', '--workspace', '/tmp/coordinator'],
      ...['--authority-secret', options.authoritySecretArn, '--operator-secret', options.operatorSecretArn],
      ...['--store', options.store, '--store-kms-key', options.storeKeyArn],
      ...['--federation', options.federation],
      ...['--listen', `0.0.0.0:${service}`, '--enrolment', `0.0.0.0:${enrolment}`],
      ...['--host-name', ...options.hostNames],
      ...['--advertise', ...coordinatorAddresses(options.hostNames[0])],
      ...['--metrics', METRICS_ADDRESS, '--json'],
    ],
    environment: COMMON_ENVIRONMENT,
    ports: [service, enrolment],
    mounts: { scratch: '/tmp' },
  };
}
