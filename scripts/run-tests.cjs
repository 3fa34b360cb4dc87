// `npm test`: all specs, in several processes at once, because most of their time is waiting. `npm run test:engine` (`--engine`): the
// journeys on the real Pulumi engine, likewise. `npm test -- FILE...` hands everything to mocha as it is.
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const ROOT = path.resolve(__dirname, '..');
const IS_ENGINE_JOURNEY = /^test\/engine\/[^/]+\.journey\.spec\.ts$/;

/** What takes longest, in order, so that it is not what the others wait for at the end. */
const FIRST = [
  'test/engine/site-life',
  'test/journeys/killed-coordinator',
  'test/journeys/courses',
  'test/journeys/demo.',
  'test/journeys/demo-resume',
  'test/journeys/federated-run',
  'test/journeys/encoded-wire',
  'test/fl-coordinator/storage/s3/',
  'test/journeys/',
  'test/policies/',
  'test/stacks/',
];

function rank(spec) {
  const found = FIRST.findIndex((start) => spec.startsWith(start));
  return found === -1 ? FIRST.length : found;
}

function specs(areEngineJourneys) {
  const names = fs.readdirSync(path.join(ROOT, 'test'), { recursive: true });
  const found = names
    .map((name) => path.posix.join('test', ...name.split(path.sep)))
    .filter((name) => name.endsWith('.spec.ts') && IS_ENGINE_JOURNEY.test(name) === areEngineJourneys);
  return found.sort().sort((a, b) => rank(a) - rank(b));
}

const words = process.argv.slice(2);
const areEngineJourneys = words[0] === '--engine';
const given = areEngineJourneys ? words.slice(1) : words;
// docs/reliability.md is written by one process: of two that end together, one would take away what the other has written.
const processes = process.env.WRITE_RELIABILITY ? 1 : os.availableParallelism() + 1;
const beside = processes > 1 ? ['--parallel', '--jobs', String(processes)] : [];
const args = given.length > 0 ? given : [...beside, ...specs(areEngineJourneys)];
const { status } = spawnSync(process.execPath, [require.resolve('mocha/bin/mocha.js'), ...args], {
  cwd: ROOT,
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
