import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ClaraError, hasCode } from '../../base/errors';
import { encodeHeader, headerLength, parseHeader } from '../../federation/tensors/header';
import type { TensorLayout } from '../../federation/tensors/layout';
import { anyMetadata, anyTensors, bytesOf, headerOf } from './safetensors-samples';

const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
});

function refusal(bytes: Uint8Array, fileBytes?: number): ClaraError {
  try {
    parseHeader(bytes, { fileBytes });
  } catch (error) {
    assert.ok(hasCode(error, 'corrupt'), `threw ${error}`);
    return error;
  }
  return assert.fail('the header was accepted');
}

function refuses(json: string | object, ...expected: RegExp[]): void {
  const { message } = refusal(headerOf(json));
  for (const pattern of expected) assert.match(message, pattern);
}

describe('safetensors header', () => {
  it('reads what another writer wrote: any key order, blanks, padding', () => {
    const text = `{ "b" : {"shape":[2,1],"data_offsets":[4,12],"dtype":"F32"},
      "__metadata__":{"format":"pt"}, "a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}}   `;
    const bytes = headerOf(text);
    const layout = parseHeader(bytes, { fileBytes: bytes.length + 12 });
    assert.deepEqual(layout.tensors, [
      { name: 'a', dtype: 'I8', shape: [4], begin: 0, end: 4 },
      { name: 'b', dtype: 'F32', shape: [2, 1], begin: 4, end: 12 },
    ]);
    assert.deepEqual(layout.metadata, { format: 'pt' });
    assert.equal(layout.dataBytes, 12);
    assert.equal(layout.fileBytes, bytes.length + 12);
    assert.deepEqual(Buffer.from(layout.headerBytes), Buffer.from(bytes));
  });

  it('ignores what follows the header, and keeps a copy of its own', () => {
    const header = headerOf({ w: f32(0, 4) });
    const more = Buffer.concat([header, Buffer.from('{{{{')]);
    const layout = parseHeader(more);
    more.fill(0);
    assert.deepEqual(Buffer.from(layout.headerBytes), Buffer.from(header));
  });

  it('reads an empty file, scalars and empty tensors', () => {
    assert.equal(parseHeader(headerOf('{}'), { fileBytes: 10 }).dataBytes, 0);
    const layout = parseHeader(headerOf({ none: f32(4, 4, [0, 7]), one: f32(0, 4, []) }));
    assert.deepEqual(
      layout.tensors.map((tensor) => tensor.name),
      ['one', 'none'],
    );
    const emptyWrittenLast = parseHeader(headerOf({ one: f32(0, 4), none: f32(0, 0, [0]) }));
    assert.equal(emptyWrittenLast.tensors[0].name, 'none');
  });

  it('gives back what was encoded, for any tensors, with data 8-byte aligned', () => {
    fc.assert(
      fc.property(anyTensors, anyMetadata, (tensors, metadata) => {
        const bytes = encodeHeader(tensors, metadata);
        const layout = parseHeader(bytes);
        assert.equal(bytes.length % 8, 0);
        assert.deepEqual({ ...layout.metadata }, { ...metadata });
        let begin = 0;
        const expected = tensors.map((tensor) => {
          const info = { ...tensor, begin, end: begin + bytesOf(tensor) };
          begin = info.end;
          return info;
        });
        assert.deepEqual(layout.tensors, expected);
        assert.equal(layout.dataBytes, begin);
        assert.deepEqual(Buffer.from(encodeHeader(tensors, metadata)), Buffer.from(bytes));
      }),
    );
  });

  it('refuses a header of 2^40 bytes from its first 8 bytes alone', () => {
    for (const announced of [2n ** 40n, 2n ** 63n, 2n ** 64n - 1n, 16n * 1024n * 1024n + 1n]) {
      const prefix = headerOf('', announced);
      assert.throws(
        () => headerLength(prefix),
        (error) => hasCode(error, 'corrupt') && error.message.includes(`${announced} bytes`),
      );
    }
    assert.equal(headerLength(headerOf('', 16n * 1024n * 1024n)), 16 * 1024 * 1024 + 8);
    assert.throws(() => headerLength(headerOf('', 101n), { maxHeaderBytes: 100 }), ClaraError);
  });

  it('refuses a header that is longer than its file, or cut', () => {
    assert.throws(() => headerLength(headerOf('', 100n), { fileBytes: 50 }), /must fit into the file of 50 bytes/);
    assert.throws(() => headerLength(Buffer.alloc(7)), /needs 8 bytes, found 7/);
    const whole = headerOf({ w: f32(0, 4) });
    assert.match(refusal(whole.subarray(0, whole.length - 1)).message, /is more than the/);
  });

  it('refuses truncated and oversized files, with both sizes', () => {
    const header = headerOf({ w: f32(0, 40) });
    const size = header.length + 40;
    assert.equal(parseHeader(header, { fileBytes: size }).fileBytes, size);
    assert.match(refusal(header, size - 1).message, new RegExp(`${size - 1} bytes.*truncated.*${size} bytes`));
    assert.match(refusal(header, size + 1).message, new RegExp(`${size + 1} bytes.*no tensor owns.*${size} bytes`));
  });

  it('refuses holes and overlaps, naming the tensors', () => {
    refuses({ a: f32(0, 4), b: f32(8, 12) }, /b \(begins at byte 8\): must begin at 4, where a ends/);
    refuses({ a: f32(4, 8) }, /a \(begins at byte 4\): must begin at 0/);
    refuses({ a: f32(0, 8), b: f32(4, 12) }, /b \(begins at byte 4\): overlaps a, which ends at 8/);
    refuses({ a: f32(0, 8), b: f32(0, 8) }, /overlaps a/);
    refuses({ a: f32(0, 8), none: f32(4, 4, [0]) }, /none .*overlaps a/);
  });

  it('refuses ranges that are not shape x dtype', () => {
    refuses({ a: f32(0, 8, [3]) }, /a\.data_offsets \(\[0,8\]\): must span the 12 bytes of F32 \[3\]/);
    refuses({ a: f32(0, 8, [1]) }, /must span the 4 bytes of F32 \[1\]/);
    refuses({ a: f32(8, 0, [2]) }, /must span the 8 bytes/);
    refuses({ a: f32(0, 8, [2 ** 31, 2 ** 31]) }, /a\.shape .*fewer than 2\^53 bytes/);
    refuses({ a: f32(0, 0, [2 ** 52, 2, 0]) }, /fewer than 2\^53/);
  });

  it('refuses repeated names and fields, which JSON.parse would hide', () => {
    const a = JSON.stringify(f32(0, 4));
    refuses(`{"a":${a},"a":${a}}`, /a: appears twice/);
    refuses(`{"a":${a},"\\u0061":${a}}`, /a: appears twice/);
    refuses(`{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, /a\.dtype: appears twice/);
    refuses(`{"__metadata__":{"x":"1","x":"2"}}`, /__metadata__\.x: appears twice/);
    const innocent = parseHeader(headerOf(`{"__metadata__":{"x":"\\"x\\":","y":"{\\"x\\":1"},"x":${a}}`));
    assert.equal(innocent.tensors[0].name, 'x');
  });

  it('lists every fault at once', () => {
    const error = refusal(
      headerOf({
        a: { ...f32(0, 4), dtype: 'F128' },
        b: { ...f32(0, 4), shape: [-1, 0.5] },
        c: { dtype: 'F32' },
        d: { ...f32(0, 4), extra: 1 },
        '': f32(0, 4),
        'line\nbreak': f32(0, 4),
        __metadata__: { n: 1 },
        e: null,
      }),
    );
    const paths = error.faults.map((fault) => fault.path);
    for (const path of ['a.dtype', 'b.shape.0', 'b.shape.1', 'c.shape', 'c.data_offsets', 'd', 'e', '__metadata__.n']) {
      assert.ok(paths.includes(path), `${path} is not among ${paths}`);
    }
    assert.equal(paths.filter((path) => path === 'name').length, 2);
    assert.doesNotMatch(error.message, /\n/);
  });

  it('keeps the message short and the faults bounded whatever is wrong', () => {
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`t${i}`, {}]));
    for (const json of [many, { a: f32(0, 4, Array(100_000).fill('x')) }, { ['n'.repeat(100_000)]: f32(0, 4) }]) {
      const error = refusal(headerOf(json));
      assert.ok(error.message.length < 12_000, `${error.message.length} characters`);
      assert.ok(error.faults.length <= 1000);
    }
  });

  it('refuses what is not an object of tensors', () => {
    refuses('', /must be an object and start with \{/);
    refuses('[]', /must be an object/);
    refuses(' {}', /must be an object/);
    refuses('{"a":', /must be valid JSON/);
    refuses('{} x', /must be valid JSON/);
    refuses('{"a\u0001":{}}', /must be valid JSON/);
    refuses({ __metadata__: [] }, /__metadata__: must be an object of texts/);
    assert.match(refusal(headerOf('')).message, /JSON/);
    const notUtf8 = Buffer.from(headerOf('{"a":1}'));
    notUtf8[10] = 0xff;
    assert.match(refusal(notUtf8).message, /must be UTF-8/);
  });

  it('refuses deep nesting without building it', () => {
    refuses(`{"a":${'['.repeat(1_000_000)}`, /nested deeper/);
    refuses(`{"a":{"shape":[[1]]}}`, /nested deeper/);
  });

  it('reads a name of a million characters and odd escapes in linear time, as refusals', () => {
    refuses(`{"${'\\\\'.repeat(500_000)}":1}`, /name/);
    refuses(`{"${'a'.repeat(1_000_000)}`, /must be valid JSON/);
  });

  it('answers any corruption of a header by a layout that holds together or by one ClaraError', () => {
    const mutation = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
    let refused = 0;
    fc.assert(
      fc.property(anyTensors, mutation, fc.nat(20), (tensors, changes, cut) => {
        const bytes = Buffer.from(encodeHeader(tensors, { by: 'test' }));
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        const short = bytes.subarray(0, cut < 4 ? bytes.length - cut : bytes.length);
        let layout: TensorLayout;
        try {
          layout = parseHeader(short);
        } catch (error) {
          assert.ok(hasCode(error, 'corrupt'), `threw ${error}`);
          refused++;
          return;
        }
        let end = 0;
        for (const tensor of layout.tensors) {
          assert.equal(tensor.begin, end);
          assert.equal(tensor.end - tensor.begin, bytesOf(tensor));
          end = tensor.end;
        }
        assert.equal(layout.dataBytes, end);
      }),
      { numRuns: 1500 },
    );
    assert.ok(refused > 100, `only ${refused} corruptions were refused`);
  });

  it('refuses to encode what it would not read', () => {
    const spec = { name: 'a', dtype: 'F32', shape: [1] } as const;
    const refusesToEncode = (specs: Parameters<typeof encodeHeader>[0], rule: RegExp): void => {
      assert.throws(
        () => encodeHeader(specs),
        (error) => hasCode(error, 'invalid-input') && rule.test(error.message),
      );
    };
    refusesToEncode([spec, spec], /a: appears twice/);
    refusesToEncode([{ ...spec, name: '__metadata__' }], /reserved/);
    refusesToEncode([{ ...spec, name: '' }], /1 to 512 characters/);
    refusesToEncode([{ ...spec, shape: [1.5] }], /a\.shape/);
    refusesToEncode([{ ...spec, shape: [-1] }], /a\.shape/);
    refusesToEncode([{ ...spec, shape: [2 ** 40, 2 ** 40] }], /a\.shape/);
  });
});
