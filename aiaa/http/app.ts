import { Hono } from 'hono';
import { cors } from 'hono/cors';
import { routePath } from 'hono/route';
import { ClaraError } from '../../base/errors';
import { AiaaError, notOffered, statusOf } from '../errors';
import type { AnnotationContext, AnnotationEnv, Services } from './context';
import { errorReply } from './error-reply';
import { routeOf } from './request-path';
import { discardBody, RequestScope } from './request-scope';
import { showDocs } from './routes/docs';
import { showHealth } from './routes/health';
import { showModels } from './routes/models';
import { segment } from './routes/segmentation';
import { closeSession, openSession, showSession } from './routes/sessions';

/** The whole API. Every handler throws what goes wrong; what an error looks like to a client is decided here once. */
export function createApp(services: Services): Hono<AnnotationEnv> {
  const app = new Hono<AnnotationEnv>({
    getPath: (request) => routeOf(new URL(request.url).pathname, services.prefix),
  });

  app.use(async (c, next) => {
    const scope = new RequestScope(services.scratch, c.env.outgoing);
    const log = services.log.child({ request: scope.id });
    c.set('services', services);
    c.set('scope', scope);
    c.set('log', log);
    const began = performance.now();
    try {
      await next();
      const whole = await discardBody(c.env.incoming, services.limits.discardMs);
      if (!whole) c.header('connection', 'close');
    } finally {
      await scope.end();
      // The route, not the address: that one carries session ids and the secret prefix.
      const status = c.env.outgoing.headersSent ? c.env.outgoing.statusCode : c.res.status;
      const ms = Math.round(performance.now() - began);
      const route = routePath(c, -1);
      const level = route === '/health' && status === 200 ? 'debug' : 'info';
      log[level]({ method: c.req.method, route, status, ms, left: scope.signal.aborted }, 'request');
    }
  });
  if (services.corsOrigins.length > 0) {
    app.use(cors({ origin: [...services.corsOrigins], allowMethods: ['GET', 'POST', 'PUT', 'DELETE'], maxAge: 600 }));
  }

  app.get('/', showDocs);
  app.get('/docs', showDocs);
  app.get('/health', showHealth);
  app.get('/v1/models', showModels);
  app.post('/v1/inference', segment);
  app.post('/v1/segmentation', segment);
  app.put('/session', openSession);
  app.get('/session/:id', showSession);
  app.delete('/session/:id', closeSession);
  for (const endpoint of ['dextr3d', 'deepgrow', 'mask2polygon', 'fixpolygon']) {
    app.post(`/v1/${endpoint}`, () => {
      throw notOffered(`/v1/${endpoint}`, 'use POST /v1/segmentation with an automatic model');
    });
  }

  app.notFound(() => {
    throw new ClaraError(
      'not-found',
      'There is nothing at this address; check that the server address ends before /v1, and see /docs/ for what there is.',
    );
  });
  app.onError((thrown, c) => errorReply(asClientError(thrown, c)));
  return app;
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
