import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { ClaraError, showValue } from '../base/errors';
import { faultsOf } from '../base/faults';
import { readYaml } from '../base/yaml';

/**
 * Pulumi.yaml and Pulumi.<stack>.yaml read as the CLI reads them (pulumi/pulumi, sdk/go/common/workspace/config.go):
 * defaults of declared keys are filled in, a declared key without one is demanded, and types are checked.
 */

const DECLARATION = z.strictObject({
  type: z.enum(['string', 'integer', 'boolean', 'array', 'object']),
  items: z.unknown().optional(),
  description: z.string().min(1),
  secret: z.boolean().optional(),
  default: z.unknown().optional(),
});

const PROJECT = z.object({
  name: z.string(),
  main: z.string(),
  config: z.record(z.string(), DECLARATION),
});

const STACK = z.object({ config: z.record(z.string(), z.unknown()).default({}) });

const MAX_CHARACTERS = 1 << 20;

export type ProjectFile = z.output<typeof PROJECT>;

/** @throws ClaraError when there is no Pulumi project in `root` */
export function readProject(root: string): ProjectFile {
  return readDocument(path.join(root, 'Pulumi.yaml'), PROJECT);
}

/** The stacks that have a file beside Pulumi.yaml. */
export function stackNames(root: string): string[] {
  return readdirSync(root).flatMap((file) => /^Pulumi\.(.+)\.yaml$/.exec(file)?.[1] ?? []);
}

/** @throws ClaraError `invalid-input` for what cannot be the name of a stack, such as a path */
export function stackFile(root: string, stack: string): string {
  if (!/^[a-z][a-z0-9-]{0,99}$/.test(stack)) {
    throw new ClaraError(
      'invalid-input',
      `${showValue(stack)} cannot be a stack: lower-case letters, digits and hyphens`,
    );
  }
  return path.join(root, `Pulumi.${stack}.yaml`);
}

/**
 * The values of a stack file as they are written there, with their namespaces.
 * @throws ClaraError `not-found` when the stack has no file, `invalid-input` when it is none that the CLI would read
 */
export function readStackFile(root: string, stack: string): Readonly<Record<string, unknown>> {
  const file = stackFile(root, stack);
  const stacks = stackNames(root);
  if (!stacks.includes(stack)) {
    throw new ClaraError(
      'not-found',
      `stack ${stack} has no file Pulumi.${stack}.yaml; there are ${stacks.join(', ')}`,
    );
  }
  return readDocument(file, STACK).config;
}

function readDocument<Schema extends z.ZodType>(file: string, schema: Schema): z.output<Schema> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw ClaraError.from(error, `${file} cannot be read`);
  }
  const document = readYaml(text, { what: file, maxCharacters: MAX_CHARACTERS });
  const parsed = schema.safeParse(document);
  if (parsed.success) return parsed.data;
  throw ClaraError.ofFaults(file, faultsOf(parsed.error, document));
}

/**
 * The configuration that a program of `stack` receives.
 *
 * @param changes values that replace those of the file, by key without namespace
 * @throws ClaraError where the CLI stops too: when a declared key is missing or a value is not of its type
 */
export function stackConfiguration(
  root: string,
  stack: string,
  changes: Readonly<Record<string, unknown>> = {},
): Record<string, string> {
  const values: Record<string, unknown> = { ...readStackFile(root, stack) };
  const { name } = readProject(root);
  for (const [key, value] of Object.entries(changes)) values[`${name}:${key}`] = value;
  return configurationOf(root, stack, values);
}

/**
 * What becomes of the values of a stack's file, wherever they come from.
 * @throws ClaraError as {@link stackConfiguration}
 */
export function configurationOf(
  root: string,
  stack: string,
  given: Readonly<Record<string, unknown>>,
): Record<string, string> {
  const project = readProject(root);
  const values: Record<string, unknown> = { ...given };
  for (const [key, declared] of Object.entries(project.config)) {
    const value = values[`${project.name}:${key}`] ?? declared.default;
    if (value === undefined || value === null)
      throw new ClaraError('invalid-input', `Stack '${stack}' is missing configuration '${key}'`);
    if (!isOfType(value, declared.type)) {
      throw new ClaraError(
        'invalid-input',
        `Stack '${stack}' with configuration key '${key}' must be of type '${declared.type}'`,
      );
    }
    values[`${project.name}:${key}`] = value;
  }
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, asText(value)]));
}

function isOfType(value: unknown, type: ProjectFile['config'][string]['type']): boolean {
  switch (type) {
    case 'string':
      return typeof value === 'string';
    case 'integer':
      return Number.isInteger(value) || (typeof value === 'string' && /^[+-]?\d+$/.test(value));
    case 'boolean':
      return typeof value === 'boolean' || value === 'true' || value === 'false';
    case 'array':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
  }
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
