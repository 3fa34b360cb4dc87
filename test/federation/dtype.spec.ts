import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  bfloat16FromFloat32,
  bfloat16OfFloat32,
  float32FromBfloat16,
  float32FromHalf,
  float32OfBfloat16,
  float32OfHalf,
  halfFromFloat32,
  halfOfFloat32,
} from '../../federation/tensors/dtype';

/** The definition of a binary16 number, in arithmetic. */
function halfByDefinition(bits: number): number {
  const sign = bits >= 0x8000 ? -1 : 1;
  const exponent = Math.floor(bits / 1024) % 32;
  const fraction = (bits % 1024) / 1024;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * 2 ** -14 * fraction : sign * 2 ** (exponent - 15) * (1 + fraction);
}

/** bfloat16 as the two upper bytes of a float32. */
function bfloat16ByDefinition(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint16(0, bits);
  return view.getFloat32(0);
}

/**
 * Rounds by looking among all non-negative numbers of the type for the neighbours: `overflow` stands for the number after
 * the largest finite one, as IEEE 754 rounds to infinity.
 */
function nearestByTable(decode: (bits: number) => number, infinityBits: number, overflow: number) {
  const values = Array.from({ length: infinityBits }, (_, bits) => decode(bits)).concat(overflow);
  return (value: number, signBit: number): number => {
    const sign = value < 0 || Object.is(value, -0) ? signBit : 0;
    const magnitude = Math.abs(value);
    if (magnitude >= overflow) return sign + infinityBits;
    let low = 0;
    let high = infinityBits;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (values[middle] <= magnitude) low = middle;
      else high = middle;
    }
    const [below, above] = [magnitude - values[low], values[high] - magnitude];
    if (below !== above) return sign + (below < above ? low : high);
    return sign + (low % 2 === 0 ? low : high);
  };
}

const nearestHalf = nearestByTable(halfByDefinition, 0x7c00, 65536);
const nearestBfloat16 = nearestByTable(bfloat16ByDefinition, 0x7f80, 2 ** 128);

const anyFloat32 = fc.oneof(
  fc.float({ noNaN: true }),
  fc.float({ noNaN: true, min: -70000, max: 70000 }),
  fc.float({ noNaN: true, min: -Math.fround(2 ** -13), max: Math.fround(2 ** -13) }),
);

describe('16-bit floats', () => {
  it('reads every binary16 pattern as its definition says', () => {
    for (let bits = 0; bits < 0x10000; bits++)
      assert.ok(Object.is(float32OfHalf(bits), halfByDefinition(bits)), `${bits}`);
  });

  it('reads every bfloat16 pattern as its definition says', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      assert.ok(Object.is(float32OfBfloat16(bits), bfloat16ByDefinition(bits)), `${bits}`);
    }
  });

  it('gives every binary16 number back that is not NaN', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = halfByDefinition(bits);
      if (!Number.isNaN(value)) assert.equal(halfOfFloat32(value), bits);
    }
  });

  it('rounds float32 to the nearest binary16, ties to even', () => {
    fc.assert(
      fc.property(anyFloat32, (value) => {
        assert.equal(halfOfFloat32(value), nearestHalf(value, 0x8000));
      }),
      { numRuns: 3000 },
    );
  });

  it('rounds every tie between binary16 neighbours to the even one, and what lies beside the tie to its side', () => {
    const bits = new Uint32Array(1);
    const value = new Float32Array(bits.buffer);
    for (let low = 0; low < 0x7c00; low++) {
      const high = low === 0x7bff ? 65536 : halfByDefinition(low + 1);
      value[0] = (halfByDefinition(low) + high) / 2;
      assert.equal(halfOfFloat32(value[0]), low % 2 === 0 ? low : low + 1, `tie above ${low}`);
      bits[0] -= 1;
      assert.equal(halfOfFloat32(value[0]), low, `below the tie above ${low}`);
      bits[0] += 2;
      assert.equal(halfOfFloat32(value[0]), low + 1, `above the tie above ${low}`);
    }
  });

  it('rounds float32 to the nearest bfloat16, ties to even', () => {
    fc.assert(
      fc.property(anyFloat32, (value) => {
        assert.equal(bfloat16OfFloat32(value), nearestBfloat16(value, 0x8000));
      }),
      { numRuns: 3000 },
    );
    assert.equal(bfloat16OfFloat32(1 + 2 ** -8), 0x3f80, 'tie, even below');
    assert.equal(bfloat16OfFloat32(1 + 3 * 2 ** -8), 0x3f82, 'tie, even above');
    assert.equal(bfloat16OfFloat32(3.4028234663852886e38), 0x7f80, 'largest float32');
  });

  it('keeps NaN a NaN and infinities infinite', () => {
    assert.ok(Number.isNaN(float32OfHalf(halfOfFloat32(NaN))));
    assert.ok(Number.isNaN(float32OfBfloat16(bfloat16OfFloat32(NaN))));
    assert.equal(float32OfHalf(halfOfFloat32(-Infinity)), -Infinity);
    assert.equal(float32OfBfloat16(bfloat16OfFloat32(-Infinity)), -Infinity);
    // A NaN whose payload lies only in the bits that are dropped must not become infinity.
    const lowPayload = new Float32Array(new Uint32Array([0x7f800001]).buffer);
    assert.ok(Number.isNaN(float32FromHalf(halfFromFloat32(lowPayload))[0]));
    assert.ok(Number.isNaN(float32FromBfloat16(bfloat16FromFloat32(lowPayload))[0]));
  });

  it('converts arrays element by element', () => {
    const values = Float32Array.of(0, -0, 1, -2.5, 65504);
    assert.deepEqual(halfFromFloat32(values), Uint16Array.of(0, 0x8000, 0x3c00, 0xc100, 0x7bff));
    assert.deepEqual(float32FromHalf(halfFromFloat32(values)), values);
    assert.deepEqual(bfloat16FromFloat32(Float32Array.of(1, -2.5)), Uint16Array.of(0x3f80, 0xc020));
    assert.deepEqual(float32FromBfloat16(Uint16Array.of(0x3f80, 0xc020)), Float32Array.of(1, -2.5));
  });
});
