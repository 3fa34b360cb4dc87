import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { asOperator } from '../../../cli/operator';
import type { RunView } from '../../../federation/gen/federation/v1/federation_pb';
import { received } from '../../../federation/stream-flow';
import { Program, type ProgramEnd } from '../../support/program';

/** The last record of `clara-fed demo --json`, as the command line documents it. */
export const doneSchema = z.object({
  event: z.literal('done'),
  dice: z.object({ mean: z.number().min(0).max(1), sites: z.record(z.string(), z.number().min(0).max(1)) }),
  seconds: z.number().positive(),
  modelDigest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  report: z.string(),
  mask: z.string(),
  aiaaWorkspace: z.string(),
  synthetic: z.boolean(),
  slicerUrl: z.url().optional(),
});

export type Done = z.infer<typeof doneSchema>;

/** The last line that a demonstration printed with `--json`; fails with its own words when it did not end well. */
export function doneOf({ code, stdout, stderr }: ProgramEnd): Done {
  if (code !== 0) throw new Error(`the demonstration ended with ${code}: ${stderr}\n${stdout}`);
  return doneSchema.parse(JSON.parse(stdout.trim().split('\n').at(-1)!));
}

/** What programs in a {@link DemoFolder} take for the home folder and the folder of temporary files. */
export const PLACES_TO_LEAVE_ALONE = ['home', 'tmp'] as const;

/** A folder for the whole of the surrounding `describe`, and the programs started in it; both are gone after it. */
export class DemoFolder {
  readonly #programs: Program[] = [];

  private constructor(readonly path: string) {}

  static async make(): Promise<DemoFolder> {
    const folder = new DemoFolder(await mkdtemp(path.join(os.tmpdir(), 'clara-demo-')));
    for (const place of PLACES_TO_LEAVE_ALONE) await mkdir(folder.at(place));
    return folder;
  }

  at(...names: readonly string[]): string {
    return path.join(this.path, ...names);
  }

  start(...args: readonly string[]): Program {
    const program = new Program(args, { environment: { HOME: this.at('home'), TMPDIR: this.at('tmp') } });
    this.#programs.push(program);
    return program;
  }

  run(...args: readonly string[]): Promise<ProgramEnd> {
    return this.start(...args).ended;
  }

  async remove(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.stop()));
    await rm(this.path, { recursive: true, force: true });
  }
}

/** Follows the run of a demonstration in another process until `is` is true of it. */
export async function seenInDemo(workspace: string, run: string, is: (view: RunView) => boolean): Promise<RunView> {
  return asOperator({ operator: path.join(workspace, 'coordinator', 'operator') }, async (client) => {
    for await (const view of received(client.watchRun({ run }))) if (is(view)) return view;
    throw new Error(`run ${run} ended and never was what the test waits for`);
  });
}

/** Command lines of all processes of this machine that name the folder. */
export async function processesNaming(folder: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-ww', '-o', 'pid=,args='], { maxBuffer: 2 ** 24 });
  return stdout.split('\n').filter((line) => line.includes(folder));
}

/** Resolves when no process names the folder any more. @throws Error that lists those that stayed */
export async function nobodyNames(folder: string, withinMillis: number): Promise<void> {
  const end = performance.now() + withinMillis;
  for (;;) {
    const running = await processesNaming(folder);
    if (running.length === 0) return;
    if (performance.now() > end) throw new Error(`still running after ${withinMillis} ms:\n${running.join('\n')}`);
  }
}
