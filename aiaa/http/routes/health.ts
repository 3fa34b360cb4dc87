import type { AnnotationContext } from '../context';

/** `GET /health`: 200 when a model answers (or none is there yet), 503 when segmentation does not work. */
export async function showHealth(c: AnnotationContext): Promise<Response> {
  const health = await c.var.services.health.check();
  return c.json(health, health.status === 'ok' ? 200 : 503, { 'cache-control': 'no-store' });
}
