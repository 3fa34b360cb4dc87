import type { AnnotationContext } from '../context';

/** `GET /metrics`: figures in the Prometheus text format. */
export async function showMetrics(c: AnnotationContext): Promise<Response> {
  const { metrics } = c.var.services;
  return c.body(await metrics.metrics(), 200, { 'content-type': metrics.contentType, 'cache-control': 'no-store' });
}
