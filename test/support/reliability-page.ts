import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pageAfter } from './fault-table';
import { emptyPromises, judgedRows, specOfFile } from './faults';

const TESTS = path.resolve(__dirname, '..');
const PAGE = path.resolve(TESTS, '../docs/reliability.md');

/**
 * After all tests of a run, however many, or of each spec where specs run beside each other: docs/reliability.md is what they have
 * shown, or becomes it (WRITE_RELIABILITY).
 */
export const mochaHooks = {
  afterAll(this: Mocha.Context): void {
    const loaded = new Set([...filesOf(this.test!.parent!)].map((file) => specOfFile(TESTS, file)));
    // Specs that ran before in this process were judged then.
    const judged = judgedRows(TESTS).filter(({ spec }) => loaded.has(spec));
    const isWriting = Boolean(process.env.WRITE_RELIABILITY);
    // A failed test is told by itself; only the writer takes its rows out.
    const seen = judged.map((each) =>
      each.state === 'failed' && !isWriting ? { ...each, state: 'unknown' as const } : each,
    );
    const before = existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : '';
    const page = pageAfter(before, seen, loaded, (spec) => existsSync(path.join(TESTS, spec)));
    if (isWriting) writeFileSync(PAGE, page.text);
    const unread = emptyPromises(TESTS, loaded);
    assert.ok(
      unread.length === 0,
      `no test was told a sentence of these rows: ${unread.map((row) => row.fault).join('; ')}`,
    );
    if (isWriting || page.text === before) return;
    const changes = [...page.removed.map((line) => `- ${line}`), ...page.added.map((line) => `+ ${line}`)];
    assert.fail(
      `docs/reliability.md is not what the tests have shown; look at the change, and write it with WRITE_RELIABILITY=1\n${changes.join('\n')}`,
    );
  },
};

function* filesOf(suite: Mocha.Suite): Generator<string> {
  if (suite.file) yield suite.file;
  for (const below of suite.suites) yield* filesOf(below);
}
