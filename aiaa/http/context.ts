import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import type { Logger } from 'pino';
import type { HealthCheck } from '../inference/health-check';
import type { InferenceService } from '../inference/inference-service';
import type { AnnotationLimits } from '../limits';
import type { SessionStore } from '../sessions/session-store';
import type { Scratch } from '../storage/scratch';
import type { RequestScope } from './request-scope';

/** What the routes work with; made once a server. */
export interface Services {
  readonly workspace: string;
  readonly limits: AnnotationLimits;
  readonly sessions: SessionStore;
  readonly scratch: Scratch;
  readonly inference: InferenceService;
  readonly health: HealthCheck;
  readonly log: Logger;
  /** Segments of the secret path prefix; empty without one. */
  readonly prefix: readonly string[];
  /** Origins of web pages that may call; empty = none. */
  readonly corsOrigins: readonly string[];
}

export interface AnnotationEnv {
  Bindings: HttpBindings;
  Variables: {
    services: Services;
    scope: RequestScope;
    log: Logger;
  };
}

export type AnnotationContext = Context<AnnotationEnv>;
