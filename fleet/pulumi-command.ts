import { type ChildProcess, spawn } from 'node:child_process';
import type { PulumiCommand } from '@pulumi/pulumi/automation';
import { ClaraError } from '../base/errors';

/** What the Automation API runs the CLI through; not in its published types, so its form is checked in {@link pulumiCommand}. */
interface Runner {
  run: (
    args: readonly string[],
    cwd: string,
    environment: Readonly<Record<string, string>>,
    onOutput?: (text: string) => void,
    onError?: (text: string) => void,
    signal?: AbortSignal,
  ) => Promise<Finished>;
}

class Finished {
  constructor(
    readonly stdout: string,
    readonly stderr: string,
    readonly code: number,
  ) {}

  /** Becomes the message of the API's errors. Standard output stays out of it: outputs of a stack may be there. */
  toString(): string {
    return this.stderr;
  }
}

/**
 * The user's Pulumi CLI, run in process groups of its own. Ctrl-C in a terminal reaches every process of the foreground
 * group, and the API sends its own SIGINT as well; the engine takes a second one as the wish to die without writing its
 * state. So it gets exactly one, from here.
 * @throws ClaraError `not-found` when there is no CLI, `unsupported` when it is too old
 */
export async function pulumiCommand(): Promise<PulumiCommand> {
  const { PulumiCommand: Command } = await import('@pulumi/pulumi/automation');
  const { createCommandError } = (await import('@pulumi/pulumi/automation/errors')) as unknown as {
    createCommandError: (finished: Finished) => Error;
  };
  const command = await Command.get().catch((error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    if (/version requirement|Major version/.test(message)) throw new ClaraError('unsupported', firstLine(message));
    throw new ClaraError(
      'not-found',
      'there is no Pulumi CLI: install it (https://www.pulumi.com/docs/install/) so that `pulumi` is on the PATH',
      { cause: error },
    );
  });
  const runner = command as unknown as Runner;
  if (typeof runner.run !== 'function') {
    throw new ClaraError('internal', 'this version of @pulumi/pulumi runs its CLI in another way than fleet/ expects');
  }
  runner.run = async (args, cwd, environment, onOutput, onError, signal) => {
    const finished = await runInOwnGroup(command.command, args, { cwd, environment, onOutput, onError, signal });
    if (finished.code !== 0) throw createCommandError(finished);
    return finished;
  };
  return command;
}

interface RunOptions {
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly onOutput?: (text: string) => void;
  readonly onError?: (text: string) => void;
  readonly signal?: AbortSignal;
}

function runInOwnGroup(command: string, args: readonly string[], options: RunOptions): Promise<Finished> {
  const { cwd, environment, onOutput, onError, signal } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment, PULUMI_AUTOMATION_API: 'true' },
    });
    const interrupt = (): void => {
      child.kill('SIGINT');
    };
    signal?.addEventListener('abort', interrupt, { once: true });
    if (signal?.aborted) interrupt();
    const [stdout, stderr] = [textOf(child.stdout, onOutput), textOf(child.stderr, onError)];
    child.once('error', reject);
    child.once('close', (code) => {
      signal?.removeEventListener('abort', interrupt);
      resolve(new Finished(stdout(), stderr(), code ?? -1));
    });
  });
}

/** Collects a stream; the function that is answered gives what has come. */
function textOf(stream: ChildProcess['stdout'], onText: ((text: string) => void) | undefined): () => string {
  const texts: string[] = [];
  stream?.setEncoding('utf8').on('data', (text: string) => {
    texts.push(text);
    onText?.(text);
  });
  return () => texts.join('');
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]!;
}
