import { stringify } from 'yaml';
import type { Registration } from './deployment';
import type { ProgramRun } from './run-program';

/**
 * A plan as text that reads well in a review: the tree of resources in a fixed order, each with its options and inputs,
 * policies unfolded from their JSON, and the outputs of the stack at the end.
 */
export function planText({ resources, outputs }: ProgramRun): string {
  const children = grouped(resources, (resource) => resource.parent);
  const lines: string[] = [];
  const show = (resource: Registration, indent: string): void => {
    lines.push(`${indent}${resource.name}  (${resource.type})${optionsText(resource)}`);
    if (resource.parent !== '') lines.push(...yamlLines(resource.inputs, `${indent}    `));
    for (const child of [...(children.get(resource.urn) ?? [])].sort(byTypeAndName)) show(child, `${indent}  `);
  };
  for (const root of children.get('') ?? []) show(root, '');
  lines.push('', 'outputs', ...yamlLines(outputs ?? {}, '  '));
  return `${lines.join('\n')}\n`;
}

/** The same content for machines. */
export function planJson({ resources, outputs }: ProgramRun): string {
  return JSON.stringify({ resources: [...resources].sort((a, b) => compare(a.urn, b.urn)), outputs }, undefined, 2);
}

function optionsText({ provider, protect, retainOnDelete, dependencies, custom, ignoreChanges }: Registration): string {
  const options = [
    ...(provider === undefined ? [] : [`provider ${shortName(provider)}`]),
    ...(protect ? ['protected'] : []),
    ...(retainOnDelete ? ['retained on delete'] : []),
    ...(ignoreChanges.length > 0 ? [`ignores ${ignoreChanges.join(', ')}`] : []),
    ...(custom && dependencies.length > 0 ? [`after ${dependencies.map(shortName).sort().join(', ')}`] : []),
  ];
  return options.length === 0 ? '' : `  [${options.join('; ')}]`;
}

function yamlLines(values: Readonly<Record<string, unknown>>, indent: string): string[] {
  if (Object.keys(values).length === 0) return [];
  const readable = JSON.parse(JSON.stringify(values), (_key, value: unknown) => unfolded(value)) as unknown;
  return stringify(readable, { sortMapEntries: true, lineWidth: 0 })
    .trimEnd()
    .split('\n')
    .map((line) => indent + line);
}

/** Policies travel as JSON text; a reviewer wants to see statements. */
function unfolded(value: unknown): unknown {
  if (typeof value !== 'string' || !/^[{[]/.test(value)) return value;
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value;
  }
}

function grouped<Value>(values: readonly Value[], keyOf: (value: Value) => string): Map<string, Value[]> {
  const groups = new Map<string, Value[]>();
  for (const value of values) groups.set(keyOf(value), [...(groups.get(keyOf(value)) ?? []), value]);
  return groups;
}

function shortName(urn: string): string {
  return urn.slice(urn.lastIndexOf(':') + 1);
}

function byTypeAndName(a: Registration, b: Registration): number {
  return compare(a.type, b.type) || compare(a.name, b.name);
}

/** By code unit: the order must not depend on the reader's language settings. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
