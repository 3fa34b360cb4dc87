import path from 'node:path';
import { type Transferable, Worker } from 'node:worker_threads';

/** The root of the package: where package.json lies, above the sources and above their compiled form in `dist/`. */
export const PACKAGE_ROOT = path.resolve(__dirname, path.basename(path.dirname(__dirname)) === 'dist' ? '../..' : '..');

const RUNS_FROM_SOURCE = __filename.endsWith('.ts');

/**
 * V8 options of long-running services. A transfer makes several short-lived buffers a megabyte, and V8 counts their memory as
 * if they were old objects: by default it marks the whole heap every 30 ms, which is a third of the processor time of a round.
 * With a first full collection at 80 MiB it does so every few minutes. At 64 MiB a GiB costs half as much again; later than at
 * 80 MiB saves nothing more and lets the memory of a service grow for hundreds of rounds. A young generation of 16 MiB is as fast
 * as one of 64.
 */
export const SERVICE_FLAGS = [
  '--min-semi-space-size=16',
  '--max-semi-space-size=16',
  '--initial-old-space-size=80',
] as const;

export interface ProgramStart {
  readonly command: string;
  readonly args: readonly string[];
}

/**
 * How to start one of our own modules as a process of its own, from source (through ts-node) or compiled, whichever this
 * process itself runs from.
 *
 * @param module path of the module without extension, for example `path.join(__dirname, 'worker')`
 */
export function ownProgram(module: string, ...args: readonly string[]): ProgramStart {
  if (!RUNS_FROM_SOURCE) return { command: process.execPath, args: [`${module}.js`, ...args] };
  const loader = path.join(PACKAGE_ROOT, 'scripts', 'run-sources.cjs');
  return { command: process.execPath, args: ['-r', loader, `${module}.ts`, ...args] };
}

/**
 * Starts one of our own modules as a thread of this process, from source or compiled as {@link ownProgram}.
 * @param data `workerData` of the thread
 * @param handedOver what of it changes hands instead of being copied
 */
export function ownThread(module: string, data: unknown, handedOver: readonly Transferable[] = []): Worker {
  const common = { workerData: data, transferList: [...handedOver] };
  if (!RUNS_FROM_SOURCE) return new Worker(`${module}.js`, common);
  const loader = path.join(PACKAGE_ROOT, 'scripts', 'run-sources.cjs');
  return new Worker(`require(${JSON.stringify(loader)}); require(${JSON.stringify(`${module}.ts`)});`, {
    ...common,
    eval: true,
  });
}
