import { z } from 'zod';
import { ClaraError, showValue } from '../../base/errors';
import { faultsOf } from '../../base/faults';
import type { Interaction } from '../inference/interaction';
import type { BuiltInEntry } from '../registry/built-in-models';
import type { RequestParams } from './result-format';

/** What models ask a person for, read from the field `params` as the clients write it. */

const MAX_POINTS = 10_000;
const indexRule = 'use a whole number of 0 or more';
const pointRule = 'use image indices [i, j, k]';

const pointSchema = z.tuple(
  [
    z.int(indexRule).nonnegative(indexRule),
    z.int(indexRule).nonnegative(indexRule),
    z.int(indexRule).nonnegative(indexRule),
  ],
  pointRule,
);

/** The python client sends lists of points as a text of JSON. */
function alsoAsText<T extends z.ZodType>(schema: T) {
  return z.preprocess((value) => {
    if (typeof value !== 'string') return value;
    try {
      return JSON.parse(value) as unknown;
    } catch {
      return value;
    }
  }, schema);
}

const listSchema = alsoAsText(z.array(pointSchema, 'use a list of points').max(MAX_POINTS));

const extremePointsSchema = z.object({ points: listSchema });

/** `spatial_size` is how much a network sees at one time; these models have none, so nothing depends on it. */
const clicksSchema = z.object({
  foreground: listSchema.default([]),
  background: listSchema.default([]),
  /** `[x, y, z]`, or as 3D Slicer has it `[[x, y, z]]`. */
  current_point: alsoAsText(z.union([pointSchema, z.tuple([pointSchema]), z.tuple([])], pointRule)).optional(),
});

/**
 * @throws ClaraError `invalid-input` for points that are none, fewer than six extreme points, or no foreground click
 */
export function interactionOf(params: RequestParams, { name, interactive }: BuiltInEntry): Interaction {
  if (interactive.asks === 'extreme-points') {
    const { points } = parse(extremePointsSchema, { points: [], ...params });
    if (points.length < 6) {
      throw new ClaraError(
        'invalid-input',
        `Model ${name} was given ${showValue(points.length)} extreme points; send six or more in "points", at least the first and the last along each axis.`,
      );
    }
    return { kind: 'extreme-points', points };
  }
  const { foreground, background, current_point: last } = parse(clicksSchema, params);
  if (foreground.length === 0) {
    throw new ClaraError(
      'invalid-input',
      `Model ${name} was given no foreground click; click at least once on the structure.`,
    );
  }
  const current = last?.flat();
  return {
    kind: 'clicks',
    foreground,
    background,
    ...(current?.length === 3 && { current: [current[0], current[1], current[2]] }),
  };
}

function parse<T extends z.ZodType>(schema: T, value: unknown): z.infer<T> {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw ClaraError.ofFaults('The field "params"', faultsOf(parsed.error, value));
  return parsed.data;
}
