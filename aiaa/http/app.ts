import { Hono } from 'hono';
import { routePath } from 'hono/route';
import { ClaraError } from '../../base/errors';
import { AiaaError, shuttingDown, statusOf } from '../errors';
import {
  deleteFromDatastore,
  getImage,
  getLabel,
  infer,
  nextSample,
  putImage,
  putLabel,
  showDatastore,
  showInfo,
} from '../monai-label/handlers';
import { beginTraining, showTraining, stopTraining } from '../monai-label/training';
import type { AnnotationContext, AnnotationEnv, Services } from './context';
import { crossOrigin } from './cross-origin';
import { errorReply } from './error-reply';
import { ENDPOINTS, type OperationId } from './openapi';
import type { Endpoint } from './openapi-endpoint';
import { isForOperators, meantPath } from './request-path';
import { discardBody, RequestScope } from './request-scope';
import { beginFineTuning, showFineTuning } from './routes/admin-finetune';
import { deleteModel, patchModel, putModel, putVersion, showModel } from './routes/admin-models';
import { segmentByClicks } from './routes/deepgrow';
import { segmentByPoints } from './routes/dextr3d';
import { showDocs, showOpenApi } from './routes/docs';
import { showHealth, showLife } from './routes/health';
import { showLogs } from './routes/logs';
import { showMetrics } from './routes/metrics';
import { showModels } from './routes/models';
import { fixPolygon, maskToPolygons } from './routes/polygons';
import { inferWithAny, segment } from './routes/segmentation';
import { closeSession, openSession, showSession } from './routes/sessions';
import { nothingAt, wrongMethod } from './wrong-address';

type Handler = (c: AnnotationContext) => Response | Promise<Response>;

/** Who answers what the table of endpoints names. */
const HANDLERS: Readonly<Record<OperationId, Handler>> = {
  frontPage: showDocs,
  docs: showDocs,
  openApi: showOpenApi,
  health: showHealth,
  healthReady: showHealth,
  healthLive: showLife,
  metrics: showMetrics,
  logs: showLogs,
  adminShowModel: showModel,
  adminPutModel: putModel,
  adminPatchModel: patchModel,
  adminDeleteModel: deleteModel,
  adminServeVersion: putVersion,
  adminFineTune: beginFineTuning,
  adminShowFineTuning: showFineTuning,
  listModels: showModels,
  inference: inferWithAny,
  segmentation: segment,
  openSession,
  showSession,
  closeSession,
  monaiInfo: showInfo,
  monaiInfer: infer,
  monaiNextSample: nextSample,
  monaiDatastore: showDatastore,
  monaiPutImage: putImage,
  monaiPutLabel: putLabel,
  monaiGetImage: getImage,
  monaiGetLabel: getLabel,
  monaiDelete: deleteFromDatastore,
  monaiTrain: beginTraining,
  monaiTrainAny: beginTraining,
  monaiTraining: showTraining,
  monaiStopTraining: stopTraining,
  dextr3d: segmentByPoints,
  deepgrow: segmentByClicks,
  mask2polygon: maskToPolygons,
  fixpolygon: fixPolygon,
};

/** The whole API. Every handler throws what goes wrong; what an error looks like to a client is decided here once. */
export function createApp(services: Services): Hono<AnnotationEnv> {
  const app = new Hono<AnnotationEnv>({
    getPath: (request) => meantPath(new URL(request.url).pathname, services.prefixes).route,
  });

  app.use(async (c, next) => {
    const scope = new RequestScope(services.scratch, c.env.outgoing);
    const log = services.log.child({ request: scope.id });
    c.set('services', services);
    c.set('scope', scope);
    c.set('log', log);
    services.traffic.watch(c.env.incoming, c.env.outgoing, {
      log,
      left: () => scope.signal.aborted,
      route: () => routePath(c, -1),
    });
    try {
      await next();
      const whole = await discardBody(c.env.incoming, services.limits.discardMs);
      if (!whole) c.header('connection', 'close');
    } finally {
      await scope.end();
    }
  });
  if (services.corsOrigins.length > 0) {
    const cors = crossOrigin(services.corsOrigins);
    app.use((c, next) => (isForOperators(c.req.path) ? next() : cors(c, next)));
  }
  app.use((c, next) => {
    if (isForOperators(c.req.path)) services.operators.check(c.env.incoming);
    else if (services.isClosing() && c.req.method !== 'GET') throw shuttingDown();
    return next();
  });

  for (const [id, { method, path }] of Object.entries(ENDPOINTS) as [OperationId, Endpoint][]) {
    app.on(method, routeOf(path), HANDLERS[id]);
  }
  for (const [route, methods] of methodsByRoute()) {
    if (route !== '/') app.all(route, wrongMethod(methods)); // who posts to the front page has forgotten the rest of the path
  }

  app.notFound((c) => {
    throw nothingAt(c.req.path);
  });
  app.onError((thrown, c) => errorReply(asClientError(thrown, c)));
  return app;
}

/** `/session/{session_id}` as the router writes it. */
function routeOf(path: string): string {
  return path.replace(/(?<=.)\/$/, '').replace(/\{(\w+)\}/g, ':$1');
}

function methodsByRoute(): ReadonlyMap<string, readonly string[]> {
  const methods = new Map<string, string[]>();
  for (const { method, path } of Object.values(ENDPOINTS)) {
    const route = routeOf(path);
    methods.set(route, [...(methods.get(route) ?? []), method]);
  }
  return methods;
}

/** What a client is told. What went wrong inside is told to the log alone: the system's own words name files. */
function asClientError(thrown: unknown, c: AnnotationContext): ClaraError {
  const error = ClaraError.from(thrown);
  const { scope, log } = c.var;
  const speaks = thrown instanceof ClaraError && !isOfSystem(thrown.cause);
  if (!speaks || (statusOf(error) >= 500 && !(error instanceof AiaaError))) log.error({ err: error }, 'request failed');
  if (speaks) return error;
  if (error.code === 'out-of-space')
    return new ClaraError(error.code, 'The server has no space left; tell its administrator.');
  return new ClaraError(
    'internal',
    `The server failed; its administrator finds the reason in the log under ${scope.id}.`,
  );
}

function isOfSystem(cause: unknown): boolean {
  return cause instanceof Error && (cause as NodeJS.ErrnoException).syscall !== undefined;
}
