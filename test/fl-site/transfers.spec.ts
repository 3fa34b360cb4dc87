import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ClaraError } from '../../base/errors';
import { makeChunk, type WireChunk } from '../../federation/chunk-codec';
import type { CoordinatorClient } from '../../fl-site/coordinator-client';
import { downloadModel } from '../../fl-site/model-download';
import { uploadUpdate } from '../../fl-site/update-upload';
import { chunksOf, FakeCoordinator, sha256Of } from './support/fake-coordinator';

const OBJECT = 'runs/r/rounds/0001/model.safetensors';
const PACING = { random: () => 0.001, wait: async () => undefined };

describe('model transfers', () => {
  const bytes = Buffer.from(Array.from({ length: 10_500 }, (_, i) => (i * 31) % 251));
  let folder: string;
  let coordinator: FakeCoordinator;
  let client: CoordinatorClient;

  beforeEach(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'clara-transfer-'));
    coordinator = await FakeCoordinator.start();
    client = coordinator.dial();
    coordinator.objects.set(OBJECT, bytes);
  });
  afterEach(() => {
    client.close();
    coordinator.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  const target = () => path.join(folder, 'model.safetensors');
  const download = (more: Partial<Parameters<typeof downloadModel>[0]> = {}) =>
    downloadModel({
      client,
      object: OBJECT,
      blob: { size: bytes.length, sha256: sha256Of(bytes) },
      target: target(),
      onBytes: () => undefined,
      signal: new AbortController().signal,
      pacing: PACING,
      ...more,
    });

  describe('a download', () => {
    it('arrives whole, and its progress is told', async () => {
      const told: number[] = [];
      await download({ onBytes: (done) => told.push(done) });
      assert.deepEqual(readFileSync(target()), bytes);
      assert.equal(told[0], 0);
      assert.equal(told.at(-1), bytes.length);
      assert.equal(existsSync(`${target()}.partial`), false);
    });

    it('goes on at the byte where the connection was cut', async () => {
      coordinator.onDownload = async function* (chunks, attempt) {
        for await (const chunk of chunks) {
          yield chunk;
          if (attempt < 2 && chunk.offset % 4000 === 3000) throw new ClaraError('unavailable', 'cut');
        }
      };
      await download();
      assert.deepEqual(
        coordinator.downloads.map(({ offset }) => offset),
        [0, 4000, 8000],
      );
      assert.deepEqual(readFileSync(target()), bytes);
    });

    it('goes on with the partial file of an earlier process', async () => {
      writeFileSync(`${target()}.partial`, bytes.subarray(0, 7000));
      await download();
      assert.deepEqual(coordinator.downloads, [{ object: OBJECT, offset: 7000 }]);
      assert.deepEqual(readFileSync(target()), bytes);
    });

    it('starts afresh when the partial file of an earlier process is damaged', async () => {
      const damaged = Buffer.from(bytes.subarray(0, 7000));
      damaged[6999] ^= 1;
      writeFileSync(`${target()}.partial`, damaged);
      await download();
      assert.deepEqual(
        coordinator.downloads.map(({ offset }) => offset),
        [7000, 0],
      );
      assert.deepEqual(readFileSync(target()), bytes);
    });

    it('asks again from before a chunk whose checksum is wrong', async () => {
      coordinator.onDownload = async function* (chunks, attempt) {
        for await (const chunk of chunks) yield attempt === 0 && chunk.offset === 3000 ? { ...chunk, crc32: 1 } : chunk;
      };
      await download();
      assert.deepEqual(
        coordinator.downloads.map(({ offset }) => offset),
        [0, 3000],
      );
      assert.deepEqual(readFileSync(target()), bytes);
    });

    it('takes no chunk from another offset', async () => {
      coordinator.onDownload = async function* (chunks, attempt) {
        for await (const chunk of chunks) if (attempt > 0 || chunk.offset !== 2000) yield chunk;
      };
      await download();
      assert.deepEqual(
        coordinator.downloads.map(({ offset }) => offset),
        [0, 2000],
      );
      assert.deepEqual(readFileSync(target()), bytes);
    });

    it('takes no byte after the announced size', async () => {
      coordinator.onDownload = async function* (chunks) {
        yield* chunks;
        yield makeChunk(bytes.length, Buffer.from([1]));
      };
      await download();
      assert.deepEqual(readFileSync(target()), bytes);
    });

    const refusals: [string, () => Promise<void>, ClaraError['code'], RegExp][] = [
      [
        'whose bytes never have the digest',
        () => {
          coordinator.onDownload = async function* (chunks) {
            for await (const { header, offset, data } of chunks) {
              yield makeChunk(offset, offset === 5000 ? Buffer.alloc(data.length) : data, header);
            }
          };
          return download();
        },
        'corrupt',
        /do not have the digest that the task names/,
      ],
      [
        'of an object that is not the one of the task',
        () => download({ blob: { size: bytes.length, sha256: Buffer.alloc(32) } }),
        'precondition-failed',
        /other contents than the task names/,
      ],
      ['of an object that is not there', () => download({ object: 'elsewhere' }), 'not-found', /there is no elsewhere/],
    ];
    for (const [what, attempt, code, message] of refusals) {
      it(`${what} fails with a sentence and leaves nothing`, async () => {
        await assert.rejects(attempt(), (error: ClaraError) => error.code === code && message.test(error.message));
        assert.equal(existsSync(target()), false);
        assert.equal(existsSync(`${target()}.partial`), false);
      });
    }

    it('ends when its task does, and keeps what it has', async () => {
      const stop = new AbortController();
      const onBytes = (done: number) => done >= 4000 && stop.abort(new Error('enough'));
      await assert.rejects(download({ onBytes, signal: stop.signal }), /enough/);
      assert.equal(existsSync(target()), false);
      await download();
      assert.ok(coordinator.downloads.at(-1)!.offset >= 4000);
      assert.deepEqual(readFileSync(target()), bytes);
    });
  });

  describe('an upload', () => {
    const TASK = 'r/train/1/a';
    const big = Buffer.from(Array.from({ length: 2_500_000 }, (_, i) => (i * 7) % 253));
    const upload = (contents = big, more: Partial<Parameters<typeof uploadUpdate>[0]> = {}) => {
      const file = path.join(folder, 'update.safetensors');
      writeFileSync(file, contents);
      return uploadUpdate({
        client,
        file,
        upload: { task: TASK, size: contents.length, sha256: sha256Of(contents) },
        onBytes: () => undefined,
        signal: new AbortController().signal,
        pacing: PACING,
        ...more,
      });
    };

    it('arrives whole', async () => {
      await upload();
      assert.deepEqual(coordinator.uploads.get(TASK)!.bytes, big);
      assert.deepEqual(coordinator.uploadOffsets, [0]);
    });

    it('goes on at the durable offset after a cut', async () => {
      coordinator.onUploadChunk = (received, attempt) => {
        if (attempt === 0 && received > 1_000_000) throw new ClaraError('unavailable', 'the coordinator restarts');
      };
      await upload();
      assert.equal(coordinator.uploadOffsets.length, 2);
      assert.ok(coordinator.uploadOffsets[1] > 1_000_000);
      assert.deepEqual(coordinator.uploads.get(TASK)!.bytes, big);
    });

    it('that is durable already is not sent again', async () => {
      await upload();
      await upload();
      assert.deepEqual(coordinator.uploadOffsets, [0]);
    });

    it('that is new and small is sent without a question', async () => {
      await upload(big, { isNew: true });
      assert.deepEqual(coordinator.uploads.get(TASK)!.bytes, big);
      assert.equal(coordinator.uploadQuestions, 0);
    });

    it('that is new and large is asked about first', async () => {
      const large = Buffer.alloc(4 * 2 ** 20 + 1, 7);
      await upload(large, { isNew: true });
      assert.deepEqual(coordinator.uploads.get(TASK)!.bytes, large);
      assert.equal(coordinator.uploadQuestions, 1);
    });

    it('that is new asks after a cut where to go on', async () => {
      coordinator.onUploadChunk = (received, attempt) => {
        if (attempt === 0 && received > 1_000_000) throw new ClaraError('unavailable', 'the coordinator restarts');
      };
      await upload(big, { isNew: true });
      assert.equal(coordinator.uploadQuestions, 1);
      assert.ok(coordinator.uploadOffsets[1] > 1_000_000);
      assert.deepEqual(coordinator.uploads.get(TASK)!.bytes, big);
    });

    it('that is new here only goes on with what the coordinator has of it', async () => {
      const part = { bytes: big.subarray(0, 1_048_576), size: big.length, sha256: sha256Of(big) };
      coordinator.uploads.set(TASK, part);
      await upload(big, { isNew: true });
      assert.deepEqual(coordinator.uploadOffsets, [0, 1_048_576]);
      assert.deepEqual(coordinator.uploads.get(TASK)!.bytes, big);
    });

    it('that the coordinator refuses fails with its sentence', async () => {
      coordinator.onUploadChunk = () => {
        throw new ClaraError('permission-denied', 'the round has closed');
      };
      await assert.rejects(
        upload(),
        (error: ClaraError) => error.code === 'permission-denied' && error.message === 'the round has closed',
      );
    });

    it('is bounded in memory by a coordinator that does not read', async () => {
      const sent: number[] = [];
      let release = (): void => undefined;
      const slow = new Promise<void>((resolve) => {
        release = resolve;
      });
      coordinator.onUploadChunk = () => slow;
      const large = Buffer.alloc(24 * 2 ** 20, 7);
      const running = upload(large, { onBytes: (done) => sent.push(done) });
      await coordinator.until(() => (coordinator.uploads.get(TASK)?.bytes.length ?? 0) > 0);
      assert.ok(sent.at(-1)! < large.length, 'the whole file was read ahead of the coordinator');
      release();
      await running;
      assert.equal(coordinator.uploads.get(TASK)!.bytes.length, large.length);
    });

    it('ends when its task does', async () => {
      const stop = new AbortController();
      coordinator.onUploadChunk = () => stop.abort(new Error('cancelled'));
      await assert.rejects(upload(big, { signal: stop.signal }), /cancelled/);
    });
  });

  it('chunks of the fake coordinator are those of the object', async () => {
    const parts: WireChunk[] = [];
    for await (const chunk of chunksOf(bytes, 500, 4000)) parts.push(chunk);
    assert.deepEqual(Buffer.concat(parts.map(({ data }) => data)), bytes.subarray(500));
  });
});
