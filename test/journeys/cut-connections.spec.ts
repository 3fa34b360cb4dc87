import assert from 'node:assert/strict';
import { CuttingProxy, type Mishap } from '../support/cutting-proxy';
import { fault } from '../support/faults';
import { Federation } from '../support/federation';
import { shiftModel } from '../support/shift-model';

const SITES = ['a', 'b'];
const ELEMENTS = 600_000;

describe('a connection that', () => {
  let federation: Federation;
  let proxy: CuttingProxy;
  const expected = shiftModel({ strategy: 'fedavg', elements: ELEMENTS, rounds: [SITES, SITES] });

  before(async () => {
    federation = await Federation.start(SITES);
    proxy = await CuttingProxy.start(federation.port);
    await federation.stopSite('a');
    await federation.configureSite('a', { port: proxy.port });
    await federation.startSite('a');
  });
  after(async () => {
    await proxy?.close();
    await federation?.stop();
  });

  for (const [what, kind, direction] of [
    ['is cut in the middle of an upload', 'cut', 'up'],
    ['is cut in the middle of a download', 'cut', 'down'],
    ['damages a byte on the way up', 'corrupt', 'up'],
    ['damages a byte on the way down', 'corrupt', 'down'],
  ] as const satisfies readonly (readonly [string, Mishap['kind'], Mishap['direction']])[]) {
    fault({
      area: 'Lines between sites and coordinator',
      fault: `a connection ${what}`,
      where: 'a proxy between a site and the coordinator',
      ends: 'the transfer goes on at its offset; nothing is sent twice; the same bytes',
    }).it(`${what} does not change the model`, async () => {
      const happened = proxy.arrange({ direction, kind, afterBytes: 1_500_000 });
      const parameters = { elements: ELEMENTS };
      const run = await federation.submit({ rounds: 2, trainer: { name: 'shift', parameters } });
      await happened;
      const { summary, sites, rounds } = await federation.outcomeOf(run);
      assert.equal(summary!.state, 'completed', summary!.reason);
      assert.equal(summary!.modelDigest, expected.digest);
      assert.deepEqual(
        rounds.map(({ contributors }) => contributors),
        [SITES, SITES],
      );
      // First weights and two updates. What the coordinator had received before the accident was not sent again.
      assert.equal(Number(sites[0]!.bytesFromSite), 3 * expected.bytes.length);
    });
  }
});
