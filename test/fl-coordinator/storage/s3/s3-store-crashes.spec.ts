import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { hasCode } from '../../../../base/errors';
import type { FaultPoint } from '../../../../fl-coordinator/fault-points';
import { type ObjectStore, readAll } from '../../../../fl-coordinator/storage/object-store';
import { openS3Store } from '../../../../fl-coordinator/storage/s3/s3-store';
import type { S3Address } from '../../../../fl-coordinator/storage/store-address';
import { type DescribedStore, openDescribed } from '../../../contract/described-store';
import type { StoreAction } from '../../../contract/store-client';
import { StoreProcess } from '../../../contract/store-process';
import { type Faults, fault } from '../../../support/faults';
import { S3Server } from '../../../support/s3-server';

const KEY = 'runs/a/object';
const OLD = 'the old content';
/** One request, and three parts. */
const REPEATS = { small: 1, large: 900_000 } as const;
const PIECES = ['The ', 'new ', 'and ', 'much ', 'longer '];
const contentOf = (repeat: number): string => PIECES.map((piece) => piece.repeat(repeat)).join('');

/** Each kind of write: what may be under the key after the writer was killed, and where it passes. */
const WRITES: Record<
  string,
  {
    readonly action: (repeat: number, etag: string) => StoreAction;
    readonly old: string | undefined;
    readonly deaths: readonly [size: keyof typeof REPEATS, point: `${FaultPoint}${'' | ':3' | ':4'}`][];
  }
> = {
  put: {
    action: (repeat) => ({ kind: 'put', key: KEY, pieces: PIECES, repeat }),
    old: OLD,
    deaths: [
      ['small', 'store.partial-written'],
      ['small', 'store.committed'],
      ['large', 'store.partial-half-written:4'],
      ['large', 'store.partial-written'],
    ],
  },
  putIfAbsent: {
    action: (repeat) => ({ kind: 'put-if-absent', key: KEY, text: contentOf(repeat) }),
    old: undefined,
    deaths: [
      ['small', 'store.partial-written'],
      ['small', 'store.committed'],
    ],
  },
  putIfMatch: {
    action: (repeat, etag) => ({ kind: 'put-if-match', key: KEY, text: contentOf(repeat), etag }),
    old: OLD,
    deaths: [
      ['small', 'store.partial-written'],
      ['small', 'store.committed'],
    ],
  },
  upload: {
    action: (repeat) => ({ kind: 'upload', key: KEY, size: contentOf(repeat).length, pieces: PIECES, repeat }),
    old: OLD,
    deaths: [
      ['small', 'store.upload-recorded:3'],
      ['small', 'store.committed'],
      ['large', 'store.upload-committed'],
    ],
  },
};

const NEEDS = 'an S3 server (`npm run s3-servers`)';
const rows = new Map<string, Faults>();
/** One row for each point, whatever is written there. */
function rowOf(point: string): Faults {
  const [name] = point.split(':') as [string];
  const kinds = Object.entries(WRITES).flatMap(([kind, { deaths }]) =>
    deaths.some(([, at]) => at.startsWith(name)) ? [kind] : [],
  );
  const row =
    rows.get(name) ??
    fault({
      area: 'The store in S3',
      fault: `kill -9 at \`${name}\``,
      where: `a process that writes: ${kinds.join(', ')}`,
      ends: `the ${/committed/.test(name) ? 'new' : 'old'} content is there, whole`,
      needs: NEEDS,
    });
  rows.set(name, row);
  return row;
}

describe('S3 store whose coordinator is killed in the middle of a write', function () {
  this.timeout(120_000);
  let server: S3Server | undefined;
  let bucket: S3Address;
  let description: S3Address;
  let opened: DescribedStore;
  let store: ObjectStore;

  before(async function () {
    server = await S3Server.start(this, 'versitygw');
    bucket = await server.bucket('crashes');
  });
  beforeEach(async () => {
    description = { ...bucket, prefix: randomUUID() };
    opened = await openDescribed(description);
    store = opened.store;
  });
  afterEach(() => opened.close());
  after(() => server?.stop());

  const content = async (): Promise<string | undefined> => {
    try {
      return (await readAll(store, KEY, 32 << 20)).toString();
    } catch (error) {
      if (hasCode(error, 'not-found')) return undefined;
      throw error;
    }
  };
  const same = (found: string | undefined, expected: string | undefined): void =>
    assert.ok(found === expected, `${found?.slice(0, 20)}... is not ${expected?.slice(0, 20)}...`);

  for (const [name, write] of Object.entries(WRITES)) {
    for (const [size, point] of write.deaths) {
      const committed = /committed/.test(point);
      rowOf(point).it(
        `${name}, ${size}, at ${point}: the ${committed ? 'new' : 'old'} content is there, and work goes on`,
        async () => {
          const repeat = REPEATS[size];
          const etag = write.old === undefined ? '' : (await store.put(KEY, write.old)).etag;
          assert.equal(await StoreProcess.run(description, write.action(repeat, etag), point), 'killed');
          same(await content(), committed ? contentOf(repeat) : write.old);

          await store.put(KEY, 'written afterwards');
          same(await content(), 'written afterwards');
        },
      );
    }
  }

  fault({
    area: 'The store in S3',
    fault: 'kill -9 in a resumable upload, and once more when its parts are put together',
    where: '`store.upload-recorded`, `store.partial-written`',
    ends: 'the upload goes on at its last checkpoint',
    needs: NEEDS,
  }).it('goes on with an upload at the last checkpoint, also when it is put together', async () => {
    const repeat = REPEATS.large;
    const all = contentOf(repeat);
    const upload: StoreAction = { kind: 'upload', key: KEY, size: all.length, pieces: PIECES, repeat };
    const third = PIECES.slice(0, 3).join('').length * repeat;
    assert.equal(await StoreProcess.run(description, upload, 'store.upload-recorded:3'), 'killed');
    const again = await store.resumeUpload(KEY, { size: all.length });
    assert.equal(again.durableBytes, third);
    await again.append(Buffer.from(all.slice(third)));
    await again.suspend();

    // All is durable; the process dies before S3 was told to make one object of the pieces.
    const rest: StoreAction = { ...upload, pieces: [] };
    assert.equal(await StoreProcess.run(description, rest, 'store.partial-written'), 'killed');
    same(await content(), undefined);
    const last = await store.resumeUpload(KEY, { size: all.length });
    assert.equal(last.durableBytes, all.length);
    await last.complete();
    same(await content(), all);
  });

  fault({
    area: 'The store in S3',
    fault: 'kill -9 of the S3 server itself, three times under load',
    where: 'the process of the server',
    ends: 'writes are tried again; nothing that was acknowledged is lost',
    needs: NEEDS,
  }).it('loses nothing that was acknowledged when the server itself is killed under load', async () => {
    // Patient enough for a server that is started again.
    const patient = await openS3Store(description, { retries: { attempts: 30, longestPauseMillis: 1000 } });
    const acknowledged = new Map<string, string>();
    let goal = 0;
    let reached: () => void = () => undefined;
    let next = 0;
    let stopped = false;
    const writer = async (): Promise<void> => {
      while (!stopped) {
        const key = `journal/${String(next++).padStart(6, '0')}`;
        const text = `${key} ${randomUUID()}`;
        await patient.putIfAbsent(key, Buffer.from(text));
        acknowledged.set(key, text);
        if (acknowledged.size >= goal) reached();
      }
    };
    const writers = Promise.all(Array.from({ length: 4 }, writer));
    for (let kill = 0; kill < 3; kill++) {
      goal = acknowledged.size + 40;
      await Promise.race([new Promise<void>((resolve) => (reached = resolve)), writers]);
      await server!.kill();
      await server!.launch();
    }
    stopped = true;
    await writers;
    await patient.close();
    assert.ok(acknowledged.size >= 120);
    for (const [key, text] of acknowledged) assert.equal((await readAll(store, key, 1000)).toString(), text);
  });
});
