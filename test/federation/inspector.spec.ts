import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { ClaraError } from '../../base/errors';
import { parseHeader } from '../../federation/tensors/header';
import { Inspector } from '../../federation/tensors/inspector';
import type { TensorLayout } from '../../federation/tensors/layout';
import { headerOf } from './safetensors-samples';

interface Tensor {
  readonly name: string;
  readonly values: readonly number[];
}

/** A file of float32 vectors, as another program would write it. */
function fileOf(...tensors: readonly Tensor[]): Buffer {
  let position = 0;
  const entries = tensors.map(({ name, values }) => {
    const begin = position;
    position += values.length * 4;
    return [name, { dtype: 'F32', shape: [values.length], data_offsets: [begin, position] }];
  });
  const data = tensors.map(({ values }) => Buffer.from(Float32Array.from(values).buffer));
  return Buffer.concat([headerOf(Object.fromEntries(entries)), ...data]);
}

const layoutOf = (file: Uint8Array): TensorLayout => parseHeader(file);

interface Verdict {
  readonly digest?: string;
  readonly code?: string;
  readonly message?: string;
  readonly faults?: readonly string[];
}

/** What is said of a file that arrives in pieces of these sizes, again and again. */
function verdictOn(
  file: Uint8Array,
  sizes: readonly number[],
  expected?: TensorLayout,
  fileBytes = file.length,
): Verdict {
  const inspector = new Inspector({ what: 'the update', fileBytes, expected });
  try {
    let position = 0;
    for (let i = 0; position < file.length; i++) {
      const size = sizes[i % sizes.length]!;
      inspector.push(file.subarray(position, position + size));
      position += size;
    }
    return { digest: inspector.finish().digest };
  } catch (error) {
    assert.ok(error instanceof ClaraError, String(error));
    return { code: error.code, message: error.message, faults: error.faults.map(({ path }) => path) };
  }
}

const BASE = fileOf({ name: 'w', values: [1, 2, 3, 4, 5] }, { name: 'bias', values: [0.5] });
const EXPECTED = layoutOf(BASE);

describe('an update that streams past', () => {
  it('is accepted with its digest when it is whole and as expected', () => {
    const digest = `sha256:${createHash('sha256').update(BASE).digest('hex')}`;
    assert.deepEqual(verdictOn(BASE, [7], EXPECTED), { digest });
  });

  it('gets the same verdict whatever the sizes of its pieces', () => {
    const value = fc.oneof(
      { weight: 8, arbitrary: fc.float({ noNaN: true, noDefaultInfinity: true }) },
      { weight: 1, arbitrary: fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY) },
    );
    const names = fc.constantFrom('w', 'bias', 'other');
    const tensor = fc.record({ name: names, values: fc.array(value, { maxLength: 40 }) });
    const file = fc
      .uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 3 })
      .map((tensors) => fileOf(...tensors));
    const damage = fc.option(fc.record({ at: fc.nat(2000), to: fc.nat(255) }));
    fc.assert(
      fc.property(file, damage, fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1 }), (bytes, wrong, sizes) => {
        const sent = Buffer.from(bytes);
        if (wrong) sent[wrong.at % sent.length] = wrong.to;
        const whole = verdictOn(sent, [sent.length], EXPECTED);
        assert.deepEqual(verdictOn(sent, sizes, EXPECTED), whole);
        assert.deepEqual(verdictOn(sent, [1], EXPECTED), whole);
      }),
      { numRuns: 300 },
    );
  });

  it('with a header of 2^40 bytes is refused at its eighth byte', () => {
    const inspector = new Inspector({ what: 'the update', fileBytes: 2 ** 41 });
    const prefix = headerOf('', 2n ** 40n);
    inspector.push(prefix.subarray(0, 7));
    assert.throws(
      () => inspector.push(prefix.subarray(7)),
      (error) => error instanceof ClaraError && error.code === 'corrupt' && error.message.includes('1099511627776'),
    );
  });

  it('with a header that ends behind the file is refused', () => {
    const verdict = verdictOn(headerOf('{}', 1000n), [4]);
    assert.equal(verdict.code, 'corrupt');
  });

  it('that ends early is refused with what came and what was announced', () => {
    for (const end of [0, 4, 8, 20, BASE.length - 1]) {
      const verdict = verdictOn(BASE.subarray(0, end), [5], EXPECTED, BASE.length);
      assert.equal(verdict.code, 'corrupt');
      assert.ok(verdict.message!.includes(`${end} of ${BASE.length}`), verdict.message);
    }
  });

  it('that goes on after the announced bytes is refused', () => {
    const longer = Buffer.concat([BASE, Buffer.alloc(1)]);
    const verdict = verdictOn(longer, [5], EXPECTED, BASE.length);
    assert.equal(verdict.code, 'corrupt');
    assert.ok(verdict.message!.includes(`${BASE.length} bytes`), verdict.message);
  });

  for (const [what, value] of [
    ['NaN', Number.NaN],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['-Infinity', Number.NEGATIVE_INFINITY],
  ] as const) {
    it(`with ${what} is refused, naming the tensor and the element`, () => {
      const file = fileOf({ name: 'w', values: [1, 2, 3, value, 5] }, { name: 'bias', values: [0.5] });
      const verdict = verdictOn(file, [3], EXPECTED);
      assert.deepEqual(verdict.faults, ['w']);
      assert.ok(verdict.message!.includes(`tensor w element 3 is ${what}`), verdict.message);
    });
  }

  it('names every tensor with a number that is not finite', () => {
    const file = fileOf({ name: 'w', values: [1, 2, Number.NaN, 4, 5] }, { name: 'bias', values: [Number.NaN] });
    assert.deepEqual(verdictOn(file, [64], EXPECTED).faults, ['w', 'bias']);
  });

  for (const [what, file, faults] of [
    [
      'an unknown tensor',
      fileOf({ name: 'w', values: [1, 2, 3, 4, 5] }, { name: 'bias', values: [1] }, { name: 'extra', values: [1] }),
      ['extra'],
    ],
    ['a missing tensor', fileOf({ name: 'w', values: [1, 2, 3, 4, 5] }), ['bias']],
    ['a wrong shape', fileOf({ name: 'w', values: [1, 2, 3] }, { name: 'bias', values: [1] }), ['w']],
    ['other names', fileOf({ name: 'v', values: [1, 2, 3, 4, 5] }, { name: 'bias', values: [1] }), ['w', 'v']],
    ['another order', fileOf({ name: 'bias', values: [1] }, { name: 'w', values: [1, 2, 3, 4, 5] }), ['bias']],
  ] as const) {
    it(`with ${what} is refused at its header, naming what differs`, () => {
      const inspector = new Inspector({ what: 'the update', fileBytes: file.length, expected: EXPECTED });
      const { headerBytes } = layoutOf(file);
      assert.throws(
        () => inspector.push(file.subarray(0, headerBytes.length)),
        (error) => {
          assert.ok(error instanceof ClaraError && error.code === 'invalid-input', String(error));
          assert.deepEqual(error.faults.map(({ path }) => path).sort(), [...faults].sort());
          return true;
        },
      );
    });
  }

  it('is taken with any tensors when none are expected', () => {
    assert.ok(verdictOn(fileOf({ name: 'anything', values: [1] }), [9]).digest);
  });
});
