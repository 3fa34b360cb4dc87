// `npm test`: all specs but the journeys on the real engine, in several processes at once, because most of their time is waiting.
// `npm test -- FILE...` hands everything to mocha as it is.
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const ROOT = path.resolve(__dirname, '..');
const TESTS = path.join(ROOT, 'test');

/** Specs and folders that take longest, so that they are not what everybody waits for at the end; in order. */
const FIRST = [
  'journeys/courses',
  'journeys/demo-resume',
  'journeys/demo.',
  'journeys/killed-coordinator',
  'fl-coordinator/storage/s3',
  'journeys',
  'fleet',
  'policies',
  'stacks',
];

function rank(spec) {
  const found = FIRST.findIndex((start) => spec.startsWith(start));
  return found === -1 ? FIRST.length : found;
}

function specs() {
  const names = fs.readdirSync(TESTS, { recursive: true }).map((name) => name.split(path.sep).join('/'));
  const own = names.filter((name) => name.endsWith('.spec.ts') && !/^engine\/.*\.journey\.spec\.ts$/.test(name)).sort();
  return own.sort((a, b) => rank(a) - rank(b)).map((name) => path.join('test', name));
}

const given = process.argv.slice(2);
// The page is written by one process: two that finish together would each lose what the other has shown.
const lanes = process.env.WRITE_RELIABILITY ? 1 : os.availableParallelism() + 1;
const args = given.length > 0 ? given : [...(lanes > 1 ? ['--parallel', '--jobs', String(lanes)] : []), ...specs()];
const mocha = require.resolve('mocha/bin/mocha.js');
const { status } = spawnSync(process.execPath, [mocha, ...args], { cwd: ROOT, stdio: 'inherit' });
process.exitCode = status ?? 1;
