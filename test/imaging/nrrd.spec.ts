import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { encodeNrrd, readNrrd, readNrrdHeader } from '../../imaging/nrrd';
import type { VoxelArray } from '../../imaging/volume';
import { affines } from './geometries';

/** Lines of a header as teem's definition of the format has them; what is undefined is left out. */
type Fields = Readonly<Record<string, string | undefined>>;

const PLAIN: Fields = {
  type: 'short',
  dimension: '3',
  space: 'right-anterior-superior',
  sizes: '2 3 1',
  'space directions': '(2,0,0) (0,3,0) (0,0,4)',
  endian: 'little',
  encoding: 'raw',
  'space origin': '(10,20,30)',
};

const VOXELS = [-5, 0, 1, 300, -32768, 32767];

function nrrd(changes: Fields = {}, data: Buffer = int16(VOXELS), newline = '\n'): Buffer {
  const lines = Object.entries({ ...PLAIN, ...changes })
    .filter(([, value]) => value !== undefined)
    .map(([field, value]) => `${field}: ${value}`);
  return Buffer.concat([Buffer.from(['NRRD0005', '# made by hand', ...lines, '', ''].join(newline), 'latin1'), data]);
}

function int16(values: readonly number[], big = false): Buffer {
  const bytes = Buffer.alloc(values.length * 2);
  for (const [at, value] of values.entries()) {
    if (big) bytes.writeInt16BE(value, at * 2);
    else bytes.writeInt16LE(value, at * 2);
  }
  return bytes;
}

const ARRAYS = [
  Int8Array,
  Uint8Array,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
] as const;

describe('NRRD', () => {
  it('is read raw and gzipped, in either byte order and with either line end', async () => {
    for (const big of [false, true]) {
      for (const newline of ['\n', '\r\n']) {
        const endian = big ? 'big' : 'little';
        const raw = await readNrrd(nrrd({ endian }, int16(VOXELS, big), newline));
        const zipped = await readNrrd(nrrd({ endian, encoding: 'gz' }, gzipSync(int16(VOXELS, big)), newline));
        for (const volume of [raw, zipped]) {
          assert.deepEqual([...volume.data], VOXELS);
          assert.equal(volume.data.constructor, Int16Array);
          assert.deepEqual(volume.geometry, { shape: [2, 3, 1], affine: [2, 0, 0, 10, 0, 3, 0, 20, 0, 0, 4, 30] });
        }
      }
    }
  });

  it('knows the names that programs give to the number types', async () => {
    for (const [name, data, values] of [
      ['uchar', Buffer.from([1, 255]), [1, 255]],
      ['int8_t', Buffer.from([1, 255]), [1, -1]],
      ['unsigned short int', int16([1, -1]), [1, 65535]],
      ['uint32', Buffer.from(Uint32Array.of(1, 4e9).buffer), [1, 4e9]],
      ['float', Buffer.from(Float32Array.of(0.5, -2).buffer), [0.5, -2]],
      ['double', Buffer.from(Float64Array.of(0.1, -2).buffer), [0.1, -2]],
      ['long long', Buffer.from(BigInt64Array.of(7n, -7n).buffer), [7, -7]],
      ['uint64_t', Buffer.from(BigUint64Array.of(7n, 8n).buffer), [7, 8]],
    ] as const) {
      const volume = await readNrrd(nrrd({ type: name, sizes: '2 1 1' }, data));
      assert.deepEqual([...volume.data], values, name);
    }
    const wide = nrrd({ type: 'int64', sizes: '1 1 1' }, Buffer.from(BigInt64Array.of(2n ** 40n).buffer));
    await assert.rejects(readNrrd(wide), { code: 'unsupported', message: /1099511627776.*32 bits/ });
  });

  it('turns every space into RAS+ millimetres', async () => {
    for (const [space, affine] of [
      ['left-posterior-superior', [-2, 0, 0, -10, 0, -3, 0, -20, 0, 0, 4, 30]],
      ['LPS', [-2, 0, 0, -10, 0, -3, 0, -20, 0, 0, 4, 30]],
      ['left-anterior-superior', [-2, 0, 0, -10, 0, 3, 0, 20, 0, 0, 4, 30]],
      ['RAS', [2, 0, 0, 10, 0, 3, 0, 20, 0, 0, 4, 30]],
    ] as const) {
      const { geometry } = await readNrrd(nrrd({ space }));
      assert.deepEqual(
        geometry.affine,
        affine.map((value) => value + 0),
        space,
      );
    }
    const { geometry } = await readNrrd(nrrd({ 'space units': '"m" "m" "m"' }));
    assert.equal(geometry.affine[0], 2000);
  });

  it('leaves out an axis of one entry that carries no direction', async () => {
    const directions = '(2,0,0) (0,3,0) (0,0,4)';
    for (const changes of [
      { dimension: '4', sizes: '1 2 3 1', 'space directions': `none ${directions}` },
      { dimension: '4', sizes: '2 3 1 1', 'space directions': `${directions} none` },
    ]) {
      assert.deepEqual((await readNrrd(nrrd(changes))).geometry.shape, [2, 3, 1]);
    }
    const segments = nrrd({ dimension: '4', sizes: '2 2 3 1', 'space directions': `none ${directions}` });
    await assert.rejects(readNrrd(segments), { code: 'unsupported', message: /2 x 2 x 3 x 1.*one value a voxel/ });
  });

  it('refuses spacings without a space unless told to take the axes as they come', async () => {
    const file = nrrd({
      space: undefined,
      'space directions': undefined,
      'space origin': undefined,
      spacings: '2 3 4',
    });
    await assert.rejects(readNrrd(file), { code: 'invalid-input', message: /how it lies in the patient/ });
    const { geometry } = await readNrrd(file, { unknownOrientation: 'assume-ras' });
    assert.deepEqual(geometry.affine, [2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 4, 0]);
  });

  const REFUSED: Readonly<Record<string, readonly [Buffer, code: string, message: RegExp]>> = {
    'a detached header': [nrrd({ 'data file': 'ct.raw' }), 'unsupported', /other files: save the volume as one/],
    'a detached header without an empty line': [
      Buffer.from('NRRD0004\ntype: short\ndata file: ct.raw'),
      'unsupported',
      /other files/,
    ],
    'an encoding of text': [nrrd({ encoding: 'ascii' }), 'unsupported', /encoding ascii.*gzip or raw/],
    'an encoding nobody knows': [nrrd({ encoding: 'lzma' }), 'corrupt', /encoding \("lzma"\)/],
    'a type nobody knows': [nrrd({ type: 'quad' }), 'corrupt', /type \("quad"\)/],
    'sizes that are not as many': [nrrd({ sizes: '2 3' }), 'corrupt', /sizes .*must be 3 whole numbers/],
    'a size of zero': [nrrd({ sizes: '2 0 1' }), 'corrupt', /sizes/],
    'a size of half a voxel': [nrrd({ sizes: '2 1.5 1' }), 'corrupt', /sizes/],
    'axes in one plane': [
      nrrd({ 'space directions': '(1,0,0) (2,0,0) (0,0,1)' }),
      'corrupt',
      /three axes that span the space/,
    ],
    'directions of two numbers': [nrrd({ 'space directions': '(1,0) (0,1) (1,1)' }), 'corrupt', /space directions/],
    'no word on the byte order': [nrrd({ endian: undefined }), 'corrupt', /endian/],
    'more voxels than bytes': [
      nrrd({ sizes: '200 300 100' }),
      'corrupt',
      /200 x 300 x 100 voxels of int16.*cannot hold/,
    ],
    'more voxels than compressed bytes can be': [
      nrrd({ sizes: '200 300 100', encoding: 'gzip' }, gzipSync(int16(VOXELS))),
      'corrupt',
      /compressed bytes cannot hold/,
    ],
    'more voxels than the limit': [
      nrrd({ sizes: '100000 100000 100000' }),
      'resource-exhausted',
      /over the limit of 2147483648/,
    ],
    'a header without an end': [Buffer.from(`NRRD0004\n${'# no end\n'.repeat(50_000)}`), 'corrupt', /does not end/],
    'something else': [Buffer.from('NRRDish'), 'corrupt', /is no NRRD file/],
    'gzip data that break off': [
      nrrd({ encoding: 'gzip' }, gzipSync(int16(VOXELS)).subarray(0, 14)),
      'corrupt',
      /damaged/,
    ],
  };
  for (const [what, [file, code, message]] of Object.entries(REFUSED)) {
    it(`refuses ${what}`, () => assert.rejects(readNrrd(file), { code, message }));
  }

  it('lists every fault of a header', async () => {
    const file = nrrd({ type: 'quad', encoding: 'lzma', sizes: '0 0 0', endian: 'middle' });
    await assert.rejects(readNrrd(file), (error: { faults: { path: string }[] }) => {
      assert.deepEqual(error.faults.map(({ path }) => path).sort(), ['encoding', 'endian', 'sizes', 'type']);
      return true;
    });
  });

  it('inflates no more than its header declares', async () => {
    const bomb = gzipSync(Buffer.concat([int16(VOXELS), Buffer.alloc(16 * 2 ** 20)]));
    bomb.fill(0xff, bomb.length - 64); // reading to its end would fail
    assert.deepEqual([...(await readNrrd(nrrd({ encoding: 'gzip' }, bomb))).data], VOXELS);
  });

  it('round-trips any affine and any number type exactly', async () => {
    await fc.assert(
      fc.asyncProperty(affines(), fc.nat({ max: 7 }), fc.boolean(), async (affine, type, raw) => {
        const data: VoxelArray = ARRAYS[type].from([0, 1, 2, 100, 7, 3]);
        const volume = { geometry: { shape: [3, 1, 2] as const, affine }, data };
        const again = await readNrrd(await encodeNrrd(volume, { encoding: raw ? 'raw' : 'gzip' }));
        assert.deepEqual(again.data, data);
        assert.deepEqual(again.geometry.shape, [3, 1, 2]);
        for (const [at, value] of affine.entries()) assert.equal(again.geometry.affine[at], value + 0);
      }),
    );
  });

  it('survives any change of any byte of its header', async () => {
    const file = nrrd({ 'space units': '"mm" "mm" "mm"', kinds: 'domain domain domain' });
    const header = file.indexOf('\n\n');
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat({ max: header }), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 }),
        async (changes) => {
          const changed = Buffer.from(file);
          for (const [at, byte] of changes) changed[at] = byte;
          await readNrrd(changed, { maxBytes: 2 ** 20 }).then(
            ({ data }) => assert.ok(data.length <= VOXELS.length),
            (error) => assert.match(error.code, /^(corrupt|unsupported|invalid-input|resource-exhausted)$/),
          );
        },
      ),
      { numRuns: 500 },
    );
  });

  it('is judged by its header alone where that is enough', async () => {
    const header = await readNrrdHeader(nrrd());
    assert.deepEqual([header.shape, header.encoding, header.oriented], [[2, 3, 1], 'raw', true]);
  });
});
