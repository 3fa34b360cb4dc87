import { z } from 'zod';

/** What a path of the plan may take: any of some values, or a number of a range. */

const choicesSchema = z.strictObject({
  choices: z
    .array(z.json())
    .min(1, 'must have at least one value')
    .max(1000)
    .refine((values) => new Set(values.map(canonical)).size === values.length, 'must name each value once'),
});

const rangeSchema = z
  .strictObject({
    /** Both ends included. */
    range: z.tuple([z.number().min(-1e15).max(1e15), z.number().min(-1e15).max(1e15)], 'must be [low, high]'),
    /** `log`: each factor is as likely as the next. @default linear */
    scale: z.enum(['linear', 'log']).default('linear'),
    /** Whole numbers only. @default false */
    integer: z.boolean().default(false),
  })
  .superRefine(({ range: [low, high], scale, integer }, context) => {
    const fault = (message: string) => context.addIssue({ code: 'custom', path: ['range'], message });
    if (high <= low) fault('must end above its beginning');
    if (scale === 'log' && low <= 0) fault('must lie above 0 with scale log');
    if (integer && !(Number.isInteger(low) && Number.isInteger(high)))
      fault('must have whole numbers as its ends with integer');
  });

/** Written so that the faults of the form that the user chose are reported. */
export const parameterSchema = z.unknown().transform((value, context): Parameter => {
  const isChoices = typeof value === 'object' && value !== null && 'choices' in value;
  const result = (isChoices ? choicesSchema : rangeSchema).safeParse(value);
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    const { keys = [] } = issue as { readonly keys?: readonly string[] };
    const message = keys.length > 0 ? `has ${keys.join(', ')}, which is not known here` : issue.message;
    context.addIssue({ code: 'custom', path: [...issue.path], message });
  }
  return z.NEVER;
});

export type JsonValue = z.infer<ReturnType<typeof z.json>>;
export type Parameter = z.output<typeof choicesSchema> | z.output<typeof rangeSchema>;

/** How many values there are; infinity for numbers that need not be whole. */
export function cardinality(parameter: Parameter): number {
  if ('choices' in parameter) return parameter.choices.length;
  const [low, high] = parameter.range;
  return parameter.integer ? high - low + 1 : Number.POSITIVE_INFINITY;
}

/** Digits that are kept: people can read them, and the last bits of logarithms differ between machines. */
const SIGNIFICANT_DIGITS = 4;

/** @param uniform in [0, 1) */
export function valueAt(parameter: Parameter, uniform: number): JsonValue {
  if ('choices' in parameter) return parameter.choices[Math.floor(uniform * parameter.choices.length)]!;
  const { range, scale, integer } = parameter;
  const [low, high] = range;
  // Each whole number is drawn from the unit above it.
  const end = integer ? high + 1 : high;
  const drawn =
    scale === 'log' ? Math.exp(Math.log(low) + uniform * (Math.log(end) - Math.log(low))) : low + uniform * (end - low);
  const kept = integer ? Math.floor(drawn) : Number(drawn.toPrecision(SIGNIFICANT_DIGITS));
  return Math.min(Math.max(kept, low), high);
}

/** A value as text that is the same whatever the order of its keys. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : inner,
  );
}
