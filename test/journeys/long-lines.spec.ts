import assert from 'node:assert/strict';
import { fault } from '../support/faults';
import { Federation } from '../support/federation';
import { LongLine } from '../support/long-line';
import { shiftModel } from '../support/shift-model';

const SITES = ['a', 'b'];
/** Some MiB: what travels comes to a few hundred pieces. */
const ELEMENTS = 1_300_000;
const MODEL = shiftModel({ strategy: 'fedavg', elements: ELEMENTS, rounds: [SITES, SITES] });

describe('sites far away, on lines that stall', function () {
  this.timeout(120_000);
  let federation: Federation;
  let line: LongLine;

  before(async () => {
    federation = await Federation.start([]);
    const stalls = { share: 0.01, millis: 1500, seed: 7 };
    line = await LongLine.start(federation.port, { rttMillis: 40, stalls });
    for (const site of SITES) {
      await federation.addSite(site, { port: line.port });
      await federation.startSite(site);
    }
  });
  after(async () => {
    await federation?.stop();
    await line?.close();
  });

  fault({
    area: 'Lines between sites and coordinator',
    fault: '40 ms there and back, and one piece of 64 KiB in a hundred stalls for 1.5 s (seed 7)',
    where: 'between all sites and the coordinator',
    ends: 'nothing is given up or sent twice; the same bytes',
  }).it('end a run with the same bytes, and send nothing twice', async () => {
    const run = await federation.submit({ rounds: 2, trainer: { name: 'shift', parameters: { elements: ELEMENTS } } });
    const { summary, sites } = await federation.outcomeOf(run);
    assert.equal(summary!.state, 'completed', summary!.reason);
    assert.equal(summary!.modelDigest, MODEL.digest);
    assert.ok(line.stalled >= 3, `only ${line.stalled} of ${line.pieces} pieces stalled`);
    const sent = sites.map(({ bytesFromSite }) => Number(bytesFromSite) / MODEL.bytes.length);
    assert.deepEqual(sent, [3, 2], 'models that each site sent');
    for (const site of SITES) {
      const { records } = federation.sites.get(site)!;
      assert.deepEqual(
        records.filter(({ event }) => event === 'disconnected'),
        [],
        `${site} gave up its connection`,
      );
    }
  });
});
