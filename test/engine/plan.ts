import { readProject, stackConfiguration } from '../../fleet/project-files';
import type { Mode } from './deployment';
import { type ProgramRun, projectFolder, runProgram } from './run-program';

export interface PlanOptions {
  /** Folder of Pulumi.yaml. */
  readonly root: string;
  readonly stack: string;
  /** Configuration values that replace those of the stack's file, by key without namespace. */
  readonly changes?: Readonly<Record<string, unknown>>;
  /** @default 'update', in which identifiers are invented, so that policies can be read */
  readonly mode?: Mode;
  /** @default 'aws' */
  readonly partition?: string;
}

/** Runs the program of a stack against the engine double: what it would make, without a cloud and without credentials. */
export function planStack({
  root,
  stack,
  changes,
  mode = 'update',
  partition = 'aws',
}: PlanOptions): Promise<ProgramRun> {
  const { name: project, main } = readProject(root);
  const configuration = stackConfiguration(root, stack, changes);
  return runProgram({ ...projectFolder(root, main), project, stack, configuration, mode, partition });
}
