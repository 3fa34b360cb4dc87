import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BoundedLines, rateLimit } from '../../fl-site/trainers/bounded-lines';
import { parseProgress } from '../../fl-site/trainers/trainer-output';

/** All lines of a stream that is cut into pieces at the given places. */
function linesOf(bytes: Buffer, cuts: readonly number[], maxBytes: number): { line: string; overlong: boolean }[] {
  const lines: { line: string; overlong: boolean }[] = [];
  const splitter = new BoundedLines(maxBytes, (line, overlong) => lines.push({ line, overlong }));
  let begin = 0;
  for (const cut of [...cuts.map((at) => at % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)) {
    splitter.push(bytes.subarray(begin, cut));
    begin = cut;
  }
  splitter.end();
  return lines;
}

describe('lines of a trainer', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'ß', '€', '\n', '\r', ' '), maxLength: 200 });

  it('are those of the text, wherever the stream is cut', () => {
    fc.assert(
      fc.property(text, fc.array(fc.nat(1000)), (contents, cuts) => {
        const expected = contents.split('\n').map((line) => line.replace(/\r$/, ''));
        // A stream that ends with a line break has no line behind it.
        if (contents.split('\n').at(-1) === '') expected.pop();
        assert.deepEqual(
          linesOf(Buffer.from(contents), cuts, 10_000).map(({ line }) => line),
          expected,
        );
      }),
    );
  });

  it('are cut and marked when they are too long, and the next line is whole', () => {
    const lines = linesOf(Buffer.from(`${'x'.repeat(50)}\nshort\n${'y'.repeat(11)}`), [7, 20, 52], 10);
    assert.deepEqual(lines, [
      { line: 'x'.repeat(10), overlong: true },
      { line: 'short', overlong: false },
      { line: 'y'.repeat(10), overlong: true },
    ]);
  });

  it('are progress only when they are exactly that', () => {
    assert.deepEqual(parseProgress('{"progress": 0.5, "step": 3, "metrics": {"loss": 1}}'), {
      progress: 0.5,
      step: 3,
      metrics: { loss: 1 },
    });
    for (const line of [
      '{"progress": 2}',
      '{"progress": "0.5"}',
      '{"progress": 0.5, "step": -1}',
      '{',
      '[0.5]',
      'null',
      '',
    ]) {
      assert.equal(parseProgress(line), undefined, line);
    }
  });

  it('pass a limit of so many in a second', () => {
    let time = 0;
    const allowed = rateLimit(3, () => time);
    const passed = Array.from({ length: 5 }, () => allowed());
    assert.deepEqual(passed, [true, true, true, false, false]);
    time = 999;
    assert.equal(allowed(), false);
    time = 1000;
    assert.equal(allowed(), true);
  });
});
