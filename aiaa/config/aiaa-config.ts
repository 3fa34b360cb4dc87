import { z } from 'zod';
import { ClaraError, type Fault, showValue } from '../../base/errors';
import { faultAt, faultsOf } from '../../base/faults';
import { MODEL_TYPES, type ModelType } from '../registry/model-types';
import { type KnownTransform, POST_TRANSFORMS, PRE_TRANSFORMS } from './known-transforms';
import type { Pipeline, PostStep, PreStep, Told } from './pipeline';

/**
 * `config_aiaa.json` of Clara Train 4.x: what a model is and how a volume goes through it (NVIDIA, Clara Train 4.1, "Model Config").
 */

const argsSchema = z.record(z.string(), z.unknown());

const componentSchema = z
  .strictObject({
    name: z.string().min(1).max(200).optional(),
    /** What some files say instead of `name`. */
    path: z.string().min(1).max(200).optional(),
    args: argsSchema.default({}),
    disabled: z.boolean().optional(),
  })
  .refine(({ name, path }) => name !== undefined || path !== undefined, 'needs a name');

type Component = z.infer<typeof componentSchema>;

/** The networks of this server have one input and one output. */
const fieldSchema = z.union([
  z.string().min(1),
  z
    .array(z.string().min(1))
    .length(1, 'give one field: networks with several inputs or outputs are not served')
    .transform(([field]) => field!),
]);

/** MONAI's. */
const DEFAULT_OVERLAP = 0.25;

const side = z.int().max(4096);
const inferenceArgsSchema = z.strictObject({
  scanning_window: z.boolean().default(false),
  roi: z.tuple([side, side, side]).optional(),
  overlap: z.number().min(0).lt(1).default(DEFAULT_OVERLAP),
  /** How windows are blended: MONAI's `mode`. */
  mode: z.enum(['gaussian', 'constant']).default('gaussian'),
  /** Windows are computed one by one, on the CPU. */
  batch_size: z.int().positive().optional(),
  device: z.string().nullish(),
});

export const aiaaConfigSchema = z.strictObject({
  /** Of the model. */
  version: z.union([z.string().min(1), z.number().transform(String)]),
  type: z.enum(MODEL_TYPES),
  labels: z.array(z.string().min(1).max(100)).max(255),
  description: z.string().max(4000).default(''),
  pre_transforms: z.array(componentSchema).max(64).default([]),
  inference: z
    .strictObject({
      input: fieldSchema.default('image'),
      output: fieldSchema.default('model'),
      /** Shown with the model, for clients that know what to make of it (`padding`, `roi`, `deepgrow`...). */
      meta_data: argsSchema.default({}),
      AIAA: z
        .strictObject({ name: z.string().min(1), args: inferenceArgsSchema.default(inferenceArgsSchema.parse({})) })
        .optional(),
      /** Of another server. */
      TRITON: z.unknown().optional(),
    })
    .prefault({}),
  post_transforms: z.array(componentSchema).max(64).default([]),
  writer: componentSchema.optional(),
});

export type AiaaConfig = z.infer<typeof aiaaConfigSchema>;

/** Types of models that turn a volume into a mask by themselves. */
export const SERVED_TYPES: readonly ModelType[] = ['segmentation', 'others', 'pipeline'];

/** Where names of the platform's own come from; anything else is code that somebody wrote for one model. */
const PACKAGES = new Set(['monai', 'aiaa', 'monailabel', 'medl']);

/**
 * Reads a configuration; what it says of transforms is understood by {@link compileConfig}.
 *
 * @throws ClaraError `invalid-input` with every fault: unknown fields, wrong types
 */
export function parseAiaaConfig(document: unknown): AiaaConfig {
  const parsed = aiaaConfigSchema.safeParse(document);
  if (parsed.success) return parsed.data;
  throw ClaraError.ofFaults('config_aiaa.json', faultsOf(parsed.error, document));
}

/**
 * What the configuration comes to, for a model that answers with the scores of a network or, since its own file says what surrounds the
 * network, with a mask.
 *
 * @throws ClaraError `invalid-input` with every fault
 */
export function compileConfig(config: AiaaConfig, answers: 'scores' | 'mask'): Pipeline {
  const faults: Fault[] = [];
  const { input, output, AIAA } = config.inference;
  const pre = understand(config, 'pre_transforms', PRE_TRANSFORMS, input, faults);
  const post = understand(config, 'post_transforms', POST_TRANSFORMS, output, faults);
  if (AIAA !== undefined && shortName(AIAA.name) !== 'PyTorchInference') {
    faults.push(
      faultAt(['inference', 'AIAA', 'name'], config, 'must be PyTorchInference: other inferers are code of their own'),
    );
  }
  if (config.writer !== undefined && shortName(config.writer.name ?? config.writer.path ?? '') !== 'Writer') {
    faults.push(faultAt(['writer', 'name'], config, 'must be Writer: other writers are code of their own'));
  }
  if (!SERVED_TYPES.includes(config.type)) {
    const rule = `must be ${SERVED_TYPES.join(', ')}: a network that needs a person or makes no mask is not served`;
    faults.push(faultAt(['type'], config, rule));
  }
  const args = AIAA?.args;
  if (args?.scanning_window === true && args.roi === undefined) {
    faults.push({
      path: 'inference.AIAA.args.roi',
      rule: 'is missing; a scanning window needs a size of three numbers',
    });
  }
  if (answers === 'mask') refuseNetworkSteps(pre.steps, post.steps, args?.scanning_window === true, faults);
  const steps = answers === 'mask' ? post.steps : lateRestore(post.steps, faults);
  if (faults.length > 0) throw ClaraError.ofFaults('config_aiaa.json', faults);
  const overlap = args?.overlap ?? DEFAULT_OVERLAP;
  const window = args?.scanning_window === true ? { roi: args.roi!, overlap, blending: args.mode } : null;
  return { pre: pre.steps, window, overlap, post: steps, told: post.told };
}

interface Understood<Step> {
  readonly steps: readonly Step[];
  readonly told: Told;
}

function understand<Step extends PreStep | PostStep>(
  config: AiaaConfig,
  list: 'pre_transforms' | 'post_transforms',
  known: Readonly<Record<string, KnownTransform<Step>>>,
  field: string,
  faults: Fault[],
): Understood<Step> {
  const steps: Step[] = [];
  let told: Told = {};
  for (const [at, component] of config[list].entries()) {
    if (component.disabled === true) continue;
    const where = `${list}.${at}`;
    const transform = find(component, known, `${where}.name`, faults);
    if (transform === undefined) continue;
    const args = transform.args.safeParse(component.args);
    if (!args.success) {
      const inner = faultsOf(args.error, component.args);
      faults.push(...inner.map((fault) => ({ ...fault, path: `${where}.args.${fault.path}` })));
      continue;
    }
    const wrong = transform.keyed ? [component.args.keys].flat().find((key) => key !== field) : undefined;
    if (wrong !== undefined) {
      const rule = `must be ${showValue(field)}, the only field that there is here`;
      faults.push({ path: `${where}.args.keys`, value: showValue(wrong), rule });
      continue;
    }
    steps.push(...transform.steps(args.data as never));
    told = { ...told, ...transform.told?.(args.data as never) };
  }
  return { steps, told };
}

function find<Step>(
  component: Component,
  known: Readonly<Record<string, KnownTransform<Step>>>,
  path: string,
  faults: Fault[],
): KnownTransform<Step> | undefined {
  const name = component.name ?? component.path ?? '';
  const short = shortName(name)?.replace(/(D|Dict)$/, 'd');
  if (short === undefined) {
    faults.push({
      path,
      value: showValue(name),
      rule: 'is code that was written for one model; this server runs none',
    });
    return undefined;
  }
  if (Object.hasOwn(known, short)) return known[short];
  const rule = `is not a transform that this server knows here; it knows ${Object.keys(known).sort().join(', ')}`;
  faults.push({ path, value: showValue(name), rule });
  return undefined;
}

/** The name without its package, or undefined for a package of somebody else. */
function shortName(name: string): string | undefined {
  const parts = name.split('.');
  return parts.length === 1 || PACKAGES.has(parts[0]) ? parts.at(-1) : undefined;
}

/** A model whose file says itself what a volume becomes before the network and after it leaves nothing of that to a configuration. */
function refuseNetworkSteps(
  pre: readonly PreStep[],
  post: readonly PostStep[],
  scanning: boolean,
  faults: Fault[],
): void {
  const rule = "is in the model's own file; leave it out of the configuration";
  for (const { kind } of pre) faults.push({ path: 'pre_transforms', value: showValue(kind), rule });
  for (const { kind } of post) {
    if (kind === 'activate' || kind === 'argmax' || kind === 'threshold') {
      faults.push({ path: 'post_transforms', value: showValue(kind), rule });
    }
  }
  if (scanning) faults.push({ path: 'inference.AIAA.args.scanning_window', value: 'true', rule });
}

/**
 * What acts on each voxel by itself may be exchanged with the choice of the nearest voxel. So `restore` to the nearest comes after it, when
 * there is one number a voxel left to move.
 */
function lateRestore(steps: readonly PostStep[], faults: Fault[]): readonly PostStep[] {
  const cut = steps.findIndex(({ kind }) => kind === 'argmax' || kind === 'threshold');
  if (cut === -1) {
    const rule = 'needs AsDiscreted with argmax or threshold, which makes a mask of what the network says';
    faults.push({ path: 'post_transforms', rule });
    return steps;
  }
  const head = steps.slice(0, cut + 1);
  const tail = steps.slice(cut + 1);
  for (const { kind } of head) {
    if (kind === 'largest-component' || kind === 'keep-labels') {
      faults.push({
        path: 'post_transforms',
        value: showValue(kind),
        rule: 'works on labels: move it behind AsDiscreted',
      });
    }
  }
  for (const step of tail) {
    const late = step.kind === 'activate' || step.kind === 'argmax' || step.kind === 'threshold';
    const mixes = step.kind === 'restore' && step.method === 'linear';
    if (late || mixes) {
      const rule = late
        ? 'works on what the network says: move it before the first AsDiscreted'
        : 'would mix labels: say nearest, or restore before AsDiscreted';
      faults.push({ path: 'post_transforms', value: showValue(step.kind), rule });
    }
  }
  const nearest = head.filter((step) => step.kind === 'restore' && step.method === 'nearest');
  return [...head.filter((step) => !nearest.includes(step)), ...nearest, ...tail];
}
