import type { z } from 'zod';

/**
 * Keys of an object schema, nested objects and the alternatives of unions included, as dotted paths: `limits`,
 * `limits.maxRounds`. Schemas that are no object end a path.
 */
export function keysOfSchema(schema: z.ZodType): string[] {
  const { def } = schema._zod as unknown as { def: SchemaDefinition };
  const inner = def.innerType ?? def.in;
  if (inner) return keysOfSchema(inner);
  if (def.options) return [...new Set(def.options.flatMap(keysOfSchema))];
  return Object.entries(def.shape ?? {}).flatMap(([key, value]) => [
    key,
    ...keysOfSchema(value).map((below) => `${key}.${below}`),
  ]);
}

/** What is read of a schema's definition: wrappers (default, optional), pipes (transform), unions, objects. */
interface SchemaDefinition {
  readonly innerType?: z.ZodType;
  readonly in?: z.ZodType;
  readonly options?: readonly z.ZodType[];
  readonly shape?: Readonly<Record<string, z.ZodType>>;
}

/** Keys in the first column of a page's tables (several in one cell count each), with the text of the third column. */
export function documentedKeys(markdown: string): Map<string, string> {
  const keys = new Map<string, string>();
  for (const line of markdown.split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim());
    if (cells.length < 5 || cells[0] !== '') continue;
    for (const [, key] of cells[1].matchAll(/`([A-Za-z0-9.]+)`/g)) keys.set(key, cells[3]);
  }
  return keys;
}

export function yamlBlocks(markdown: string): string[] {
  return [...markdown.matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1]);
}
