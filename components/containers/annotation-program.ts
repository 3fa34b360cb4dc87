import { COMMON_ENVIRONMENT, type Program } from './program';

export const ANNOTATION_PORT = 5000;
/** What the load balancer asks: 200 when the newest model segments a tiny volume. It is outside the secret prefix. */
export const ANNOTATION_HEALTH_PATH = '/health';
/** Holds the secret path prefix. */
export const PREFIX_VARIABLE = 'CLARA_FED_AIAA_PREFIX';

/** The project's own annotation server. */
export function annotationProgram(): Program {
  return {
    command: [
      ...['aiaa', 'start', '--workspace', '/workspace'],
      ...['--host', '0.0.0.0', '--port', String(ANNOTATION_PORT), '--log', '--json'],
    ],
    environment: COMMON_ENVIRONMENT,
    secretVariables: [PREFIX_VARIABLE],
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
    secretVariables: [],
    ports: [ANNOTATION_PORT],
    mounts: { workspace: '/workspace', scratch: '/tmp' },
  };
}

/** NVIDIA's server has no check that computes; its list of models is the deepest question that it answers. */
export const CLARA_TRAIN_HEALTH_PATH = '/v1/models';
