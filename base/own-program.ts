import path from 'node:path';

/** The root of the package: where package.json lies, above the sources and above their compiled form in `dist/`. */
export const PACKAGE_ROOT = path.resolve(__dirname, path.basename(path.dirname(__dirname)) === 'dist' ? '../..' : '..');

const RUNS_FROM_SOURCE = __filename.endsWith('.ts');

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
