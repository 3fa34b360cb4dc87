import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { ClaraError, type Fault, showValue } from '../base/errors';
import { AS_IT_IS, type Encoding, isAsItIs } from '../federation/encodings/encoding';
import type { Task } from '../federation/gen/federation/v1/federation_pb';
import type { Plan } from '../federation/plan';
import { CONTROLS } from '../federation/protocol';
import { keptTensors, leftOut, localTensors, madeAnew, type Patterns } from '../federation/sent-tensors';
import type { ClientRule } from '../federation/strategy';
import type { TaskKind } from '../federation/trainer-contract';
import type { SiteConfiguration } from './configuration';
import { statisticsFaults } from './policy';

/** A task that this site may and can do. */
export interface CheckedTask {
  readonly kind: TaskKind;
  readonly parameters: Readonly<Record<string, z.infer<ReturnType<typeof z.json>>>>;
  /** Of tensors that keep the global model's values, whatever the trainer wrote. */
  readonly excluded: readonly RegExp[];
  /** Of those, with what this site goes on itself. */
  readonly local: Patterns;
  /** Of those, what an update of this task does not have. */
  readonly leftOut: readonly RegExp[];
  /** What the trainer leaves alone, and what it makes anew. */
  readonly frozen: readonly string[];
  readonly reinitialise: readonly string[];
  /** What the approved strategy asks of federated training; training alone has nobody to differ from. */
  readonly rule: ClientRule;
  /** How models of the approved plan travel, and the update of this task. */
  readonly down: Encoding;
  readonly up: Encoding;
  /** Of the plan that was approved. */
  readonly statistics?: Plan['statistics'];
}

const KINDS: readonly string[] = ['initialise', 'train', 'evaluate', 'statistics'] satisfies readonly TaskKind[];
const parametersSchema = z.record(z.string(), z.json());
const SHA256_BYTES = 32;
const FEDERATED_TRACK = 'federated';
const MAX_MODELS = 1000;

/**
 * Checks a pushed task against the plan that this site approved and its own limits.
 *
 * @throws ClaraError `permission-denied` when this site did not approve the run, `invalid-input` with every fault
 */
export function checkTask(
  task: Task,
  approved: Plan | undefined,
  site: Pick<SiteConfiguration, 'id' | 'trainer' | 'limits' | 'statistics'>,
): CheckedTask {
  if (!approved) {
    throw new ClaraError(
      'permission-denied',
      `${site.id} has not approved run ${showValue(task.run)}, so it does nothing for it; propose the run first`,
    );
  }
  const withheld = statisticsFaults(approved, site);
  if (withheld.length > 0) throw new ClaraError('permission-denied', withheld.join('; '));
  const faults: Fault[] = [];
  const fault = (path: string, value: unknown, rule: string) => faults.push({ path, value: showValue(value), rule });
  if (!KINDS.includes(task.kind)) fault('kind', task.kind, `must be one of ${KINDS.join(', ')}`);
  if ((task.kind === 'statistics') !== (approved.statistics !== undefined)) {
    const rule = approved.statistics
      ? 'must be statistics, as approved'
      : 'must not be statistics, which were not approved';
    fault('kind', task.kind, rule);
  }
  if (task.trainer !== site.trainer.name) fault('trainer', task.trainer, `must be ${site.trainer.name}, as approved`);
  if (task.trainer !== approved.trainer.name) fault('trainer', task.trainer, approvedRule(approved.trainer.name));
  if (task.rounds !== approved.rounds || task.round > task.rounds) {
    fault(
      'round',
      `${task.round} of ${task.rounds}`,
      `must be one of the ${approved.rounds} rounds that were approved`,
    );
  }
  if (!isDeepStrictEqual([...task.excludedTensors].sort(), [...approved.excludedTensors].sort())) {
    fault('excludedTensors', task.excludedTensors, approvedRule(approved.excludedTensors));
  }
  const federated = task.kind === 'train' && task.track === FEDERATED_TRACK;
  const rule = federated ? approved.strategy.clientRule : { kind: 'none' as const };
  const { frozenTensors } = approved;
  const reinitialise = task.kind === 'initialise' ? madeAnew(approved) : [];
  checkModels(task, rule, { takesOver: reinitialise.length > 0, limit: site.limits.modelBytes }, fault);
  const { up, down } = approved.wire;
  if (isAsItIs(down) && task.models.some(({ decoded }) => decoded !== undefined)) {
    fault('models', 'encoded', approvedRule(down));
  }
  const parameters = parametersOf(task, fault);
  if (parameters && !isDeepStrictEqual(parameters, approved.trainer.parameters)) {
    fault('parametersJson', task.parametersJson, approvedRule(approved.trainer.parameters));
  }
  if (faults.length > 0 || !parameters) throw ClaraError.ofFaults(`task ${showValue(task.id)}`, faults);
  const { statistics } = approved;
  const kept = { excluded: keptTensors(approved), local: localTensors(approved) };
  const transfer = { leftOut: federated ? leftOut(approved) : [], frozen: frozenTensors, reinitialise };
  const wire = { down, up: federated ? up : AS_IT_IS };
  return { kind: task.kind as TaskKind, parameters, ...kept, rule, statistics, ...transfer, ...wire };
}

function approvedRule(value: unknown): string {
  return `must be ${showValue(value)}, as approved`;
}

type AddFault = (path: string, value: unknown, rule: string) => void;

interface ModelRules {
  /** First weights take tensors over from a model. */
  readonly takesOver: boolean;
  /** Bytes. */
  readonly limit: number;
}

function checkModels(
  { kind, models }: Task,
  rule: ClientRule,
  { takesOver, limit }: ModelRules,
  fault: AddFault,
): void {
  // The control variate of all sites comes after the model; in the first round there is none.
  const training = rule.kind === 'scaffold' ? [1, 2] : [1, 1];
  const first = takesOver ? [1, 1] : [0, 0];
  const wanted =
    kind === 'initialise' ? first : kind === 'statistics' ? [0, 0] : kind === 'train' ? training : [1, MAX_MODELS];
  if (models.length < wanted[0] || models.length > wanted[1]) {
    fault('models', models.length, `a task of kind ${kind} has ${wanted[0]} to ${wanted[1]} models`);
  }
  if (kind === 'train' && models.length === 2 && models[1].name !== CONTROLS) {
    fault('models.1.name', models[1].name, `must be ${CONTROLS}`);
  }
  models.forEach(({ name, size, sha256, decoded }, index) => {
    const path = `models.${index}`;
    if (name.length < 1 || name.length > 100) fault(`${path}.name`, name, 'must have 1 to 100 characters');
    if (sha256.length !== SHA256_BYTES) fault(`${path}.sha256`, sha256.length, `must have ${SHA256_BYTES} bytes`);
    if (size < 1n || size > BigInt(limit)) {
      fault(`${path}.size`, Number(size), `must be 1 to ${limit} bytes (limits.modelBytes of this site)`);
    }
    if (decoded && (decoded.sha256.length !== SHA256_BYTES || decoded.size < 1n || decoded.size > BigInt(limit))) {
      const rule = `must be 1 to ${limit} bytes (limits.modelBytes of this site) with a digest of ${SHA256_BYTES} bytes`;
      fault(`${path}.decoded`, Number(decoded.size), rule);
    }
  });
}

function parametersOf(task: Task, fault: AddFault): CheckedTask['parameters'] | undefined {
  try {
    const parsed = parametersSchema.safeParse(task.parametersJson === '' ? {} : JSON.parse(task.parametersJson));
    if (parsed.success) return parsed.data;
  } catch {
    // Not JSON at all: the same fault.
  }
  fault('parametersJson', task.parametersJson, 'must be a JSON object');
  return undefined;
}
