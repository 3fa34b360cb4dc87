import type { HealthCheck } from './container-definition';

/**
 * What a container runs, as plain data: no engine is needed to read it, and a test starts the real program with exactly these
 * arguments and variables. The entry point of every image of ours is `clara-fed`.
 */
export interface Program {
  /** Arguments after `clara-fed`. Secrets are named by ARN, and the program reads them with its task's role: none is in a variable. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Ports that it listens on, reachable from other machines. */
  readonly ports: readonly number[];
  /** Folder in the container by the name of the volume that is mounted there. */
  readonly mounts: Readonly<Record<string, string>>;
}

/** Where figures for Prometheus are served: inside the task only, for its collector and its health check. */
export const METRICS_ADDRESS = '127.0.0.1:9464';

/** How ECS asks, inside the container, whether a coordinator or an agent works: as the image's own health check does. */
export const SERVICE_HEALTH: HealthCheck = {
  command: ['CMD', 'clara-fed', 'health', '--url', `http://${METRICS_ADDRESS}/health`],
  interval: 30,
  timeout: 10,
  retries: 3,
  startPeriod: 120,
};

/** Variables of every container of ours: a home that can be written, and no proxy but the hospital's. */
export const COMMON_ENVIRONMENT = { HOME: '/tmp', NODE_ENV: 'production' } as const;
