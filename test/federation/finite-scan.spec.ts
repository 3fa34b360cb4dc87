import assert from 'node:assert/strict';
import fc from 'fast-check';
import { hasCode } from '../../base/errors';
import { FiniteScanner, type NonFinite } from '../../federation/tensors/finite-scan';
import { encodeHeader, parseHeader } from '../../federation/tensors/header';
import type { TensorLayout, TensorSpec } from '../../federation/tensors/layout';
import { anyTensors } from './safetensors-samples';

function layoutOf(...specs: TensorSpec[]): TensorLayout {
  return parseHeader(encodeHeader(specs));
}

/** Scans `data` in pieces of the given sizes (cyclically), each piece at an odd address when `shift` says so. */
function scan(layout: TensorLayout, data: Uint8Array, sizes: readonly number[], shift = 0): readonly NonFinite[] {
  const scanner = new FiniteScanner(layout);
  for (let offset = 0, turn = 0; offset < data.length; turn++) {
    const piece = data.subarray(offset, offset + sizes[turn % sizes.length]);
    const moved = new Uint8Array(piece.length + shift).subarray(shift);
    moved.set(piece);
    scanner.push(offset, moved);
    offset += piece.length;
  }
  return scanner.found;
}

/** Reads element by element what the types mean. */
function findByElement(layout: TensorLayout, data: Uint8Array): NonFinite[] {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const bfloat = new DataView(new ArrayBuffer(4));
  const half = (bits: number): number => {
    if ((bits & 0x7fff) < 0x7c00) return 0;
    if ((bits & 0x7fff) > 0x7c00) return NaN;
    return bits & 0x8000 ? -Infinity : Infinity;
  };
  const readers: Partial<Record<string, [number, (at: number) => number]>> = {
    F64: [8, (at) => view.getFloat64(at, true)],
    F32: [4, (at) => view.getFloat32(at, true)],
    F16: [2, (at) => half(view.getUint16(at, true))],
    BF16: [
      2,
      (at) => {
        bfloat.setUint16(0, view.getUint16(at, true));
        return bfloat.getFloat32(0);
      },
    ],
  };
  const found: NonFinite[] = [];
  for (const { name, dtype, begin, end } of layout.tensors) {
    const [size, read] = readers[dtype] ?? [1, () => 0];
    for (let at = begin; at < end; at += size) {
      const value = read(at);
      if (Number.isFinite(value)) continue;
      found.push({ tensor: name, element: (at - begin) / size, value: `${value}` as NonFinite['value'] });
      break;
    }
  }
  return found;
}

describe('finite scan', () => {
  it('names tensor and element of the first NaN', () => {
    const layout = layoutOf(
      { name: 'first', dtype: 'F32', shape: [5] },
      { name: 'enc0.w', dtype: 'F32', shape: [4, 5] },
    );
    const data = new Float32Array(25).fill(1);
    data[5 + 17] = NaN;
    data[5 + 18] = Infinity;
    const scanner = new FiniteScanner(layout);
    scanner.push(0, new Uint8Array(data.buffer));
    assert.deepEqual(scanner.found, [{ tensor: 'enc0.w', element: 17, value: 'NaN' }]);
    assert.throws(
      () => scanner.finish('update of site a'),
      (error) =>
        hasCode(error, 'invalid-input') &&
        error.message.includes('update of site a: tensor enc0.w element 17 is NaN; every'),
    );
  });

  it('lists every tensor of a ruined model in the faults, and a few in the message', () => {
    const specs = Array.from({ length: 200 }, (_, i) => ({ name: `layer${i}.w`, dtype: 'F32', shape: [2] }) as const);
    const scanner = new FiniteScanner(layoutOf(...specs));
    scanner.push(0, new Uint8Array(new Float32Array(400).fill(NaN).buffer));
    assert.throws(
      () => scanner.finish('update'),
      (error) => {
        assert.ok(hasCode(error, 'invalid-input'));
        assert.deepEqual(error.faults[199], {
          path: 'layer199.w',
          value: 'NaN',
          rule: 'element 0 must be a finite number',
        });
        assert.match(error.message, /and so on in 200 tensors/);
        return error.message.length < 1000;
      },
    );
  });

  it('accepts the largest and smallest finite numbers of every type, and integers of any bits', () => {
    const cases: [TensorSpec['dtype'], ArrayBufferView][] = [
      ['F64', Float64Array.of(Number.MAX_VALUE, -Number.MAX_VALUE, 5e-324, -0)],
      ['F32', Float32Array.of(3.4028234663852886e38, -3.4028234663852886e38, 1.4e-45, -0)],
      ['F16', Uint16Array.of(0x7bff, 0xfbff, 0x0001, 0x8000)],
      ['BF16', Uint16Array.of(0x7f7f, 0xff7f, 0x0001, 0x8000)],
      ['I32', Int32Array.of(-1, -1, -1, -1)],
      ['U16', Uint16Array.of(0xffff, 0xffff, 0xffff, 0xffff)],
    ];
    for (const [dtype, { buffer }] of cases) {
      const scanner = new FiniteScanner(layoutOf({ name: dtype, dtype, shape: [4] }));
      scanner.push(0, new Uint8Array(buffer));
      scanner.finish(dtype);
    }
  });

  it('finds one bad number at any place of a long tensor, whatever the chunks', () => {
    const elements = 40_000;
    const layout = layoutOf({ name: 'w', dtype: 'F32', shape: [elements] });
    fc.assert(
      fc.property(
        fc.nat(elements - 1),
        fc.constantFrom(NaN, Infinity, -Infinity),
        fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 3 }),
        fc.nat(3),
        (element, value, sizes, shift) => {
          const data = new Float32Array(elements).fill(-1e38);
          data[element] = value;
          const found = scan(
            layout,
            new Uint8Array(data.buffer),
            sizes.map((size) => size + 500),
            shift,
          );
          assert.deepEqual(found, [{ tensor: 'w', element, value: `${value}` }]);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('agrees with reading element by element, for any tensors, bytes and chunks', () => {
    // Bytes of all ones are frequent, so that many patterns are NaN or infinite and many nearly so.
    const anyByte = fc.oneof(fc.constantFrom(0xff, 0x7f, 0x7c, 0xf0, 0x80, 0), fc.nat(255));
    let findings = 0;
    fc.assert(
      fc.property(
        anyTensors,
        fc.array(anyByte, { minLength: 1, maxLength: 97 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 }),
        fc.nat(3),
        (tensors, bytes, sizes, shift) => {
          const layout = layoutOf(...tensors);
          const data = Uint8Array.from({ length: layout.dataBytes }, (_, i) => bytes[i % bytes.length]);
          const found = scan(layout, data, sizes, shift);
          assert.deepEqual(found, findByElement(layout, data));
          findings += found.length;
        },
      ),
      { numRuns: 1000 },
    );
    assert.ok(findings > 100, `only ${findings} findings`);
  });

  it('refuses gaps, repetitions and bytes beyond the end, and misses bytes that did not come', () => {
    const scanner = new FiniteScanner(layoutOf({ name: 'w', dtype: 'F32', shape: [4] }));
    scanner.push(0, new Uint8Array(6));
    for (const [offset, length] of [
      [7, 1],
      [5, 1],
      [0, 6],
      [6, 11],
    ]) {
      assert.throws(
        () => scanner.push(offset, new Uint8Array(length)),
        (error) => hasCode(error, 'invalid-input'),
      );
    }
    assert.throws(
      () => scanner.finish('update'),
      (error) => hasCode(error, 'corrupt') && /6 of its 16/.test(error.message),
    );
    scanner.push(6, new Uint8Array(10));
    scanner.finish('update');
  });
});
