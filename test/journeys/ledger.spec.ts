import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Federation } from '../support/federation';

describe('the ledger of a run with real processes', () => {
  let federation: Federation;

  before(async () => {
    federation = await Federation.start(['a', 'b']);
  });
  after(() => federation?.stop());

  it('adds up, is written as CSV, and is the same after a kill -9 of the coordinator', async () => {
    const run = await federation.submit({ rounds: 2, evaluation: { everyRound: true } });
    const view = await federation.outcomeOf(run);
    assert.equal(view.summary!.state, 'completed', view.summary!.reason);
    const ledger = async (): Promise<readonly Record<string, unknown>[]> => {
      const { code, stderr, program } = await federation.verb('run', 'ledger', run, '--json');
      assert.equal(code, 0, stderr);
      return program.records;
    };
    const entries = await ledger();
    assert.deepEqual(
      entries.map(({ part, round }) => `${part} ${round}`),
      ['initialise 0', 'round 1', 'round 2'],
    );
    for (const [index, entry] of entries.slice(1).entries()) {
      const seconds = (name: string) => Number(entry[`${name}Seconds`]);
      const parts = seconds('waiting') + seconds('transfer') + seconds('aggregation') + seconds('evaluation');
      // Between two stages the journal itself takes time, which is of no part; times of events are whole milliseconds.
      assert.ok(parts <= Number(entry.seconds) + 0.01, JSON.stringify(entry));
      assert.ok(seconds('waiting') > 0 && seconds('transfer') > 0 && seconds('aggregation') > 0, JSON.stringify(entry));
      assert.equal(entry.bytesToSites, Number(view.rounds[index]!.bytesToSites));
      assert.equal(entry.bytesFromSites, Number(view.rounds[index]!.bytesFromSites));
      assert.ok(Number(entry.coordinatorPeakRssBytes) > 10 * 2 ** 20);
      const sites = entry.sites as { site: string; outcome: string; seconds: number; peakRssBytes: number }[];
      assert.deepEqual(
        sites.map(({ site, outcome }) => `${site} ${outcome}`),
        ['a update', 'b update'],
      );
      assert.ok(sites.every((site) => site.seconds > 0 && site.peakRssBytes > 10 * 2 ** 20));
    }

    federation.coordinator.kill('SIGKILL');
    await federation.coordinator.ended;
    await federation.startCoordinator();
    assert.deepEqual(await ledger(), entries);

    const file = path.join(federation.folder, 'ledger.csv');
    const { code, stdout } = await federation.verb('run', 'ledger', run, '-o', file);
    assert.equal(code, 0);
    assert.match(stdout, /^round 2 /m);
    assert.equal((await readFile(file, 'utf8')).split('\r\n').length, 1 + 3 + 1);
  });
});
