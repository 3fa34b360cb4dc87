import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CuttingProxy } from '../support/cutting-proxy';
import { fault } from '../support/faults';
import { Federation } from '../support/federation';
import { shiftModel } from '../support/shift-model';
import { until } from '../support/until';

const SITES = ['a', 'b'];

describe('a site that is killed with -9', () => {
  let federation: Federation;
  let proxy: CuttingProxy;
  let gate: string;

  before(async () => {
    federation = await Federation.start(SITES);
    proxy = await CuttingProxy.start(federation.port);
  });
  beforeEach(async function () {
    gate = path.join(federation.folder, `gate-${this.currentTest!.title.replace(/\W/g, '-')}`);
    await mkdir(gate);
    await federation.stopSite('a');
    await federation.configureSite('a', { port: proxy.port, trainer: { GATE: gate } });
    await federation.startSite('a');
  });
  after(async () => {
    await proxy?.close();
    await federation?.stop();
  });

  const kill = async () => {
    const site = federation.sites.get('a')!;
    site.kill('SIGKILL');
    assert.equal((await site.ended).signal, 'SIGKILL');
  };
  const trainersThatReachedTheGate = async () => {
    const reached = path.join(gate, 'reached');
    return existsSync(reached) ? (await readFile(reached, 'utf8')).trim().split('\n').length : 0;
  };

  fault({
    area: 'Sites and their trainers',
    fault: "kill -9 of a site's agent in training",
    where: 'the process of the agent',
    ends: 'the next start trains the round again; the same bytes',
  }).it('in training starts the round again and ends with the same model', async () => {
    const run = await federation.submit({ strategy: 'fedavgm', rounds: 2 });
    await until(async () => (await trainersThatReachedTheGate()) === 1, 'the trainer is at the gate');
    await kill();
    await federation.startSite('a');
    await until(async () => (await trainersThatReachedTheGate()) === 2, 'another trainer is at the gate');
    await writeFile(path.join(gate, 'open'), '');
    const { summary, rounds } = await federation.outcomeOf(run);
    assert.equal(summary!.state, 'completed', summary!.reason);
    const expected = shiftModel({ strategy: 'fedavgm', elements: 1000, rounds: [SITES, SITES] });
    assert.equal(summary!.modelDigest, expected.digest);
    assert.deepEqual(rounds[0]!.contributors, SITES);
  });

  fault({
    area: 'Sites and their trainers',
    fault: "kill -9 of a site's agent in the middle of an upload",
    where: 'the process of the agent',
    ends: 'no training again, no byte sent twice; the same bytes',
  }).it('in the middle of an upload goes on at the durable offset, without training again', async () => {
    const elements = 1_300_000;
    const run = await federation.submit({ rounds: 1, trainer: { name: 'shift', parameters: { elements } } });
    await until(async () => (await trainersThatReachedTheGate()) === 1, 'the trainer is at the gate');
    const stalled = proxy.arrange({ direction: 'up', afterBytes: 3 << 20, kind: 'stall' });
    await writeFile(path.join(gate, 'open'), '');
    await stalled;
    await kill();
    proxy.cut();
    await federation.startSite('a');
    const { summary, sites } = await federation.outcomeOf(run);
    assert.equal(summary!.state, 'completed', summary!.reason);
    const expected = shiftModel({ strategy: 'fedavg', elements, rounds: [SITES] });
    assert.equal(summary!.modelDigest, expected.digest);
    // The first weights and one update: no byte of either was sent twice.
    assert.equal(Number(sites[0]!.bytesFromSite), 2 * expected.bytes.length);
    assert.equal(await trainersThatReachedTheGate(), 1);
  });
});
