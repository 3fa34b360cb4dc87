import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { ownProgram } from '../../../base/own-program';

/** An annotation server in a process of its own. */
export interface ServerProcess {
  readonly port: number;
  readonly pid: number;
  /** Of its inference processes. */
  readonly workers: readonly number[];
  /** Kills it and waits until it is gone. */
  kill(): Promise<void>;
}

export async function startServerProcess(workspace: string, trainer?: string): Promise<ServerProcess> {
  const more = trainer === undefined ? [] : [trainer];
  const { command, args } = ownProgram(path.join(__dirname, 'server-main'), workspace, ...more);
  const child: ChildProcess = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = once(child, 'exit');
  const lines = createInterface({ input: child.stdout! });
  const [line] = (await Promise.race([once(lines, 'line'), gone.then(() => [''])])) as [string];
  const { port, workers } = JSON.parse(line) as { port: number; workers: number[] };
  return {
    port,
    pid: child.pid!,
    workers,
    async kill() {
      child.kill('SIGKILL');
      await gone;
    },
  };
}
