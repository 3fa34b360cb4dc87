import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { create } from '@bufbuild/protobuf';
import { makeChunk } from '../../federation/chunk-codec';
import { decode } from '../../federation/encodings/decode';
import { encode } from '../../federation/encodings/encode';
import type { Encoding } from '../../federation/encodings/encoding';
import { ModelReferenceSchema, TaskSchema } from '../../federation/gen/federation/v1/federation_pb';
import { checkPlan } from '../../federation/plan';
import { REAL_PACING } from '../../fl-site/backoff';
import { checkSiteConfiguration } from '../../fl-site/configuration';
import { encodeUpdate } from '../../fl-site/encoded-update';
import { ModelCache } from '../../fl-site/model-cache';
import { checkTask } from '../../fl-site/task-checks';
import { Workspace } from '../../fl-site/workspace';
import { collected, fileOf, float32, floatsOf, inMemory } from '../federation/encodings/tensor-files';

const signal = new AbortController().signal;
const isKept = (): boolean => false;
const sha256 = (bytes: Buffer): Uint8Array => createHash('sha256').update(bytes).digest();
const FLOAT16: Encoding = { encoding: 'float16', delta: false };
const model = fileOf([float32('w', [0.1, 1 / 3, -7])], { made: 'by hand' });

describe('at a site, of a run whose models and updates are encoded,', () => {
  let workspace: Workspace;
  let encoded: Buffer;
  let decoded: Buffer;
  let downloads: number;

  before(async () => {
    encoded = await collected(
      encode({ encoding: FLOAT16, source: inMemory(model), isKept, seed: 0, what: 'm', signal }),
    );
    const file = { encoded: inMemory(encoded), model: inMemory(model).layout };
    decoded = await collected(decode({ encoding: FLOAT16, ...file, isKept, what: 'm', signal }));
  });
  beforeEach(async () => {
    workspace = new Workspace(await mkdtemp(path.join(os.tmpdir(), 'clara-site-')));
    downloads = 0;
  });
  afterEach(() => rm(workspace.root, { recursive: true, force: true }));

  const reference = (bytes: Buffer, what: Buffer) =>
    create(ModelReferenceSchema, {
      ...{ name: 'global', object: 'o', size: BigInt(bytes.length), sha256: sha256(bytes) },
      decoded: { size: BigInt(what.length), sha256: sha256(what) },
    });
  const provide = (bytes: Buffer, what: Buffer, encoding = FLOAT16) => {
    const client = {
      async *download() {
        downloads++;
        yield makeChunk(0, bytes, { size: bytes.length, sha256: sha256(bytes) });
      },
    };
    const options = { client, signal, pacing: REAL_PACING, onBytes: () => undefined, down: { encoding, isKept } };
    return new ModelCache(workspace).provide('run', reference(bytes, what), path.join(workspace.root, 'm'), options);
  };

  describe('a model', () => {
    it('is decoded before a trainer sees it, kept by the digest of what it is, and downloaded once', async () => {
      await provide(encoded, decoded);
      await provide(encoded, decoded);
      assert.deepEqual(await readFile(path.join(workspace.root, 'm')), decoded);
      assert.equal(downloads, 1);
      const name = `${Buffer.from(sha256(decoded)).toString('hex')}.safetensors`;
      assert.deepEqual(await readdir(workspace.modelsFolder('run')), [name], 'the encoded form is gone');
    });

    it('that decodes to another one than at the coordinator is refused', async () => {
      const other = Buffer.from(decoded);
      other[other.length - 1]! ^= 1;
      await assert.rejects(provide(encoded, other), { code: 'corrupt', message: /decodes to another model here/ });
      await assert.rejects(provide(encoded, decoded.subarray(1)), { code: 'corrupt' });
      assert.ok(!existsSync(path.join(workspace.root, 'm')));
      assert.deepEqual(await readdir(workspace.modelsFolder('run')), []);
    });

    it('in another encoding than the approved one, or in none, is refused', async () => {
      const bfloat16: Encoding = { encoding: 'bfloat16', delta: false };
      await assert.rejects(provide(encoded, decoded, bfloat16), { code: 'invalid-input', message: /dtype F16/ });
      await assert.rejects(provide(model, model), { code: 'corrupt', message: /does not say which model/ });
    });
  });

  describe('a task', () => {
    const plan = { name: 'p', rounds: 1, trainer: { name: 't' } };
    const site = checkSiteConfiguration(
      {
        ...{ id: 'a', coordinator: 'localhost:1', credentials: 'c', workspace: 'w', dataset: { kind: 'none' } },
        ...{ trainer: { name: 't', adapter: 'reference' }, limits: { modelBytes: 1000 } },
      },
      '/',
    );
    const task = (kind: string, track = 'federated', decodedBytes = 500n) =>
      create(TaskSchema, {
        ...{ id: 'r/x/1/a', kind, track, run: 'r', round: 1, rounds: 1, trainer: 't' },
        models: [
          {
            ...{ name: 'global', object: 'o', size: 100n, sha256: new Uint8Array(32) },
            decoded: { size: decodedBytes, sha256: new Uint8Array(32) },
          },
        ],
      });
    const approved = checkPlan({ ...plan, wire: { up: 'int8', down: 'float16' } });

    it('encodes updates of federated training only', () => {
      assert.equal(checkTask(task('train'), approved, site).up.encoding, 'int8');
      assert.equal(checkTask(task('train', 'alone'), approved, site).up.encoding, 'float32');
    });

    it('with an encoded model is refused where none was approved, and where it decodes to more than the limit', () => {
      assert.throws(() => checkTask(task('train'), checkPlan(plan), site), /models .*as approved/);
      assert.throws(() => checkTask(task('evaluate', 'federated', 1001n), approved, site), /models\.0\.decoded/);
    });
  });

  describe('an update by top-k', () => {
    const TOP_K: Encoding = { encoding: 'top-k', delta: true, fraction: 0.4 };
    const base = fileOf([float32('w', [0, 0, 0, 0, 0])]);
    const request = async (folder: string, values: readonly number[]) => {
      await mkdir(folder, { recursive: true });
      await writeFile(path.join(folder, 'global'), base);
      await writeFile(path.join(folder, 'update'), fileOf([float32('w', values)]));
      return encodeUpdate({
        ...{ update: path.join(folder, 'update'), global: path.join(folder, 'global'), folder, encoding: TOP_K },
        ...{ residual: workspace.residualFile('run'), isKept, seed: 1, signal },
      });
    };
    const sent = async ({ file }: { readonly file: string }) => [...floatsOf(await readFile(file), 'w')];

    it('goes on from the residual of the updates that the coordinator holds, done again to the same bytes', async () => {
      const first = path.join(workspace.runFolder('run'), 'first');
      const once = await request(first, [1, 2, 3, 4, 5]);
      assert.deepEqual(await sent(once), [4, 5]);
      // Not held yet: whatever is done now starts from nothing.
      assert.deepEqual((await request(first, [1, 2, 3, 4, 5])).sha256, once.sha256);
      const residual = path.join(first, 'residual.safetensors');
      await workspace.keepResidual('run', residual);
      await workspace.keepResidual('run', residual);
      const second = path.join(workspace.runFolder('run'), 'second');
      const next = await request(second, [1, 1, 1, 1, 1]);
      assert.deepEqual(await sent(next), [3, 4], '2 + 1 and 3 + 1 are the largest now');
      assert.deepEqual((await request(second, [1, 1, 1, 1, 1])).sha256, next.sha256);
    });
  });
});
