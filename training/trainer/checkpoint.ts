import { createHash } from 'node:crypto';
import { z } from 'zod';
import { hasCode } from '../../base/errors';
import { readTensors, type Tensor, writeTensors } from '../../federation/tensors/file';
import type { TrainTask } from '../../federation/trainer-contract';
import type { NetworkSpec } from '../engine/architecture';
import type { AdamMoments } from '../engine/optimiser';
import { tensorsOf, type Weights, weightsOf } from '../engine/weights';
import type { ControlState } from './control-variates';

/**
 * A moment of a training task, from which it goes on to the very same bytes. The last one of a task also hands the
 * optimiser's moments to the next round of the run.
 */
export interface Checkpoint {
  readonly weights: Weights;
  /** Absent with an optimiser that remembers nothing. */
  readonly moments?: AdamMoments | undefined;
  /** Absent without the rule of SCAFFOLD. */
  readonly controls?: ControlState | undefined;
  /** Steps of the task that are done. */
  readonly step: number;
  /** Steps of the whole task. */
  readonly totalSteps: number;
  /** Of the losses of these steps. */
  readonly lossSum: number;
}

/** One file for all, so that weights, moments and step always belong together. */
export const CHECKPOINT_FILE = 'checkpoint.safetensors';

const PREFIX = { weights: 'weights.', first: 'first.', second: 'second.' } as const;

const CONTROL_TENSORS = { own: 'control', gradientSum: 'gradient-sum' } as const;

const metadataSchema = z.object({
  key: z.string(),
  run: z.string(),
  step: z.coerce.number().int().min(0),
  totalSteps: z.coerce.number().int().min(0).default(0),
  optimiserSteps: z.coerce.number().int().min(0).optional(),
  lossSum: z.coerce.number(),
});

/** Tells whether two starts of the trainer do the same work: equal tasks (deadlines aside) on equal models. */
export function taskKey({ deadline: _, ...task }: TrainTask, modelDigest: string): string {
  return createHash('sha256')
    .update(JSON.stringify([task, modelDigest]))
    .digest('hex');
}

export async function saveCheckpoint(
  file: string,
  spec: NetworkSpec,
  owner: { readonly key: string; readonly run: string },
  { weights, moments, controls, step, totalSteps, lossSum }: Checkpoint,
): Promise<void> {
  const tensors: Tensor[] = [
    ...tensorsOf(spec, weights, PREFIX.weights),
    ...(moments ? tensorsOf(spec, moments.first, PREFIX.first) : []),
    ...(moments ? tensorsOf(spec, moments.second, PREFIX.second) : []),
    ...(controls ? controlTensors(controls) : []),
  ];
  // The text of a JavaScript number names exactly that number, so the sum of losses survives to the last bit.
  await writeTensors(file, tensors, {
    key: owner.key,
    run: owner.run,
    step: String(step),
    totalSteps: String(totalSteps),
    ...(moments && { optimiserSteps: String(moments.steps) }),
    lossSum: String(lossSum),
  });
}

/** The sum stays in float64: going on must not round it. */
function controlTensors({ own, gradientSum }: ControlState): Tensor[] {
  const shape = [own.length];
  return [
    { name: CONTROL_TENSORS.own, dtype: 'F32', shape, data: own },
    { name: CONTROL_TENSORS.gradientSum, dtype: 'F64', shape, data: gradientSum },
  ];
}

function controlsIn(tensors: ReadonlyMap<string, Tensor>, { parameterSpan }: NetworkSpec): ControlState | undefined {
  const own = tensors.get(CONTROL_TENSORS.own)?.data;
  const gradientSum = tensors.get(CONTROL_TENSORS.gradientSum)?.data;
  const fits =
    own instanceof Float32Array &&
    gradientSum instanceof Float64Array &&
    own.length === parameterSpan &&
    gradientSum.length === parameterSpan;
  return fits ? { own, gradientSum } : undefined;
}

export interface FoundCheckpoint extends Checkpoint {
  /** The {@link taskKey} it was saved under. */
  readonly key: string;
  readonly run: string;
}

/** The checkpoint that is there, or undefined when there is none, it is damaged, or it is of another network. */
export async function findCheckpoint(file: string, spec: NetworkSpec): Promise<FoundCheckpoint | undefined> {
  try {
    const { layout, tensors } = await readTensors(file);
    const metadata = metadataSchema.safeParse(layout.metadata);
    if (!metadata.success) return undefined;
    const { key, run, step, totalSteps, optimiserSteps, lossSum } = metadata.data;
    const read = (prefix: string): Float32Array => weightsOf(spec, tensors, file, prefix);
    return {
      key,
      run,
      step,
      totalSteps,
      lossSum,
      weights: read(PREFIX.weights),
      controls: controlsIn(tensors, spec),
      ...(optimiserSteps !== undefined && {
        moments: { first: read(PREFIX.first), second: read(PREFIX.second), steps: optimiserSteps },
      }),
    };
  } catch (error) {
    if (hasCode(error, 'not-found', 'corrupt', 'invalid-input')) return undefined;
    throw error;
  }
}
