import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { FAULT_POINTS } from '../fl-coordinator/fault-points';
import { type FaultRow, isSentence, type JudgedRow, linesOf, pageAfter, specOf } from './support/fault-table';

const PAGE = readFileSync(path.join(__dirname, '../docs/reliability.md'), 'utf8');

const ROW: FaultRow = {
  area: 'Clocks',
  fault: 'a clock stops',
  where: 'a | clock',
  reads: '{what} is < 1',
  ends: 'well',
};
const judged = (state: JudgedRow['state'], row: Partial<FaultRow> = {}, spec = 'a.spec.ts'): JudgedRow => ({
  row: { ...ROW, ...row },
  spec,
  state,
});
const pageWith = (before: string, rows: readonly JudgedRow[], loaded = ['a.spec.ts'], gone: readonly string[] = []) =>
  pageAfter(before, rows, new Set(loaded), (spec) => !gone.includes(spec));
const faultsOn = (page: string) => [...linesOf(page).keys()].map((line) => line.split(' | ')[0]!.slice(2));

describe('docs/reliability.md', () => {
  it('names every point where the coordinator may be killed', () => {
    const missing = FAULT_POINTS.filter((point) => !PAGE.includes(`\`${point}\``));
    assert.deepEqual(missing, []);
  });

  it('names specs that exist, and nothing twice', () => {
    const lines = [...linesOf(PAGE).keys()];
    assert.ok(lines.length > 50);
    for (const line of lines) assert.ok(existsSync(path.join(__dirname, specOf(line))), line);
  });

  it('has a row when its tests have passed, and only then', () => {
    const { text } = pageWith('', [
      judged('proven'),
      judged('unknown', { fault: 'b' }),
      judged('failed', { fault: 'c' }),
    ]);
    assert.deepEqual(faultsOn(text), ['a clock stops']);
    assert.match(
      text,
      /^\| a clock stops \| a \\\| clock \| _what_ is &lt; 1 \| well \| \[a\]\(\.\.\/test\/a\.spec\.ts\) \|$/m,
    );
    assert.equal(pageWith(text, [judged('proven')]).text, text);
  });

  it('loses a row whose test failed, and one that no test declares any more', () => {
    const { text } = pageWith('', [judged('proven'), judged('proven', { fault: 'b' })]);
    const { removed } = pageWith(text, [judged('failed')]);
    assert.equal(removed.length, 2);
  });

  it('is not harmed by a run of some specs, of chosen tests, or without what a test needs', () => {
    const elsewhere = judged('proven', { fault: 'elsewhere' }, 'b.spec.ts');
    const skipped = judged('proven', { fault: 'skipped', needs: 'a server' });
    const { text } = pageWith('', [judged('proven'), elsewhere, skipped], ['a.spec.ts', 'b.spec.ts']);
    assert.match(text, /\(\.\.\/test\/a\.spec\.ts\); needs a server \|$/m);
    assert.equal(pageWith(text, [judged('proven'), { ...skipped, state: 'unknown' }]).text, text);
    assert.equal(pageWith(text, [], ['c.spec.ts']).text, text);
    assert.deepEqual(faultsOn(pageWith(text, [], ['c.spec.ts'], ['b.spec.ts']).text), ['a clock stops', 'skipped']);
  });

  it('does not let a row in that was never proven, or whose words have changed since', () => {
    const { text } = pageWith('', [judged('proven')]);
    assert.deepEqual(faultsOn(pageWith(text, [judged('unknown', { ends: 'better' })]).text), []);
  });

  it('is the same in whatever order the tests have run', () => {
    const rows = ['b', 'a', 'c'].map((fault) => judged('proven', { fault }));
    assert.equal(pageWith('', rows).text, pageWith('', [...rows].reverse()).text);
  });

  it('takes a sentence for the one that was promised when it differs only where it may, on one line', () => {
    assert.ok(
      isSentence('task {id} is not open any more (really?)', 'task r/train/1/a is not open any more (really?)'),
    );
    for (const other of [
      'task  is not open',
      'task x is not open any more (really)',
      'a\ntask x is not open any more (really?)',
    ]) {
      assert.ok(!isSentence('task {id} is not open any more (really?)', other), other);
    }
    assert.ok(!isSentence('{all}', 'two\nlines'));
  });
});
