import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fetchFile, type RemoteObject, requireSpace } from '../../../fl-site/prepare/fetch-file';

const BYTES = Buffer.from(Array.from({ length: 50_000 }, (_, i) => (i * 7 + (i >> 8)) % 256));
const DIGEST = `sha256:${createHash('sha256').update(BYTES).digest('hex')}`;

describe('fetching a file for a site', () => {
  let folder: string;
  let served: [from: number, to: number][];
  const target = () => path.join(folder, 'archive');
  const signal = new AbortController().signal;

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'clara-fetch-'));
    served = [];
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Breaks off at a byte. */
  const remote = (end = BYTES.length, pin = 'v1', bytes = BYTES): RemoteObject => ({
    size: bytes.length,
    pin,
    async *read(from) {
      const to = Math.max(from, end);
      served.push([from, to]);
      for (let at = from; at < to; at += 1000) yield bytes.subarray(at, Math.min(at + 1000, to));
      if (to < bytes.length) throw new Error('the connection broke');
    },
    close: () => undefined,
  });

  it('goes on at the byte that is missing, and the whole is verified', async () => {
    await assert.rejects(() => fetchFile(remote(20_000), target(), { sha256: DIGEST, signal }), /broke/);
    assert.equal(existsSync(target()), false, 'whole or absent');
    const { sha256 } = await fetchFile(remote(), target(), { sha256: DIGEST, signal });
    assert.equal(sha256, DIGEST);
    assert.deepEqual(served, [
      [0, 20_000],
      [20_000, 50_000],
    ]);
    assert.ok(readFileSync(target()).equals(BYTES));
    assert.deepEqual(readdirSync(folder), ['archive']);
  });

  it('never continues one content with another', async () => {
    await assert.rejects(() => fetchFile(remote(20_000), target(), { signal }), /broke/);
    const other = Buffer.from(BYTES.toReversed());
    await fetchFile(remote(other.length, 'v2', other), target(), { signal });
    assert.ok(readFileSync(target()).equals(other));
    assert.equal(served.at(-1)![0], 0);
  });

  it('refuses a content of another digest, and keeps nothing of it', async () => {
    const wrong = `sha256:${'0'.repeat(64)}`;
    await assert.rejects(() => fetchFile(remote(), target(), { sha256: wrong, signal }), {
      code: 'corrupt',
      message: /not the promised sha256:0000/,
    });
    await fetchFile(remote(), target(), { sha256: DIGEST, signal });
    assert.equal(served.at(-1)![0], 0);
  });

  it('says before the first byte that there is no room', async () => {
    await assert.rejects(() => requireSpace(folder, 2 ** 60, 'fetching s3://b/k'), {
      code: 'out-of-space',
      message: /fetching s3:\/\/b\/k needs .* where .* are free/,
    });
  });
});
