import type { ClaraError } from '../../../base/errors';
import { modelObjectOf } from '../../registry/model-entry';
import { listModels, openModel } from '../../registry/model-registry';
import type { AnnotationContext } from '../context';

/**
 * `GET /v1/models`: the array of model objects, all of them or those with a `label` and of a `type`; with `model=` the one
 * object alone.
 */
export async function showModels(c: AnnotationContext): Promise<Response> {
  const { workspace } = c.var.services;
  const { model, label, type } = c.req.query();
  if (model) return c.json(modelObjectOf((await openModel(workspace, model)).entry));
  const entries = await listModels(workspace, { onBroken: (name, error) => warnBroken(c, name, error) });
  const wanted = entries.filter((entry) => (!label || entry.labels.includes(label)) && (!type || entry.type === type));
  return c.json(wanted.map(modelObjectOf));
}

function warnBroken(c: AnnotationContext, model: string, error: ClaraError): void {
  c.var.log.warn({ model, code: error.code, detail: error.message }, 'model left out');
}
