import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ClaraError } from '../../base/errors';
import { ProjectFolder } from '../../fleet/project';
import type { FleetVerb, StackChanges, StacksPort } from '../../fleet/stacks-port';

/** An engine that does what a test says, and tells what was asked of it. */
export class FakeStacks implements StacksPort {
  /** Verb and stack of each call, as they began. */
  readonly began: string[] = [];
  /** Stacks that fail, with the engine's words. */
  readonly failing = new Map<string, string>();
  readonly absent = new Set<string>();
  /** The most that were under way at the same time. */
  most = 0;
  /** Waited for before a call ends. */
  hold: (stack: string, signal: AbortSignal) => Promise<void> = async () => {};
  #underWay = 0;

  async run(verb: FleetVerb, stack: string, signal: AbortSignal): Promise<StackChanges | undefined> {
    this.began.push(`${verb} ${stack}`);
    this.most = Math.max(this.most, ++this.#underWay);
    try {
      await this.hold(stack, signal);
      if (signal.aborted) throw new ClaraError('cancelled', 'interrupted');
      const words = this.failing.get(stack);
      if (words !== undefined) throw new ClaraError('unavailable', words);
      return this.absent.has(stack) ? undefined : { create: 1 };
    } finally {
      this.#underWay--;
    }
  }
}

export interface TemporaryProject {
  readonly folder: string;
  readonly project: ProjectFolder;
  write(file: string, text: string): void;
  /** Reads the programs anew. */
  reopen(): ProjectFolder;
  remove(): void;
}

/** A Pulumi project with the environment `dev` and a stack file for each of the sites. */
export function temporaryProject(sites: readonly string[]): TemporaryProject {
  const folder = mkdtempSync(path.join(tmpdir(), 'clara-fleet-'));
  const write = (file: string, text: string): void => writeFileSync(path.join(folder, file), text);
  write('Pulumi.yaml', 'name: p\nmain: stacks/\nconfig: {}\n');
  write('Pulumi.dev.yaml', `config:\n  p:sites:\n${sites.map((id) => `    - id: ${id}\n`).join('')}`);
  for (const id of sites) write(`Pulumi.dev-${id}.yaml`, `config:\n  p:siteId: ${id}\n`);
  const reopen = () => ProjectFolder.open(folder);
  return {
    folder,
    project: reopen(),
    write,
    reopen,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
