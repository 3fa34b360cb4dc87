import type { AnnotationContext } from '../context';

/** `GET /health/ready` and `GET /health`: 200 when a model answers (or none is there yet), 503 when segmentation does not work. */
export async function showHealth(c: AnnotationContext): Promise<Response> {
  const health = await c.var.services.health.check();
  return c.json(health, health.status === 'ok' ? 200 : 503, { 'cache-control': 'no-store' });
}

/** `GET /health/live`: the process answers. Asks nobody else, so that a slow model never has a healthy server restarted. */
export function showLife(c: AnnotationContext): Response {
  return c.json({ status: 'ok', seconds: Math.round(process.uptime()) }, 200, { 'cache-control': 'no-store' });
}
