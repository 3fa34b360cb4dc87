import { z } from 'zod';
import type { PostStep, PreStep, Told, Triple } from './pipeline';

/**
 * The transforms of MONAI and of Clara Train 4.x that configurations of models use, by name, with the arguments that they take and what
 * they come to here. Meanings of arguments are those of MONAI's documentation of transforms (v0.8 to v1.4).
 */
export interface KnownTransform<Step> {
  readonly args: z.ZodType<unknown>;
  /** @param args parsed by the schema */
  readonly steps: (args: never) => readonly Step[];
  /** Works on these fields alone; false: on whatever it is told, since it changes nothing here. */
  readonly keyed: boolean;
  readonly told?: (args: never) => Told;
}

const keys = z.union([z.string(), z.array(z.string()).min(1)]);
const common = { keys, allow_missing_keys: z.boolean().optional() };
const oneOf = <const Value extends string>(...values: readonly Value[]) => {
  const one = z.enum(values);
  return z.union([
    one,
    z
      .array(one)
      .length(1)
      .transform(([value]) => value),
  ]);
};
const flag = z.union([
  z.boolean(),
  z
    .array(z.boolean())
    .length(1)
    .transform(([value]) => value),
]);
const number = z.number();
const whole = z.int().nonnegative();
const device = z.string().nullish();

function known<Shape extends z.ZodRawShape, Step>(
  shape: Shape,
  steps: (args: z.output<z.ZodObject<Shape & typeof common>>) => readonly Step[],
  told?: (args: z.output<z.ZodObject<Shape & typeof common>>) => Told,
): KnownTransform<Step> {
  return {
    args: z.strictObject({ ...common, ...shape }),
    steps,
    keyed: true,
    ...(told && { told }),
  } as KnownTransform<Step>;
}

/** A matter of Python's array types that has no counterpart here. */
function nothingToDo(shape: z.ZodRawShape = {}): KnownTransform<never> {
  return { args: z.strictObject({ ...common, ...shape }), steps: () => [], keyed: false };
}

const typeArgs = {
  dtype: z.unknown().optional(),
  device,
  wrap_sequence: z.boolean().optional(),
  data_type: z.string().optional(),
  track_meta: z.boolean().nullish(),
};
const channelArgs = {
  meta_keys: z.unknown().optional(),
  meta_key_postfix: z.string().optional(),
  strict_check: z.boolean().optional(),
  channel_dim: z.unknown().optional(),
};

/** Change nothing here, before the network and after it. */
const EVERYWHERE: Readonly<Record<string, KnownTransform<never>>> = {
  AddChanneld: nothingToDo(),
  AsChannelFirstd: nothingToDo({ channel_dim: z.int().optional() }),
  EnsureChannelFirstd: nothingToDo(channelArgs),
  ToTensord: nothingToDo(typeArgs),
  ToNumpyd: nothingToDo(typeArgs),
  EnsureTyped: nothingToDo(typeArgs),
  CastToTyped: nothingToDo(typeArgs),
  SqueezeDimd: nothingToDo({ dim: z.int().optional(), update_meta: z.boolean().optional() }),
};

const rangeArgs = {
  b_min: number.nullish(),
  b_max: number.nullish(),
  clip: z.boolean().default(false),
  dtype: z.unknown().optional(),
};

function targetOf({
  b_min,
  b_max,
}: {
  b_min?: number | null;
  b_max?: number | null;
}): readonly [number, number] | null {
  return typeof b_min === 'number' && typeof b_max === 'number' ? [b_min, b_max] : null;
}

const size = number.nullable();

export const PRE_TRANSFORMS: Readonly<Record<string, KnownTransform<PreStep>>> = {
  ...EVERYWHERE,
  LoadImaged: known(
    {
      reader: z.unknown().optional(),
      dtype: z.unknown().optional(),
      meta_keys: z.unknown().optional(),
      meta_key_postfix: z.string().optional(),
      overwriting: z.boolean().optional(),
      image_only: z.boolean().optional(),
      ensure_channel_first: z.boolean().optional(),
      simple_keys: z.boolean().optional(),
      as_closest_canonical: z.boolean().default(false),
    },
    ({ as_closest_canonical }): PreStep[] => (as_closest_canonical ? [{ kind: 'orient', axcodes: 'RAS' }] : []),
  ),
  Orientationd: known(
    {
      axcodes: z
        .string()
        .regex(/^(?=.*[RL])(?=.*[AP])(?=.*[SI])[RLAPSI]{3}$/, 'give three directions such as RAS or LPS')
        .optional(),
      as_closest_canonical: z.boolean().default(false),
      labels: z.null().optional(),
      meta_keys: z.unknown().optional(),
      meta_key_postfix: z.string().optional(),
    },
    ({ axcodes, as_closest_canonical }): PreStep[] => [
      { kind: 'orient', axcodes: as_closest_canonical ? 'RAS' : (axcodes ?? 'RAS') },
    ],
  ),
  Spacingd: known(
    {
      pixdim: z
        .union([number.transform((value) => [value, value, value] as const), z.tuple([size, size, size])])
        .refine(
          (sizes) => sizes.every((mm) => mm === null || mm === -1 || (mm > 0 && mm < 1e4)),
          'give positive mm, or -1 to keep a size',
        ),
      diagonal: z.literal(false, 'must be false: the directions of the volume are kept').optional(),
      mode: oneOf('bilinear').optional(),
      padding_mode: oneOf('border').optional(),
      align_corners: flag.optional(),
      dtype: z.unknown().optional(),
      scale_extent: z.literal(false, 'must be false: the first voxel stays where it is').optional(),
      recompute_affine: z.boolean().optional(),
      meta_keys: z.unknown().optional(),
      meta_key_postfix: z.string().optional(),
    },
    ({ pixdim }): PreStep[] => {
      const kept = pixdim.map((mm) => (mm === -1 ? null : mm));
      return [{ kind: 'space', pixdim: kept as unknown as readonly [number | null, number | null, number | null] }];
    },
  ),
  ScaleIntensityRanged: known({ ...rangeArgs, a_min: number, a_max: number }, (args): PreStep[] => [
    { kind: 'scale-range', aMin: args.a_min, aMax: args.a_max, target: targetOf(args), clip: args.clip },
  ]),
  ScaleIntensityRangePercentilesd: known(
    {
      ...rangeArgs,
      lower: number.min(0).max(100),
      upper: number.min(0).max(100),
      relative: z.literal(false, 'must be false').optional(),
      channel_wise: z.boolean().optional(),
    },
    (args): PreStep[] => [
      { kind: 'scale-percentiles', lower: args.lower, upper: args.upper, target: targetOf(args), clip: args.clip },
    ],
  ),
  ScaleIntensityd: known(
    {
      minv: number.nullable().default(0),
      maxv: number.nullable().default(1),
      factor: number.nullish(),
      channel_wise: z.boolean().optional(),
      dtype: z.unknown().optional(),
    },
    ({ minv, maxv, factor }): PreStep[] => {
      if (minv !== null && maxv !== null) return [{ kind: 'scale-extremes', min: minv, max: maxv }];
      return typeof factor === 'number' ? [{ kind: 'scale-factor', factor }] : [];
    },
  ),
  NormalizeIntensityd: known(
    {
      subtrahend: number.nullable().default(null),
      divisor: number
        .refine((value) => value !== 0, 'must not be 0')
        .nullable()
        .default(null),
      nonzero: z.boolean().default(false),
      channel_wise: z.boolean().optional(),
      dtype: z.unknown().optional(),
    },
    ({ subtrahend, divisor, nonzero }): PreStep[] => [{ kind: 'normalise', subtrahend, divisor, nonzero }],
  ),
  CropForegroundd: known(
    {
      source_key: z.string().optional(),
      margin: z
        .union([whole.transform((value): Triple => [value, value, value]), z.tuple([whole, whole, whole])])
        .default([0, 0, 0]),
      allow_smaller: z.literal(true, 'must be true: nothing is padded').optional(),
      k_divisible: z.union([z.literal(1), z.array(z.literal(1))]).optional(),
      channel_indices: z.null().optional(),
      start_coord_key: z.string().nullish(),
      end_coord_key: z.string().nullish(),
    },
    ({ margin }): PreStep[] => [{ kind: 'crop-foreground', margin: margin as Triple }],
  ),
};

const labelList = z.union([whole.transform((label) => [label]), z.array(whole).min(1)]);

export const POST_TRANSFORMS: Readonly<Record<string, KnownTransform<PostStep>>> = {
  ...EVERYWHERE,
  Activationsd: known(
    { sigmoid: flag.default(false), softmax: flag.default(false), other: z.null().optional() },
    ({ sigmoid, softmax }): PostStep[] => [
      ...(sigmoid ? [{ kind: 'activate', by: 'sigmoid' } as const] : []),
      ...(softmax ? [{ kind: 'activate', by: 'softmax' } as const] : []),
    ],
  ),
  AsDiscreted: known(
    {
      argmax: flag.default(false),
      threshold: z.union([number, z.boolean()]).nullish(),
      threshold_values: flag.default(false),
      logit_thresh: number.default(0.5),
      to_onehot: z.union([z.literal(false), z.null()], 'must be left out: a mask has one value a voxel').optional(),
      n_classes: z.unknown().optional(),
      num_classes: z.unknown().optional(),
      rounding: z.null().optional(),
    },
    ({ argmax, threshold, threshold_values, logit_thresh }): PostStep[] => {
      const at =
        typeof threshold === 'number' ? threshold : threshold === true || threshold_values ? logit_thresh : null;
      if (argmax) return [{ kind: 'argmax' }];
      return at === null ? [] : [{ kind: 'threshold', at }];
    },
  ),
  KeepLargestConnectedComponentd: known(
    {
      applied_labels: labelList.nullish(),
      independent: z.boolean().default(true),
      connectivity: z.union([z.literal(1), z.literal(2), z.literal(3)]).nullish(),
      num_components: z.literal(1).optional(),
      is_onehot: z.literal(false).nullish(),
    },
    ({ applied_labels, independent, connectivity }): PostStep[] => [
      { kind: 'largest-component', labels: applied_labels ?? null, independent, connectivity: connectivity ?? 3 },
    ],
  ),
  LabelFilterd: known({ applied_labels: labelList }, ({ applied_labels }): PostStep[] => [
    { kind: 'keep-labels', labels: applied_labels },
  ]),
  Restored: known(
    {
      ref_image: z.string().optional(),
      has_channel: z.boolean().optional(),
      invert_orient: z.boolean().optional(),
      mode: oneOf('nearest', 'bilinear', 'trilinear').default('nearest'),
      align_corners: z.unknown().optional(),
      meta_keys: z.unknown().optional(),
      meta_key_postfix: z.string().optional(),
      config_labels: z.null().optional(),
    },
    ({ mode }): PostStep[] => [{ kind: 'restore', method: mode === 'nearest' ? 'nearest' : 'linear' }],
  ),
  Invertd: known(
    {
      transform: z.unknown().optional(),
      orig_keys: keys.optional(),
      meta_keys: z.unknown().optional(),
      orig_meta_keys: z.unknown().optional(),
      meta_key_postfix: z.string().optional(),
      nearest_interp: flag.default(true),
      to_tensor: flag.optional(),
      device,
      post_func: z.null().optional(),
    },
    ({ nearest_interp }): PostStep[] => [{ kind: 'restore', method: nearest_interp ? 'nearest' : 'linear' }],
  ),
  ExtremePointsd: known(
    { result: z.string().optional(), points: z.string().min(1).max(64).default('points') },
    () => [],
    ({ points }) => ({ points }),
  ),
  BoundingBoxd: known(
    { result: z.string().optional(), bbox: z.string().min(1).max(64).default('bbox') },
    () => [],
    ({ bbox }) => ({ boundingBox: bbox }),
  ),
};
