import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { IMAGE_NAMES, IMAGES, type ImageName } from './contents';
import { programFiles } from './program-files';

const ROOT = path.resolve(__dirname, '..');
const COMPILED = path.join(ROOT, 'dist');
/** What an image has beside code and packages. */
const FILES = ['bin/clara-fed', 'scripts/compiled.cjs', 'dist/.complete', 'package-lock.json', 'LICENSE'] as const;
/** Packages that bring their binaries for every system, in folders `<system>/<processor>`. */
const BINARIES = ['onnxruntime-node/bin/napi-v6'] as const;

interface PackageFile {
  readonly name: string;
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

/**
 * Makes the tree that an image runs: the program `bin/clara-fed` in compiled form with the commands of that image, and the
 * packages that these load, and no others.
 *
 * @param folder new, or empty
 */
function installTree(image: ImageName, folder: string): void {
  const { files, packages } = programFiles(COMPILED, IMAGES[image]);
  for (const file of [...FILES, ...[...files].map((name) => path.join('dist', name))]) {
    const target = path.join(folder, file);
    mkdirSync(path.dirname(target), { recursive: true });
    copyFileSync(path.join(ROOT, file), target);
  }
  chmodSync(path.join(folder, 'bin/clara-fed'), 0o755);
  const own = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as PackageFile &
    Record<string, unknown>;
  const declared = { ...own.dependencies, ...own.optionalDependencies };
  const unknown = [...packages].filter((name) => declared[name] === undefined);
  if (unknown.length > 0) throw new Error(`package.json has no dependencies on ${unknown.join(', ')}`);
  const { name, version, license, engines, bin } = own;
  const kept = {
    dependencies: only(own.dependencies, packages),
    optionalDependencies: only(own.optionalDependencies, packages),
  };
  const about = { name, version, private: true, license, engines, bin, ...kept };
  writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(about, null, 2)}\n`);
  installPackages(folder);
}

/** The packages of the checkout, without what the tree's own package.json does not ask for. */
function installPackages(folder: string): void {
  const from = path.join(ROOT, 'node_modules');
  // Links instead of copies where the file system has them: nearly everything is removed again.
  if (spawnSync('cp', ['-al', from, folder]).status !== 0) {
    rmSync(path.join(folder, 'node_modules'), { recursive: true, force: true });
    run('cp', ['-a', from, folder], folder);
  }
  // npm writes into this file instead of replacing it, and it may be the checkout's own.
  rmSync(path.join(folder, 'node_modules/.package-lock.json'), { force: true });
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  run('npm', ['prune', '--omit=dev', '--offline', '--omit-lockfile-registry-resolved', ...quiet], folder);
  for (const binaries of BINARIES) removeForeignBinaries(path.join(folder, 'node_modules', binaries));
}

function removeForeignBinaries(folder: string): void {
  if (!existsSync(folder)) return;
  for (const system of readdirSync(folder)) {
    for (const processor of readdirSync(path.join(folder, system))) {
      if (system === process.platform && processor === process.arch) continue;
      rmSync(path.join(folder, system, processor), { recursive: true });
    }
  }
}

function only(dependencies: Readonly<Record<string, string>>, names: ReadonlySet<string>): Record<string, string> {
  return Object.fromEntries(Object.entries(dependencies).filter(([name]) => names.has(name)));
}

function run(command: string, args: readonly string[], cwd: string): void {
  const { status, error } = spawnSync(command, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`);
}

const [image, folder] = process.argv.slice(2);
if (!(IMAGE_NAMES as readonly string[]).includes(image) || folder === undefined) {
  process.stderr.write(`usage: install-tree IMAGE FOLDER, with an image of ${IMAGE_NAMES.join(', ')}\n`);
  process.exit(64);
}
installTree(image as ImageName, path.resolve(folder));
