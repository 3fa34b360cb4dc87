// The compiled form of all rooms: where it is, whether it is current, and how it is made. Types are taken away, not checked:
// that is `npm run typecheck`. Plain JavaScript, because it decides whether TypeScript has to be loaded at all.
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const ROOT = path.resolve(__dirname, '..');
const DIST = path.join(ROOT, 'dist');
const STAMP = path.join(DIST, '.complete');
/** Rooms that run as programs. */
const PROGRAMS = [
  'base',
  'federation',
  'fl-coordinator',
  'fl-site',
  'training',
  'imaging',
  'annotation',
  'aiaa',
  'simulation',
  'fleet',
  'cli',
  'components',
  'stacks',
  'bench',
];
const ROOMS = [...PROGRAMS, 'images', 'policies', 'scripts', 'test'];
/** What a program reads beside its code. */
const ASSETS = /\.(wasm|html|css|svg|py)$/;
const SOURCES = /(?<!\.as)\.ts$/;

function* files(folder) {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const name = path.join(folder, entry.name);
    if (entry.isDirectory()) yield* files(name);
    else if (SOURCES.test(entry.name) || ASSETS.test(entry.name)) yield name;
  }
}

/** True when every source and asset of these rooms is older than the last complete build; an image holds no sources. */
function isCurrent(rooms = PROGRAMS) {
  const built = builtAt();
  if (built === undefined) return false;
  for (const room of rooms.filter((name) => fs.existsSync(path.join(ROOT, name)))) {
    for (const file of files(path.join(ROOT, room))) if (fs.statSync(file).mtimeMs >= built) return false;
  }
  return true;
}

const builtAt = () => fs.statSync(STAMP, { throwIfNoEntry: false })?.mtimeMs;

/**
 * The compiled form of one source, if it is older than the last complete build. Sources are compiled one by one, so this holds
 * whatever became of the others.
 * @param built what {@link builtAt} said
 */
function compiledFormOf(source, built) {
  if (built === undefined || fs.statSync(source).mtimeMs >= built) return undefined;
  const within = path.relative(ROOT, source);
  if (!ROOMS.includes(within.split(path.sep)[0])) return undefined;
  const form = path.join(DIST, within.replace(/\.ts$/, '.js'));
  return fs.existsSync(form) ? form : undefined;
}

/** Builds beside the old build and swaps the folders at the end, so that programs that start meanwhile find one of them. */
function build() {
  const fresh = `${DIST}.${process.pid}`;
  const old = `${fresh}.old`;
  const compiler = path.join(path.dirname(require.resolve('typescript-native/package.json')), 'bin', 'tsc');
  const args = [compiler, '-p', path.join(ROOT, 'tsconfig.build.json'), '--outDir', fresh];
  // Sources that change while they are compiled must look newer than the build.
  const started = new Date();
  try {
    const run = spawnSync(process.execPath, args, { stdio: 'inherit' });
    if (run.status !== 0) process.exit(run.status ?? 1);
    for (const room of PROGRAMS) {
      for (const file of files(path.join(ROOT, room))) {
        if (!ASSETS.test(file)) continue;
        const target = path.join(fresh, path.relative(ROOT, file));
        fs.mkdirSync(path.dirname(target), { recursive: true });
        fs.copyFileSync(file, target);
      }
    }
    const stamp = path.join(fresh, path.basename(STAMP));
    fs.writeFileSync(stamp, '');
    fs.utimesSync(stamp, started, started);
    if (fs.existsSync(DIST)) fs.renameSync(DIST, old);
    fs.renameSync(fresh, DIST);
  } finally {
    fs.rmSync(fresh, { recursive: true, force: true });
    fs.rmSync(old, { recursive: true, force: true });
  }
}

module.exports = { DIST, ROOT, builtAt, compiledFormOf, isCurrent };
if (require.main === module && !isCurrent(ROOMS)) build();
