import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Federation } from '../support/federation';
import { shiftModel } from '../support/shift-model';

const SITES = ['a', 'b', 'c'];

describe('a federated run, from invitation to model', () => {
  let federation: Federation;

  before(async () => {
    federation = await Federation.start(SITES);
  });
  after(() => federation?.stop());

  for (const strategy of ['fedavg', 'fedavgm', 'fedadam', 'median'] as const) {
    it(`${strategy} ends with the model that its definition gives`, async () => {
      const run = await federation.submit({ strategy, rounds: 3 });
      const view = await federation.outcomeOf(run);
      assert.equal(view.summary!.state, 'completed', view.summary!.reason);
      const expected = shiftModel({ strategy, elements: 1000, rounds: [SITES, SITES, SITES] });
      const file = path.join(federation.folder, `${strategy}.safetensors`);
      const fetched = await federation.verb('model', 'fetch', run, '-o', file, '--json');
      assert.equal(fetched.code, 0, fetched.stderr);
      assert.deepEqual(await readFile(file), expected.bytes);
      assert.equal(view.summary!.modelDigest, expected.digest);
      assert.deepEqual(
        view.rounds.map(({ contributors }) => contributors),
        [SITES, SITES, SITES],
      );
    });
  }
});
