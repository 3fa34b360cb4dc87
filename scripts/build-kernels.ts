import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { PACKAGE_ROOT } from '../base/own-program';

/** WebAssembly modules that are kept in the tree, each beside the AssemblyScript source that it is built from. */
export const KERNELS = [
  'federation/tensors/finite-scan',
  'fl-coordinator/aggregation/kernels',
  'simulation/softmax/kernels',
  'training/engine/kernels',
] as const;

/**
 * Builds one module. Equal sources give equal bytes.
 * @param target where the module goes @throws Error with the compiler's output
 */
export function buildKernel(kernel: string, target: string): void {
  const compiler = path.join(path.dirname(require.resolve('assemblyscript/package.json')), 'bin', 'asc.js');
  const args = [
    `${kernel}.as.ts`,
    '-O3',
    '--runtime',
    'stub',
    '--enable',
    'simd',
    '--importMemory',
    '--noAssert',
    '-o',
    target,
  ];
  const run = spawnSync(process.execPath, [compiler, ...args], { cwd: PACKAGE_ROOT, encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`${kernel}.as.ts does not compile:\n${run.stderr}`);
}

if (require.main === module) {
  for (const kernel of KERNELS) buildKernel(kernel, path.join(PACKAGE_ROOT, `${kernel}.wasm`));
}
