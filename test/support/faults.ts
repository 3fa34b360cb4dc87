import assert from 'node:assert/strict';
import path from 'node:path';
import { type FaultRow, isSentence, type JudgedRow } from './fault-table';

/**
 * Rows of docs/reliability.md, declared beside the tests that show them:
 *
 *   fault({ area, fault, where, reads, ends }).it('is refused', async (told) => { ...; told(error.message); });
 *
 * A row is proven by a run when each of its tests has passed and one of them was `told` the sentence that it promises.
 */

/** Says what one reads. @throws AssertionError when it is not the sentence of a row of the test */
export type Told = (sentence: string) => void;

interface Declared {
  readonly row: FaultRow;
  readonly tests: Mocha.Test[];
  sentenceWasRead: boolean;
}

const declared: Declared[] = [];

export function fault(...rows: readonly [FaultRow, ...FaultRow[]]): Faults {
  const added = rows.map((row) => ({ row, tests: [], sentenceWasRead: row.reads === undefined }));
  declared.push(...added);
  return new Faults(added);
}

/** Rows that the same tests show. */
export class Faults {
  constructor(private readonly faults: readonly Declared[]) {}

  /** A test that these rows need, one of several perhaps. */
  it(title: string, body: (this: Mocha.Context, told: Told) => void | Promise<void>): Mocha.Test {
    const { faults } = this;
    const test = it(title, function () {
      return body.call(this, (sentence) => readSentence(faults, sentence));
    });
    for (const each of faults) each.tests.push(test);
    return test;
  }

  /** These rows and others. */
  and(...others: readonly Faults[]): Faults {
    return new Faults([this, ...others].flatMap(({ faults }) => faults));
  }
}

function readSentence(faults: readonly Declared[], sentence: string): void {
  const told = faults.filter(({ row }) => row.reads !== undefined && isSentence(row.reads, sentence));
  const promised = faults.map(({ row }) => row.reads ?? '(nothing)').join('\n');
  assert.ok(told.length > 0, `one reads\n${sentence}\nbut docs/reliability.md promises\n${promised}`);
  for (const each of told) each.sentenceWasRead = true;
}

/** What has become of every row that was declared. */
export function judgedRows(testFolder: string): JudgedRow[] {
  return declared.map(({ row, tests, sentenceWasRead }) => {
    const spec = specOfFile(testFolder, tests[0]?.file ?? '');
    const passed = tests.length > 0 && tests.every(({ state }) => state === 'passed');
    // All passed, and nobody has read the sentence: no test shows what the row claims.
    if (passed) return { row, spec, state: sentenceWasRead ? 'proven' : 'failed' };
    return { row, spec, state: tests.some(({ state }) => state === 'failed') ? 'failed' : 'unknown' };
  });
}

/** Rows of these specs whose tests passed although none of them read the sentence that the row promises. */
export function emptyPromises(testFolder: string, specs: ReadonlySet<string>): FaultRow[] {
  return declared
    .filter(({ tests, sentenceWasRead }) => !sentenceWasRead && tests.every(({ state }) => state === 'passed'))
    .filter(({ tests }) => tests.length === 0 || specs.has(specOfFile(testFolder, tests[0]!.file!)))
    .map(({ row }) => row);
}

export function specOfFile(testFolder: string, file: string): string {
  return path.relative(testFolder, file).split(path.sep).join('/');
}
