import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { ClaraError } from '../../base/errors';

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

const STACK = z.object({ config: z.record(z.string(), z.unknown()) });

export type ProjectFile = z.output<typeof PROJECT>;

export function readProject(root: string): ProjectFile {
  return PROJECT.parse(parse(readFileSync(path.join(root, 'Pulumi.yaml'), 'utf8')));
}

/** The stacks that have a file beside Pulumi.yaml. */
export function stackNames(root: string): string[] {
  return readdirSync(root).flatMap((file) => /^Pulumi\.(.+)\.yaml$/.exec(file)?.[1] ?? []);
}

/** The values of a stack file as they are written there, with their namespaces. */
export function readStackFile(root: string, stack: string): Readonly<Record<string, unknown>> {
  const stacks = stackNames(root);
  if (!stacks.includes(stack)) {
    throw new ClaraError(
      'not-found',
      `stack ${stack} has no file Pulumi.${stack}.yaml; there are ${stacks.join(', ')}`,
    );
  }
  return STACK.parse(parse(readFileSync(path.join(root, `Pulumi.${stack}.yaml`), 'utf8'))).config;
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
  const project = readProject(root);
  const values: Record<string, unknown> = { ...readStackFile(root, stack) };
  for (const [key, value] of Object.entries(changes)) values[`${project.name}:${key}`] = value;
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
