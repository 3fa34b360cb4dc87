/**
 * What a container runs, as plain data: no engine is needed to read it, and a test starts the real program with exactly these
 * arguments and variables. The entry point of every image of ours is `clara-fed`.
 */
export interface Program {
  /** Arguments after `clara-fed`. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Variables whose values are secrets: ECS fills them in when the task starts, no plan and no state has them. */
  readonly secretVariables: readonly string[];
  /** Ports that it listens on, reachable from other machines. */
  readonly ports: readonly number[];
  /** Folder in the container by the name of the volume that is mounted there. */
  readonly mounts: Readonly<Record<string, string>>;
}

/** Where figures for Prometheus are served: inside the task only, for its collector and its health check. */
export const METRICS_ADDRESS = '127.0.0.1:9464';

/** A process whose figures answer is alive: ECS asks inside the container, where the image has Node.js and no curl. */
export const ALIVE = {
  command: [
    'CMD',
    'node',
    '-e',
    `fetch('http://${METRICS_ADDRESS}/metrics').then((reply) => process.exit(reply.ok ? 0 : 1), () => process.exit(1))`,
  ],
  interval: 30,
  timeout: 10,
  retries: 3,
  startPeriod: 120,
} as const;

/** Variables of every container of ours: a home that can be written, and no proxy but the hospital's. */
export const COMMON_ENVIRONMENT = { HOME: '/tmp', NODE_ENV: 'production' } as const;
