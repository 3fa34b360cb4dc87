import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ownProgram } from '../../../base/own-program';
import { FAULT_POINT_VARIABLE, FAULT_POINTS } from '../../../fl-coordinator/fault-points';
import { type DirectoryStore, openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { aggregateRound, CRASHING_SITES, CRASHING_STRATEGIES } from './aggregate-client';
import { digestOf, randomValues, readObject, vectorFile } from './models';

const MOMENT_KEYS = ['moments/first.safetensors', 'moments/second.safetensors'];

/** What may be there after the process died at a point. */
const VISIBLE: Readonly<Record<string, readonly string[]>> = {
  'aggregate.after-scan': [],
  'aggregate.after-block': [],
  'aggregate.before-finish': [],
  // The first of the moments was just finished; the model comes last.
  'store.committed': [MOMENT_KEYS[0]!],
  'aggregate.after-finish': ['model', ...MOMENT_KEYS],
};

for (const strategy of Object.keys(CRASHING_STRATEGIES)) {
  describe(`aggregation by ${strategy} killed in the middle`, () => {
    let root: string;
    let store: DirectoryStore;
    let expected: string;

    before(async () => {
      root = await mkdtemp(path.join(tmpdir(), 'clara-aggregation-'));
      store = await openDirectoryStore(root);
      for (const [seed, key] of ['base', ...CRASHING_SITES.map((site) => `updates/${site}`)].entries()) {
        await store.put(key, vectorFile(randomValues(seed, (1 << 18) + 13)));
      }
      expected = await aggregateRound(root, strategy);
    });

    beforeEach(async () => {
      for (const key of [...MOMENT_KEYS, 'model']) await store.delete(key);
    });

    after(async () => {
      await store.close();
      await rm(root, { recursive: true });
    });

    const outputs = async (): Promise<string[]> => {
      const keys: string[] = [];
      for await (const { key } of store.list('mo')) keys.push(key);
      return keys;
    };

    it('covers every fault point of aggregation', () => {
      const points = FAULT_POINTS.filter((point) => point.startsWith('aggregate.'));
      assert.deepEqual(
        points.filter((point) => !(point in VISIBLE)),
        [],
      );
    });

    for (const [point, visible] of Object.entries(VISIBLE)) {
      it(`at ${point}: what is visible is whole, and once more gives the same bytes`, async () => {
        const { command, args } = ownProgram(path.join(__dirname, 'aggregate-client'), root, strategy);
        const env = { ...process.env, [FAULT_POINT_VARIABLE]: point };
        const [, signal] = await once(spawn(command, args, { stdio: 'inherit', env }), 'exit');
        assert.equal(signal, 'SIGKILL');
        assert.deepEqual(await outputs(), visible);
        if (visible.includes('model')) assert.equal(digestOf(await readObject(store, 'model')), expected);

        assert.equal(await aggregateRound(root, strategy), expected);
        assert.equal(digestOf(await readObject(store, 'model')), expected);
        assert.deepEqual(await outputs(), ['model', ...MOMENT_KEYS]);
      });
    }
  });
}
