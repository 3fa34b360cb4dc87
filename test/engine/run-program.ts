import { spawn } from 'node:child_process';
import path from 'node:path';
import { DIST, isCurrent, ROOT } from '../../scripts/compiled.cjs';
import { Deployment, type DeploymentOptions, type Registration } from './deployment';
import { type EngineLog, serveEngine } from './engine-server';

export interface ProgramToRun extends Omit<DeploymentOptions, 'withoutDefaultProvider'> {
  /** Folder of Pulumi.yaml. */
  readonly root: string;
  /** Folder in which the program runs. */
  readonly folder: string;
  /** File in `folder`, or `.` for the entry point of the package. */
  readonly program: string;
  /** As the engine hands it over: `namespace:key` to text; anything that is not text as JSON. */
  readonly configuration: Readonly<Record<string, string>>;
  readonly secretKeys?: readonly string[];
  /** Whether the program is JavaScript already. @default false */
  readonly compiled?: boolean;
}

export interface ProgramRun {
  readonly exitCode: number | null;
  /** In the order of registration. */
  readonly resources: readonly Registration[];
  /** Outputs of the stack, in plain form; undefined when the program failed before it gave any. */
  readonly outputs: Readonly<Record<string, unknown>> | undefined;
  readonly logs: readonly EngineLog[];
  /** Standard output and standard error of the program. */
  readonly printed: string;
}

/** To be loaded before a Pulumi program, which then starts sooner. */
export const DEFERRED_PACKAGES = path.join(__dirname, 'deferred-packages.cjs');

/** No program of ours needs more than a few seconds; one that hangs must not hang the test run. */
const LONGEST_RUN_MS = 110_000;

/** Runs a Pulumi program, unmodified and in a process of its own, the way the Node.js language host does. */
export async function runProgram(run: ProgramToRun): Promise<ProgramRun> {
  const {
    root,
    folder,
    program,
    configuration,
    secretKeys = [],
    project,
    stack,
    mode,
    partition,
    compiled = false,
  } = run;
  const withoutDefaultProvider = JSON.parse(configuration['pulumi:disable-default-providers'] ?? '[]') as string[];
  const deployment = new Deployment({ project, stack, mode, partition, withoutDefaultProvider });
  const server = await serveEngine(deployment);
  try {
    const args = [
      // Only here: a program that ts-node compiles has been seen to hang with it when the engine refuses a resource.
      ...(compiled ? ['--require', DEFERRED_PACKAGES] : []),
      require.resolve('@pulumi/pulumi/cmd/run'),
      `--project=${project}`,
      `--stack=${stack}`,
      '--organization=organization',
      '--parallel=16',
      `--monitor=${server.address}`,
      `--engine=${server.address}`,
      `--root-directory=${root}`,
      `--pwd=${folder}`,
      ...(mode === 'preview' ? ['--dry-run'] : []),
      program,
    ];
    const { exitCode, printed } = await runNode(args, folder, {
      PULUMI_CONFIG: JSON.stringify(configuration),
      PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(secretKeys),
      PULUMI_NODEJS_TYPESCRIPT: String(!compiled),
    });
    const { resources } = deployment;
    const outputs = resources.find((resource) => resource.parent === '')?.outputs;
    return { exitCode, printed, logs: server.logs, resources, outputs };
  } finally {
    server.close();
  }
}

/**
 * Where the program of a project is that has `main: <folder>/`: the entry point of its package, or what was compiled from it when
 * that is current, which starts several seconds sooner.
 */
export function projectFolder(
  root: string,
  main: string,
): Pick<ProgramToRun, 'root' | 'folder' | 'program' | 'compiled'> {
  if (path.resolve(root) === ROOT && isCurrent()) {
    return { root, folder: path.join(DIST, main), program: 'index.js', compiled: true };
  }
  return { root, folder: path.join(root, main), program: '.' };
}

function runNode(
  args: readonly string[],
  cwd: string,
  environment: Readonly<Record<string, string>>,
): Promise<{ exitCode: number | null; printed: string }> {
  const child = spawn(process.execPath, args, {
    cwd,
    env: { ...neutralEnvironment(), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LONGEST_RUN_MS,
    killSignal: 'SIGKILL',
  });
  const chunks: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk));
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode) => resolve({ exitCode, printed: chunks.join('') }));
  });
}

/** The caller's environment without what would change a plan: AWS settings become provider inputs. */
export function neutralEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(AWS|PULUMI)_/.test(name)));
}
