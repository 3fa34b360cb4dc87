import { z } from 'zod';
import { ClaraError, showValue } from '../../base/errors';
import { faultsOf } from '../../base/faults';
import type { FineTuningStatus } from '../finetune/fine-tuning';
import type { AnnotationContext } from '../http/context';
import { receiveJson } from '../http/receive-json';
import { listModels } from '../registry/model-registry';

/** MONAI Label's `/train/`, which is fine-tuning here. It changes what everybody gets, so it is for operators. */

/** Of what clients send, the rest configures trainers of their own. */
const paramsSchema = z.looseObject({ max_epochs: z.int().positive().optional() }).default({});

/** `POST /train/{model}`, or `POST /train/` when one model alone can learn. */
export async function beginTraining(c: AnnotationContext): Promise<Response> {
  const body = (await receiveJson(c.env.incoming)) ?? undefined;
  const params = paramsSchema.safeParse(body);
  if (!params.success) throw ClaraError.ofFaults('The parameters', faultsOf(params.error, body));
  const model = c.req.param('model') ?? (await onlyTrainable(c));
  const { max_epochs: epochs } = params.data;
  const status = await c.var.services.fineTuning.begin(model, epochs === undefined ? undefined : `epochs=${epochs}`);
  return c.json(taskOf(status));
}

/** `GET /train/`: the task that runs, or ran last; with `check_if_running`, 404 unless it runs. */
export function showTraining(c: AnnotationContext): Response {
  const { latest } = c.var.services.fineTuning;
  const mustRun = c.req.query('check_if_running') === 'true';
  if (latest === undefined || (mustRun && latest.state !== 'running')) {
    throw new ClaraError('not-found', mustRun ? 'No training runs.' : 'Nothing was trained since this server started.');
  }
  return c.json(taskOf(latest));
}

/** `DELETE /train/`: stops what runs. */
export async function stopTraining(c: AnnotationContext): Promise<Response> {
  const { fineTuning } = c.var.services;
  await fineTuning.stop();
  return showTraining(c);
}

/** Names of the models that can learn here. */
export async function trainableModels(workspace: string): Promise<readonly string[]> {
  const models = await listModels(workspace, { onBroken: () => {} });
  return models.filter(({ engine }) => engine === 'reference').map(({ name }) => name);
}

async function onlyTrainable(c: AnnotationContext): Promise<string> {
  const names = await trainableModels(c.var.services.workspace);
  if (names.length === 1) return names[0];
  throw new ClaraError(
    'invalid-input',
    `${names.length} models can learn, one at a time; choose one (${showValue(names, 200)}) with /train/MODEL.`,
  );
}

const STATES: Readonly<Record<FineTuningStatus['state'], string>> = {
  running: 'RUNNING',
  done: 'DONE',
  failed: 'ERROR',
};

/** Slicer reads the last of `details` unguarded. */
function taskOf({ state, model, from, progress, version, message }: FineTuningStatus): object {
  const detail =
    message ?? (version === undefined ? `${Math.round(100 * progress)} % done` : `version ${version} is served`);
  return { id: `${model} ${from}`, status: STATES[state], model, progress, details: [detail] };
}
