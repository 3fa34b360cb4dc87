import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { HeadObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { ClaraError, type ErrorCode } from '../../../../base/errors';
import { seededRandom } from '../../../../base/random';
import { type ObjectStore, readAll } from '../../../../fl-coordinator/storage/object-store';
import { openS3Store, type S3Store, type S3StoreOptions } from '../../../../fl-coordinator/storage/s3/s3-store';
import type { S3Address } from '../../../../fl-coordinator/storage/store-address';
import { fault } from '../../../support/faults';
import { S3FaultProxy, type S3Mishap } from '../../../support/s3-fault-proxy';
import { S3Server } from '../../../support/s3-server';

const MEBIBYTE = 1 << 20;
const DAY_MS = 24 * 3600e3;
const RETRIES = { attempts: 5, firstPauseMillis: 1, longestPauseMillis: 10, stallMillis: 800 };
/** Three parts. */
const BIG = bytesOf(17 * MEBIBYTE + 3);

const needs = 'an S3 server (`npm run s3-servers`)';
const area = 'The store in S3';

describe('S3 store on a bad line', () => {
  let server: S3Server | undefined;
  let proxy: S3FaultProxy;
  let bucket: S3Address;
  let address: S3Address;
  let store: S3Store;
  /** The same store, past the proxy. */
  let other: S3Store;
  const opened: S3Store[] = [];

  const open = async (where: S3Address, options: S3StoreOptions = {}): Promise<S3Store> => {
    const fresh = await openS3Store(where, { retries: RETRIES, ...options });
    opened.push(fresh);
    return fresh;
  };

  before(async function () {
    server = await S3Server.start(this, 'versitygw');
    bucket = await server.bucket('faults');
    proxy = await S3FaultProxy.start(server.port);
  });
  beforeEach(async () => {
    proxy.reset();
    address = { ...bucket, prefix: randomUUID() };
    store = await open({ ...address, endpoint: proxy.endpoint });
    other = await open(address);
    // What comes before the first write is a story of its own.
    await store.put('first', 'write');
    await store.delete('first');
    // Nor does its sweep, which nothing waits for, meet what a test arranges.
    await store.sweep();
    proxy.reset();
  });
  afterEach(() => Promise.all(opened.splice(0).map((each) => each.close())));
  after(async () => {
    await proxy?.close();
    await server?.stop();
  });

  const read = async (from: ObjectStore, key: string): Promise<string> =>
    (await readAll(from, key, MEBIBYTE)).toString();

  const METHODS: Record<string, { readonly method: string; readonly work: () => Promise<void> }> = {
    get: {
      method: 'GET',
      work: async () => {
        await other.put('key', 'content');
        assert.equal(await read(store, 'key'), 'content');
      },
    },
    head: {
      method: 'HEAD',
      work: async () => {
        const put = await other.put('key', 'content');
        assert.deepEqual(await store.head('key'), put);
      },
    },
    list: {
      method: 'GET',
      work: async () => {
        await other.put('key', 'content');
        for await (const found of store.list('')) assert.deepEqual(found, { key: 'key', size: 7 });
      },
    },
    put: {
      method: 'PUT',
      work: async () => {
        const info = await store.put('key', 'content');
        assert.equal(await read(other, 'key'), 'content');
        assert.deepEqual(await other.head('key'), info);
      },
    },
    putIfAbsent: {
      method: 'PUT',
      work: async () => {
        const info = await store.putIfAbsent('key', Buffer.from('content'));
        assert.deepEqual(await other.head('key'), info);
        await rejectsWith('precondition-failed', store.putIfAbsent('key', Buffer.from('content')));
      },
    },
    putIfMatch: {
      method: 'PUT',
      work: async () => {
        const { etag } = await other.put('key', 'old');
        const info = await store.putIfMatch('key', Buffer.from('new'), etag);
        assert.deepEqual(await other.head('key'), info);
        await rejectsWith('precondition-failed', store.putIfMatch('key', Buffer.from('new'), etag));
      },
    },
    delete: {
      method: 'DELETE',
      work: async () => {
        await other.put('key', 'content');
        await store.delete('key');
        await rejectsWith('not-found', other.head('key'));
      },
    },
    'put in parts': {
      method: 'PUT',
      work: async () => {
        await store.put('big', [BIG]);
        assert.equal(await digestOf(other, 'big'), digest(BIG));
      },
    },
    'the completion of an object in parts': {
      method: 'POST',
      work: async () => {
        const info = await store.put('big', [BIG]);
        assert.deepEqual(await other.head('big'), info);
      },
    },
    'a resumable upload': {
      method: 'PUT',
      work: async () => {
        const upload = await store.resumeUpload('update', { size: BIG.length });
        await upload.append(BIG.subarray(0, 9 * MEBIBYTE));
        assert.equal(await upload.checkpoint(), 9 * MEBIBYTE);
        await upload.append(BIG.subarray(9 * MEBIBYTE));
        await upload.complete();
        assert.equal(await digestOf(other, 'update'), digest(BIG));
      },
    },
  };
  const MISHAPS: readonly S3Mishap[] = [
    { kind: 'answer', status: 500, code: 'InternalError' },
    { kind: 'answer', status: 503, code: 'SlowDown' },
    { kind: 'answer', status: 409, code: 'ConditionalRequestConflict' },
    { kind: 'lost-request' },
    { kind: 'lost-answer' },
  ];

  for (const [name, { method, work }] of Object.entries(METHODS)) {
    fault({
      area,
      fault: `500, 503 SlowDown, 409, lost requests and lost answers, in ${name}`,
      where: 'a proxy before the server',
      ends: 'tried again; what happened is told from what did not',
      needs,
    }).it(`does ${name} through 500, 503 SlowDown, 409, lost requests and lost answers`, async () => {
      for (const mishap of MISHAPS) {
        proxy.arrange({ method, mishap, times: 2 });
        await work();
        assert.ok(proxy.isOver, `${JSON.stringify(mishap)} did not happen`);
        for (const key of ['key', 'big', 'update']) await other.delete(key);
        proxy.reset();
      }
    });
  }

  fault({
    area,
    fault: 'an answer is lost, and somebody else writes the very same bytes',
    where: 'a proxy before the server',
    ends: 'two writers never both believe that they wrote',
    needs,
  }).it("tells a lost answer from somebody else's write of the very same bytes", async () => {
    const meanwhile = () => other.putIfAbsent('journal/1', Buffer.from('same'));
    proxy.arrange({ method: 'PUT', path: 'journal/1', mishap: { kind: 'lost-request' }, meanwhile });
    await rejectsWith('precondition-failed', store.putIfAbsent('journal/1', Buffer.from('same')), 'journal/1');

    const { etag } = await other.head('journal/1');
    const replaceMeanwhile = () => other.putIfMatch('journal/1', Buffer.from('new'), etag);
    proxy.arrange({ method: 'PUT', path: 'journal/1', mishap: { kind: 'lost-request' }, meanwhile: replaceMeanwhile });
    await rejectsWith('precondition-failed', store.putIfMatch('journal/1', Buffer.from('new'), etag), 'journal/1');
  });

  it('writes an object once when answers to a write that happened are lost again and again', async () => {
    proxy.arrange({ method: 'PUT', mishap: { kind: 'lost-answer' }, times: 2 });
    const info = await store.putIfAbsent('journal/1', Buffer.from('event'));
    assert.deepEqual(await other.head('journal/1'), info);
    // The first attempt did it, the second and the third were refused and looked.
    assert.deepEqual(
      proxy.requests.map((each) => each.method),
      ['PUT', 'PUT', 'PUT', 'HEAD'],
    );
  });

  fault({
    area,
    fault: 'a body is cut, stalls or comes slowly',
    where: 'a proxy before the server',
    ends: 'reading goes on at the byte that is missing',
    needs,
  }).it('goes on with a body that is cut, stalls or comes slowly, from the byte that is missing', async () => {
    await other.put('big', [BIG]);
    // So that a pause of this machine is no stall, which would be asked for again too.
    const at = { ...address, endpoint: proxy.endpoint };
    const unhurried = await open(at, { retries: { ...RETRIES, stallMillis: 3000 } });
    const patient = await open(at, { retries: { ...RETRIES, stallMillis: 60_000 } });
    proxy.reset();
    for (const kind of ['cut-answer', 'stalled-answer', 'slow-answer'] as const) {
      proxy.arrange({ method: 'GET', mishap: { kind, afterBytes: 3 * MEBIBYTE + 1 } as S3Mishap });
      assert.equal(await digestOf(kind === 'stalled-answer' ? unhurried : patient, 'big'), digest(BIG));
      const ranges = proxy.requests.map(({ range }) => range);
      if (kind === 'slow-answer') assert.deepEqual(ranges, [undefined]);
      else assert.deepEqual(ranges, [undefined, `bytes=${3 * MEBIBYTE + 1}-${BIG.length - 1}`]);
      proxy.reset();
    }
  });

  it('reads ranges through cut and stalled answers', async () => {
    await other.put('big', [BIG]);
    const reader = await store.openForRanges('big');
    for (const kind of ['cut-answer', 'stalled-answer'] as const) {
      for (const offset of [0, 5 * MEBIBYTE - 10, BIG.length - 20]) {
        proxy.arrange({ method: 'GET', mishap: { kind, afterBytes: 3 } });
        const target = Buffer.alloc(20);
        await reader.read(offset, target);
        assert.ok(target.equals(BIG.subarray(offset, offset + 20)));
      }
    }
    await reader.close();
  });

  fault({
    area,
    fault: 'an object is replaced while its answer is cut',
    where: 'a proxy before the server',
    ends: 'two contents are never mixed',
    needs,
  }).it('never mixes two contents when an object is replaced while its answer is cut', async () => {
    await other.put('big', [BIG]);
    const mishap = { kind: 'cut-answer', afterBytes: MEBIBYTE } as const;
    proxy.arrange({ method: 'GET', mishap });
    const { bytes } = await store.get('big');
    await other.put('big', [bytesOf(17 * MEBIBYTE + 3, 2)]);
    await rejectsWith('precondition-failed', digestOfBytes(bytes), 'was replaced');
  });

  it('goes on with the old content where the bucket keeps versions', async () => {
    const versioned = await server!.bucket('versions', { versioned: true });
    const kept = await open({ ...versioned, endpoint: proxy.endpoint });
    const old = BIG.subarray(0, 9 * MEBIBYTE);
    await kept.put('model', [old]);
    const reader = await kept.openForRanges('model');
    proxy.arrange({ method: 'GET', path: 'model', mishap: { kind: 'cut-answer', afterBytes: MEBIBYTE } });
    const { bytes } = await kept.get('model');
    await kept.put('model', [bytesOf(9 * MEBIBYTE, 2)]);
    assert.equal(await digestOfBytes(bytes), digest(old));
    assert.ok(proxy.isOver);
    const target = Buffer.alloc(100);
    await reader.read(8 * MEBIBYTE, target);
    assert.ok(target.equals(old.subarray(8 * MEBIBYTE, 8 * MEBIBYTE + 100)));
    await reader.close();
    await kept.delete('model');
    await rejectsWith('not-found', kept.head('model'));
  });

  fault({
    area,
    fault: 'a byte changes on the way',
    where: 'a proxy before the server',
    ends: 'what is written is sent again; what is read is refused as corrupt',
    needs,
  }).it('sends again what was damaged on the way, and says corrupt when what it reads is damaged', async () => {
    proxy.arrange({ method: 'PUT', path: 'key', mishap: { kind: 'damaged-request' } });
    await store.put('key', 'content that matters');
    assert.equal(await read(other, 'key'), 'content that matters');
    assert.ok(proxy.isOver);

    proxy.arrange({ method: 'GET', mishap: { kind: 'damaged-answer' } });
    await rejectsWith('corrupt', read(store, 'key'), 'key');
  });

  fault({
    area,
    fault: 'S3 answers 503 for ever',
    where: 'a proxy before the server',
    ends: 'unavailable after some attempts; it works again when S3 does',
    needs,
  }).it('gives up after some attempts and says unavailable', async () => {
    proxy.arrange({ mishap: { kind: 'answer', status: 503, code: 'SlowDown' }, times: 1000 });
    await rejectsWith('unavailable', store.put('key', 'x'), 'SlowDown');
    assert.equal(proxy.requests.length, RETRIES.attempts);
    await rejectsWith('unavailable', store.head('key'), 'key');
    const upload = store.resumeUpload('update', { size: 5 });
    await rejectsWith('unavailable', upload, 'update');
    proxy.reset();
    await store.put('key', 'x');
  });

  it('stops trying when it is told to', async () => {
    const patient = await open(
      { ...address, endpoint: proxy.endpoint },
      { retries: { firstPauseMillis: 1e9, longestPauseMillis: 1e9 } },
    );
    await patient.put('any', 'write');
    // A sweep that met the mishap would pause as long.
    await patient.sweep();
    const stop = new AbortController();
    const meanwhile = async () => void setImmediate(() => stop.abort());
    proxy.arrange({ path: '/key', mishap: { kind: 'answer', status: 503, code: 'SlowDown' }, meanwhile, times: 1000 });
    await rejectsWith('cancelled', patient.put('key', 'x', { signal: stop.signal }), 'key');
  });

  it('has a code for every refusal', async () => {
    const refusals: readonly [status: number, code: string, expected: ErrorCode][] = [
      [403, 'AccessDenied', 'permission-denied'],
      [403, 'SignatureDoesNotMatch', 'permission-denied'],
      [400, 'KMS.DisabledException', 'permission-denied'],
      [404, 'NoSuchBucket', 'invalid-input'],
      [507, 'InsufficientStorage', 'out-of-space'],
      [501, 'NotImplemented', 'unsupported'],
      [400, 'SomethingNew', 'invalid-input'],
    ];
    for (const [status, code, expected] of refusals) {
      proxy.arrange({ method: 'PUT', path: 'key', mishap: { kind: 'answer', status, code } });
      await rejectsWith(expected, store.put('key', 'x'), 'key');
    }
  });

  it('refuses a bucket that is not there, a server that is not there, and credentials that are not there', async () => {
    await rejectsWith('invalid-input', open({ ...address, bucket: 'no-such-bucket' }), 's3://no-such-bucket');
    await rejectsWith('unavailable', open({ ...address, endpoint: 'http://127.0.0.1:1' }), 's3://faults');
    const before = { ...process.env };
    try {
      delete process.env.AWS_ACCESS_KEY_ID;
      delete process.env.AWS_SECRET_ACCESS_KEY;
      for (const file of ['AWS_SHARED_CREDENTIALS_FILE', 'AWS_CONFIG_FILE']) process.env[file] = '/nonexistent';
      process.env.AWS_EC2_METADATA_DISABLED = 'true';
      await rejectsWith('permission-denied', open(address), 'no AWS credentials');
      Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'somebody', AWS_SECRET_ACCESS_KEY: 'else' });
      await rejectsWith('permission-denied', open(address), 's3://faults');
    } finally {
      process.env = before;
    }
  });

  fault({
    area,
    fault: 'a server ignores conditions of writes',
    where: 'a proxy before the server',
    ends: 'refused before anything is written',
    needs,
  }).it('refuses a server that ignores the conditions of writes, before anything is written', async () => {
    const careless = await open({ ...bucket, prefix: randomUUID(), endpoint: proxy.endpoint });
    proxy.arrange({ method: 'PUT', path: 'format.json', mishap: { kind: 'answer', status: 200, code: '' }, times: 2 });
    await rejectsWith('unsupported', careless.putIfAbsent('journal/1', Buffer.from('x')), 'If-None-Match');
    proxy.reset();
    const mishap = { kind: 'answer', status: 200, code: '' } as const;
    proxy.arrange({ method: 'PUT', path: 'format.json', header: 'if-match', mishap });
    await rejectsWith('unsupported', careless.resumeUpload('update', { size: 1 }), 'If-Match');
    proxy.reset();
    await careless.putIfAbsent('journal/1', Buffer.from('x'));
  });

  it('sweeps uploads of a week ago and parts of a day ago, and nothing younger', async () => {
    const client = server!.client();
    const left = async (): Promise<[files: number, parts: number]> => {
      const where = { Bucket: bucket.bucket, Prefix: `${address.prefix}/` };
      const { Contents = [] } = await client.send(new ListObjectsV2Command(where));
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand(where));
      return [Contents.filter(({ Key }) => Key!.includes('.store/uploads/')).length, Uploads.length];
    };
    const upload = await other.resumeUpload('update', { size: BIG.length });
    await upload.append(BIG.subarray(0, 9 * MEBIBYTE));
    await upload.suspend();
    const writer = await other.create('model');
    await writer.write(BIG.subarray(0, 9 * MEBIBYTE));
    // The part is on its way; the writer is never finished, as if its process had died.
    while ((await left())[1] === 0);
    assert.deepEqual(await left(), [3, 1]);
    await other.sweep();
    assert.deepEqual(await left(), [3, 1]);
    await (await open(address, { now: () => Date.now() + 2 * DAY_MS })).sweep();
    assert.deepEqual(await left(), [3, 0]);
    const young = await other.resumeUpload('update', { size: BIG.length });
    assert.equal(young.durableBytes, 9 * MEBIBYTE);
    await young.suspend();
    await (await open(address, { now: () => Date.now() + 8 * DAY_MS })).sweep();
    assert.deepEqual(await left(), [0, 0]);
    await writer.discard();
    client.destroy();
  });
});

describe('S3 store with a KMS key', () => {
  let server: S3Server | undefined;
  before(async function () {
    server = await S3Server.start(this, 'ministack');
  });
  after(() => server?.stop());

  it('has every object encrypted with it, also those in parts and its own files', async () => {
    const bucket = await server!.bucket('encrypted');
    const kmsKeyId = 'arn:aws:kms:us-east-1:000000000000:key/0b1c2d3e-0000-4000-8000-000000000000';
    const store = await openS3Store({ ...bucket, kmsKeyId }, { retries: RETRIES });
    await store.putIfAbsent('small', Buffer.from('x'));
    await store.put('big', [BIG]);
    const upload = await store.resumeUpload('update', { size: BIG.length });
    await upload.append(BIG.subarray(0, 9 * MEBIBYTE));
    await upload.checkpoint();
    await upload.append(BIG.subarray(9 * MEBIBYTE));
    const client = server!.client();
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: 'encrypted' }));
    assert.equal(Contents.length, 6, 'two objects, the mark of the store, the record and two pieces of the upload');
    await upload.complete();
    for (const Key of [...Contents.map(({ Key }) => Key!).filter((key) => !key.includes('uploads')), 'update']) {
      const { ServerSideEncryption, SSEKMSKeyId } = await client.send(
        new HeadObjectCommand({ Bucket: 'encrypted', Key }),
      );
      assert.deepEqual([Key, ServerSideEncryption, SSEKMSKeyId], [Key, 'aws:kms', kmsKeyId]);
    }
    client.destroy();
    await store.close();
  });
});

function bytesOf(length: number, seed = 1): Buffer {
  const random = seededRandom(seed);
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let i = 0; i < words.length; i++) words[i] = Math.floor(random.uniform() * 2 ** 32);
  return Buffer.from(words.buffer, 0, length);
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function digestOf(store: ObjectStore, key: string): Promise<string> {
  return digestOfBytes((await store.get(key)).bytes);
}

async function digestOfBytes(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of bytes) hash.update(piece);
  return hash.digest('hex');
}

async function rejectsWith(code: ErrorCode, promise: Promise<unknown>, mentions = ''): Promise<void> {
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof ClaraError, `${error} is no ClaraError`);
    assert.equal(error.code, code, error.message);
    assert.ok(error.message.includes(mentions), `"${error.message}" does not mention "${mentions}"`);
    return true;
  });
}
