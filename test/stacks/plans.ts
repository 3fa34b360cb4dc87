import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Registration } from '../engine/deployment';
import { type PlanOptions, planStack } from '../engine/plan';
import { planText } from '../engine/plan-text';
import type { ProgramRun } from '../engine/run-program';

/** Plans of the stacks, each made once for all specs of a test run, and what specs ask of them. */

export const ROOT = path.resolve(__dirname, '../..');
const PLANS = path.join(ROOT, 'test/fixtures/plans');

export interface Statement {
  readonly Sid: string;
  readonly Effect: string;
  readonly Principal?: unknown;
  readonly Action?: string | string[];
  readonly Resource?: string | string[];
  readonly Condition?: Record<string, Record<string, unknown>>;
}

const runs = new Map<string, Promise<ProgramRun>>();

/** The plan of a stack as its file says, with `changes` of its configuration. A program that fails fails the test. */
export async function planOf(stack: string, options: Omit<PlanOptions, 'root' | 'stack'> = {}): Promise<ProgramRun> {
  const key = JSON.stringify([stack, options]);
  if (!runs.has(key)) runs.set(key, planStack({ root: ROOT, stack, ...options }));
  const run = await runs.get(key)!;
  assert.equal(run.exitCode, 0, `${run.logs.map(({ message }) => message).join('\n')}\n${run.printed}`);
  return run;
}

export const ofType = ({ resources }: ProgramRun, type: string) =>
  resources.filter((resource) => resource.type === type);

/** What is made in AWS, without components and providers. */
export const made = ({ resources }: ProgramRun) =>
  resources.filter(({ custom, type }) => custom && !type.startsWith('pulumi:'));

export function one(run: ProgramRun, type: string, name?: string): Registration {
  const found = ofType(run, type).filter((resource) => name === undefined || resource.name === name);
  assert.equal(found.length, 1, `${found.length} resources ${type} ${name ?? ''}`);
  return found[0];
}

const POLICY_PROPERTIES = ['policy', 'assumeRolePolicy', 'content'] as const;

/** Every IAM document of a plan, with its statements. */
export function policies(run: ProgramRun) {
  return run.resources.flatMap(({ type, name, inputs }) =>
    POLICY_PROPERTIES.flatMap((property) => {
      const text = inputs[property];
      if (typeof text !== 'string' || !text.includes('"Statement"')) return [];
      const { Statement } = JSON.parse(text) as { Statement: Statement[] };
      return [{ on: type, name, text, statements: Statement }];
    }),
  );
}

/** Statements of the inline policy of a role. */
export function rights(run: ProgramRun, role: string): Statement[] {
  return policies(run).find(({ on, name }) => on === 'aws:iam/rolePolicy:RolePolicy' && name === role)!.statements;
}

/** The containers of a task definition. */
export function containers(run: ProgramRun, definition: string): Record<string, unknown>[] {
  const { inputs } = one(run, 'aws:ecs/taskDefinition:TaskDefinition', definition);
  return JSON.parse(inputs.containerDefinitions as string) as Record<string, unknown>[];
}

/** URNs that must be there before `urn`, in any number of steps: the engine destroys in the opposite order. */
export function needs({ resources }: ProgramRun, urn: string): Set<string> {
  const byUrn = new Map(resources.map((resource) => [resource.urn, resource]));
  const found = new Set<string>();
  const visit = (at: string) => {
    for (const next of byUrn.get(at)?.dependencies ?? []) {
      if (found.has(next)) continue;
      found.add(next);
      visit(next);
    }
  };
  visit(urn);
  return found;
}

/** Compares with the reviewed plan; `UPDATE_PLANS=1` writes it anew, and the change is then reviewed as a diff. */
export function assertReviewedPlan(run: ProgramRun, stack: string): void {
  const file = path.join(PLANS, `${stack}.txt`);
  const actual = planText(run);
  if (process.env.UPDATE_PLANS === '1') writeFileSync(file, actual);
  assert.equal(actual, readFileSync(file, 'utf8'), `${file} differs; UPDATE_PLANS=1 writes it anew`);
}
