import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import type { Logger } from 'pino';
import type { FineTuning } from '../finetune/fine-tuning';
import type { HealthCheck } from '../inference/health-check';
import type { InferenceService } from '../inference/inference-service';
import type { AnnotationLimits } from '../limits';
import type { Assessor } from '../monai-label/assessor';
import type { Datastore } from '../monai-label/datastore';
import type { AnnotationMetrics } from '../observe/annotation-metrics';
import type { RecentLog } from '../observe/recent-log';
import type { SessionStore } from '../sessions/session-store';
import type { Scratch } from '../storage/scratch';
import type { OperatorAccess } from './operator-access';
import type { Prefix } from './request-path';
import type { RequestScope } from './request-scope';
import type { Traffic } from './traffic';

/** What the routes work with; made once a server. */
export interface Services {
  readonly workspace: string;
  readonly limits: AnnotationLimits;
  readonly sessions: SessionStore;
  readonly datastore: Datastore;
  readonly assessor: Assessor;
  readonly scratch: Scratch;
  readonly inference: InferenceService;
  readonly health: HealthCheck;
  readonly log: Logger;
  readonly recentLog: RecentLog;
  readonly metrics: AnnotationMetrics;
  readonly traffic: Traffic;
  readonly operators: OperatorAccess;
  /** Where models of NVIDIA GPU Cloud are fetched from. */
  readonly ngcUrl: string;
  readonly fineTuning: FineTuning;
  /** Secret path prefixes, of which each request needs one; empty = none is needed. */
  readonly prefixes: readonly Prefix[];
  /** Origins of web pages that may call; empty = none. */
  readonly corsOrigins: readonly string[];
  /** True once the server finishes what it has begun and takes nothing new. */
  readonly isClosing: () => boolean;
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
