import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { hasCode } from '../../base/errors';
import { digestOfFile, readLayout, readTensors, writeTensors } from '../../federation/tensors/file';
import { anyTensors, dataOf, headerOf } from './safetensors-samples';

const weight = { name: 'w', dtype: 'F32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) } as const;

describe('safetensors file', () => {
  let folder: string;
  let file: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-tensors-'));
    file = path.join(folder, 'model.safetensors');
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('has the bytes that the format prescribes', async () => {
    await writeTensors(file, [weight, { name: 's', dtype: 'I64', shape: [], data: BigInt64Array.of(-2n) }], {
      by: 'x',
    });
    const bytes = await readFile(file);
    const length = Number(bytes.readBigUInt64LE(0));
    assert.deepEqual(JSON.parse(bytes.toString('utf8', 8, 8 + length)), {
      __metadata__: { by: 'x' },
      w: { dtype: 'F32', shape: [2, 3], data_offsets: [0, 24] },
      s: { dtype: 'I64', shape: [], data_offsets: [24, 32] },
    });
    assert.equal((8 + length) % 8, 0);
    assert.equal(bytes.length, 8 + length + 32);
    assert.equal(bytes.readFloatLE(8 + length + 20), 6);
    assert.equal(bytes.readBigInt64LE(8 + length + 24), -2n);
  });

  it('gives any tensors back with name, dtype, shape, array type and bytes', async () => {
    await fc.assert(
      fc.asyncProperty(anyTensors, async (samples) => {
        const tensors = samples.map((sample, i) => ({ ...sample, data: dataOf(sample, i) }));
        await writeTensors(file, tensors, { seed: '7' });
        const read = await readTensors(file);
        assert.deepEqual([...read.tensors.values()], tensors);
        assert.deepEqual(
          [...read.tensors.keys()],
          read.layout.tensors.map((tensor) => tensor.name),
        );
        assert.deepEqual(read.layout.metadata, { seed: '7' });
        assert.deepEqual(await readLayout(file), read.layout);
      }),
      { numRuns: 25 },
    );
  });

  it('answers the digest and size of what is on the disk', async () => {
    const written = await writeTensors(file, [weight]);
    const bytes = await readFile(file);
    const expected = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    assert.deepEqual(written, { sha256: expected, bytes: bytes.length });
    assert.equal(await digestOfFile(file), expected);
  });

  it('moves tensors larger than one piece, and views into the middle of a buffer', async () => {
    const elements = 5 * 1024 * 1024 + 3;
    const around = new Float32Array(elements + 2).map((_, i) => i);
    const data = around.subarray(1, elements + 1);
    await writeTensors(file, [{ name: 'big', dtype: 'F32', shape: [elements], data }, weight]);
    const { tensors } = await readTensors(file);
    assert.ok(Buffer.from(tensors.get('big')!.data.buffer).equals(Buffer.from(data.buffer, 4, elements * 4)));
    assert.deepEqual(tensors.get('w'), weight);
    const digest = createHash('sha256')
      .update(await readFile(file))
      .digest('hex');
    assert.equal(await digestOfFile(file), `sha256:${digest}`);
  });

  it('writes 16-bit floats from bits, and any dtype from raw bytes', async () => {
    const raw = new Uint8Array(weight.data.buffer);
    await writeTensors(file, [
      { name: 'h', dtype: 'F16', shape: [2], data: Uint16Array.of(0x3c00, 0xc000) },
      { ...weight, data: raw },
    ]);
    const { tensors } = await readTensors(file);
    assert.deepEqual(tensors.get('h')?.data, Uint16Array.of(0x3c00, 0xc000));
    assert.deepEqual(tensors.get('w'), weight);
  });

  it('can be read by other users of the machine', async () => {
    await writeTensors(file, [weight]);
    const allowed = 0o644 & ~process.umask();
    assert.equal((await stat(file)).mode & 0o777, allowed);
  });

  it('refuses arrays that do not fit, every fault at once, and leaves the old file', async () => {
    await writeFile(file, 'old');
    const write = writeTensors(file, [
      { ...weight, data: weight.data.subarray(1) },
      { name: 'n', dtype: 'F32', shape: [1], data: Float64Array.of(1) },
    ]);
    await assert.rejects(write, (error) => {
      assert.ok(hasCode(error, 'invalid-input'));
      assert.match(error.message, /w \(20 bytes\): F32 \[2,3\] takes 24 bytes \(6 elements\)/);
      assert.match(error.message, /n \(Float64Array\): is not the array type of F32/);
      return true;
    });
    assert.equal(await readFile(file, 'utf8'), 'old');
    assert.deepEqual(await readdir(folder), ['model.safetensors']);
  });

  it('refuses files that are cut, too long, empty, absent or no files', async () => {
    const { bytes } = await writeTensors(file, [weight]);
    for (const size of [0, 7, 8, 20, bytes - 1, bytes + 1]) {
      await truncate(file, size);
      for (const read of [readLayout, readTensors]) {
        await assert.rejects(
          read(file),
          (error) => hasCode(error, 'corrupt') && error.message.includes(file),
          `${size}`,
        );
      }
      await writeTensors(file, [weight]);
    }
    await assert.rejects(readTensors(path.join(folder, 'absent')), (error) => hasCode(error, 'not-found'));
    await assert.rejects(readLayout(folder), (error) => hasCode(error, 'invalid-input'));
  });

  it('refuses a header of 2^40 bytes even when the file is so long', async () => {
    await writeFile(file, headerOf('{}', 2n ** 40n));
    await truncate(file, 2 ** 40 + 8);
    await assert.rejects(readLayout(file), /1099511627776 bytes\): must be at most 16777216/);
  });

  it('reads the layout of files beyond 2^32 bytes', async () => {
    const size = 3 * 2 ** 30;
    const entry = (begin: number) => ({ dtype: 'U8', shape: [size], data_offsets: [begin, begin + size] });
    const header = headerOf({ a: entry(0), b: entry(size) });
    await writeFile(file, header);
    await truncate(file, header.length + 2 * size);
    const layout = await readLayout(file);
    assert.equal(layout.tensors[1].end, 6_442_450_944);
    assert.equal(layout.fileBytes, header.length + 6_442_450_944);
  });

  it('stops when it is told to', async () => {
    await writeTensors(file, [weight]);
    const signal = AbortSignal.abort();
    const cancelled = (error: unknown): boolean => hasCode(error, 'cancelled');
    await assert.rejects(readTensors(file, { signal }), cancelled);
    await assert.rejects(digestOfFile(file, { signal }), cancelled);
    await assert.rejects(writeTensors(path.join(folder, 'other'), [weight], {}, { signal }), cancelled);
    assert.deepEqual(await readdir(folder), ['model.safetensors']);
  });
});
