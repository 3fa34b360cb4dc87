import { z } from 'zod';

/** `90s`, `10m`, `2h`, `1d`; kept as milliseconds. */
export const durationSchema = z
  .union([z.number().int().positive(), z.string()])
  .transform((value, context) => {
    if (typeof value === 'number') return value;
    const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(value.trim());
    if (match)
      return (
        Number(match[1]) * { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86400e3 }[match[2] as 'ms' | 's' | 'm' | 'h' | 'd']
      );
    context.addIssue({ code: 'custom', message: 'must be a duration such as 90s, 10m or 2h' });
    return z.NEVER;
  })
  .refine((millis) => millis >= 1000 && millis <= 30 * 86400e3, 'must be between 1s and 30d');
