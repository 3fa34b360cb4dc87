import type { HealthCheck } from './container-definition';
import { COMMON_ENVIRONMENT, type Program } from './program';

export const ANNOTATION_PORT = 5000;
/** What the load balancer asks: 200 when the newest model segments a tiny volume. It is outside the secret prefix. */
export const ANNOTATION_HEALTH_PATH = '/health';
/** The same question inside the container, as the image's own health check asks it. */
export const ANNOTATION_HEALTH: HealthCheck = {
  command: [
    ...['CMD', 'clara-fed', 'health', '--url', `http://127.0.0.1:${ANNOTATION_PORT}/health/ready`],
    ...['--timeout', '25'],
  ],
  interval: 60,
  timeout: 30,
  retries: 3,
  startPeriod: 300,
};

/**
 * The project's own annotation server.
 *
 * @param prefixArn secret that holds the path before all others
 * @param network addresses of the site: from there it is administered, and there its load balancer stands
 */
export function annotationProgram(prefixArn: string, network: string): Program {
  return {
    command: [
      ...['aiaa', 'start', '--workspace', '/workspace'],
      ...['--host', '0.0.0.0', '--port', String(ANNOTATION_PORT)],
      ...['--prefix-secret', prefixArn],
      ...['--admin-from', '127.0.0.0/8', network, '--proxy-from', network, '--log', '--json'],
    ],
    environment: COMMON_ENVIRONMENT,
    ports: [ANNOTATION_PORT],
    mounts: { workspace: '/workspace', scratch: '/tmp' },
  };
}

/**
 * NVIDIA's annotation server in its container (Clara Train 4.1, "AIAA server: start_aiaa.sh"). It knows no path prefix, so
 * only the allow-list guards it.
 */
export function claraTrainProgram(): Program {
  return {
    command: ['start_aiaa.sh', '--workspace', '/workspace', '--port', String(ANNOTATION_PORT), '--engine', 'AIAA'],
    environment: { HOME: '/tmp' },
    ports: [ANNOTATION_PORT],
    mounts: { workspace: '/workspace', scratch: '/tmp' },
  };
}

/** NVIDIA's server has no check that computes; its list of models is the deepest question that it answers. */
export const CLARA_TRAIN_HEALTH_PATH = '/v1/models';
