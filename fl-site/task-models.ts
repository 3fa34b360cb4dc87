import path from 'node:path';
import { isAsItIs } from '../federation/encodings/encoding';
import type { ModelReference } from '../federation/gen/federation/v1/federation_pb';
import { matchesAny } from '../federation/sent-tensors';
import type { TaskKind } from '../federation/trainer-contract';
import type { Pacing } from './backoff';
import type { CoordinatorClient } from './coordinator-client';
import type { ModelCache } from './model-cache';
import type { CheckedTask } from './task-checks';
import { CONTROLS_FILE, evaluatedFile, INPUT_FILE } from './task-files';
import type { TaskRecord } from './task-journal';
import type { TaskActivity } from './task-progress';
import type { Workspace } from './workspace';

/** What fetching the models of a task takes. */
export interface ModelSources {
  readonly workspace: Workspace;
  readonly models: ModelCache;
  /** The coordinator as it can be reached now: certificates change while tasks run. */
  readonly client: () => CoordinatorClient;
  readonly pacing: Pacing;
  readonly onProgress: (activity: TaskActivity) => void;
}

/**
 * Puts every model of a task into its folder, read back from how it travelled.
 * @throws ClaraError `out-of-space` when the models and what will be made of them have no room
 */
export async function fetchModels(
  { task }: TaskRecord,
  checked: CheckedTask,
  folder: string,
  { workspace, models, client, pacing, onProgress }: ModelSources,
  signal: AbortSignal,
): Promise<void> {
  const { kind, rule, up, down, local } = checked;
  const present = await Promise.all(task.models.map((model) => models.has(task.run, model)));
  const absent = task.models.filter((_, index) => !present[index]);
  const missing = absent.reduce((sum, { size }) => sum + Number(size), 0);
  const decoded = absent.reduce((sum, model) => sum + Number(model.decoded?.size ?? 0n), 0);
  // An update is as large as its model, as is a control variate; both may have to be written twice, see prepareOutbound.
  // Encoded it is written once more, beside what top-k leaves to later rounds.
  const updates = rule.kind === 'scaffold' || !isAsItIs(up) ? 4 : 2;
  const output = kind === 'train' ? updates * sizeOf(task.models[0]) : 0;
  // With this site's own tensors in them models are copies.
  const copies = local.length > 0 ? task.models.reduce((sum, model) => sum + sizeOf(model), 0) : 0;
  await workspace.requireSpace(missing + decoded + output + copies, `task ${task.id}`);

  const total = missing || 1;
  let before = 0;
  for (const [index, model] of task.models.entries()) {
    const target = path.join(folder, fileOf(kind, index));
    await models.provide(task.run, model, target, {
      client: { download: (...args) => client().download(...args) },
      signal,
      pacing,
      down: { encoding: down, isKept: (name) => matchesAny(name, checked.excluded) },
      onBytes: (done) => onProgress({ activity: 'downloading', fraction: (before + done) / total }),
    });
    if (!present[index]) before += Number(model.size);
  }
}

/** Bytes of the model itself, however it travels. */
function sizeOf({ size, decoded }: ModelReference): number {
  return Number(decoded?.size ?? size);
}

/** Where the task's model of this place goes. */
function fileOf(kind: TaskKind, index: number): string {
  if (kind === 'evaluate') return evaluatedFile(index);
  return index === 0 ? INPUT_FILE : CONTROLS_FILE;
}
