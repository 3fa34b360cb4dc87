import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ownProgram } from '../../../base/own-program';
import { FAULT_POINT_VARIABLE, FAULT_POINTS } from '../../../fl-coordinator/fault-points';
import { type DirectoryStore, openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { fault } from '../../support/faults';
import { aggregateRound, CONTROLS_KEY, CRASHING_SITES, CRASHING_STRATEGIES, SCAFFOLD } from './aggregate-client';
import { digestOf, fileOf, randomValues, readObject } from './models';

const PAIR = ['moments/first.safetensors', 'moments/second.safetensors'];
const VELOCITY = ['moments/velocity.safetensors'];

/** Everything that a strategy makes, in the order of keys. */
const outputsOf = (strategy: string): string[] =>
  strategy === SCAFFOLD ? ['model', ...VELOCITY, CONTROLS_KEY] : ['model', ...PAIR];

/** What may be there after the process died at a point. */
const visibleOf = (strategy: string): Readonly<Record<string, readonly string[]>> =>
  strategy === SCAFFOLD
    ? {
        // The control variate is made first, then the model in the same way.
        'aggregate.after-scan': [],
        'aggregate.after-block': [],
        'aggregate.before-finish': [],
        'store.committed': [CONTROLS_KEY],
        'aggregate.after-finish': [CONTROLS_KEY],
        'aggregate.after-scan:2': [CONTROLS_KEY],
        'aggregate.after-block:3': [CONTROLS_KEY],
        'aggregate.before-finish:2': [CONTROLS_KEY],
        'aggregate.after-finish:2': outputsOf(strategy),
      }
    : {
        'aggregate.after-scan': [],
        'aggregate.after-block': [],
        'aggregate.before-finish': [],
        // The first of the moments was just finished; the model comes last.
        'store.committed': [PAIR[0]!],
        'aggregate.after-finish': outputsOf(strategy),
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
        const values = randomValues(seed, (1 << 18) + 13);
        const control = { name: 'scaffold-control/w', dtype: 'F32' as const, shape: [values.length], values };
        const tensors = [{ ...control, name: 'w' }, ...(seed > 0 && strategy === SCAFFOLD ? [control] : [])];
        await store.put(key, fileOf(tensors));
      }
      expected = await aggregateRound(root, strategy);
    });

    beforeEach(async () => {
      for (const key of outputsOf(strategy)) await store.delete(key);
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
        points.filter((point) => !(point in visibleOf(strategy))),
        [],
      );
    });

    for (const [point, visible] of Object.entries(visibleOf(strategy))) {
      fault({
        area: 'The coordinator is killed or paused',
        fault: `kill -9 at \`${point.split(':')[0]}\`, in the aggregation by ${strategy}`,
        where: `a process that aggregates${point.includes(':') ? `, passage ${point.split(':')[1]}` : ''}`,
        ends: 'what is visible is whole; once more gives the same bytes',
      }).it(`at ${point}: what is visible is whole, and once more gives the same bytes`, async () => {
        const { command, args } = ownProgram(path.join(__dirname, 'aggregate-client'), root, strategy);
        const env = { ...process.env, [FAULT_POINT_VARIABLE]: point };
        const [, signal] = await once(spawn(command, args, { stdio: 'inherit', env }), 'exit');
        assert.equal(signal, 'SIGKILL');
        assert.deepEqual(await outputs(), visible);
        if (visible.includes('model')) assert.equal(digestOf(await readObject(store, 'model')), expected.split(' ')[0]);

        assert.equal(await aggregateRound(root, strategy), expected);
        assert.equal(digestOf(await readObject(store, 'model')), expected.split(' ')[0]);
        assert.deepEqual(await outputs(), outputsOf(strategy));
      });
    }
  });
}
