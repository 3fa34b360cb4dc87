import type { AnnotationContext } from '../context';

/** `POST /admin/finetune/{model}?options=epochs%3D5`: begins, and answers at once; the log tells how it goes. */
export async function beginFineTuning(c: AnnotationContext): Promise<Response> {
  const status = await c.var.services.fineTuning.begin(c.req.param('model') ?? '', c.req.query('options'));
  return c.json({ success: true, ...status }, 202);
}

/** `GET /admin/finetune/{model}`: how far it is, or what became of it. */
export function showFineTuning(c: AnnotationContext): Response {
  return c.json(c.var.services.fineTuning.statusOf(c.req.param('model') ?? ''), 200, { 'cache-control': 'no-store' });
}
