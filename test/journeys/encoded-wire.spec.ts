import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { PlanInput } from '../../federation/plan';
import { FAULT_POINT_VARIABLE } from '../../fl-coordinator/fault-points';
import { CuttingProxy } from '../support/cutting-proxy';
import { fault } from '../support/faults';
import { Federation } from '../support/federation';
import { shiftModel } from '../support/shift-model';
import { until } from '../support/until';
import { int8Up, topKUp } from '../support/wire-by-hand';

const SITES = ['a', 'b', 'c'];
const ELEMENTS = 1000;
const TOP_K = { up: { encoding: 'top-k', fraction: 0.1 }, down: 'bfloat16' } as const;

describe('a run whose models and updates are encoded', () => {
  let federation: Federation;

  before(async () => {
    federation = await Federation.start(SITES);
  });
  after(() => federation?.stop());

  const outcome = async (run: string) => {
    const view = await federation.outcomeOf(run);
    assert.equal(view.summary!.state, 'completed', view.summary!.reason);
    return view;
  };

  it('int8 up and float16 down end with the model that their definitions give, in fewer bytes', async () => {
    const wire = { up: 'int8', down: 'float16' } as const;
    const run = await federation.submit({ rounds: 2, wire, evaluation: { everyRound: true, crossSite: true } });
    const { summary, rounds, matrix } = await outcome(run);
    const expected = shiftModel({
      ...{ strategy: 'fedavg', elements: ELEMENTS, rounds: [SITES, SITES], wire: int8Up(ELEMENTS) },
    });
    assert.equal(summary!.modelDigest, expected.digest);
    const file = path.join(federation.folder, 'int8.safetensors');
    assert.equal((await federation.verb('model', 'fetch', run, '-o', file)).code, 0);
    assert.deepEqual(await readFile(file), expected.bytes);
    // Of three sites, headers of about a thousand bytes included; the model is trained and judged from one download.
    const { bytesFromSites } = rounds[1]!;
    assert.ok(Number(bytesFromSites) < 3 * (ELEMENTS * 1.05 + 1500), `${bytesFromSites} bytes`);
    const { bytesToSites } = rounds[1]!;
    assert.ok(Number(bytesToSites) < 3 * (ELEMENTS * 2 + 1500), `${bytesToSites} bytes`);
    assert.ok(
      matrix.some(({ model }) => model === 'update:b'),
      'decoded updates are judged as they are',
    );
    await federation.verifyStore();
  });

  it('works with a robust combiner and a server optimiser, relative to the model that sites have', async () => {
    const wire = { up: 'int8', down: 'float16' } as const;
    for (const strategy of ['median', 'fedadam'] as const) {
      const { summary } = await outcome(await federation.submit({ rounds: 2, strategy, wire }));
      const expected = shiftModel({
        ...{ strategy, elements: ELEMENTS, rounds: [SITES, SITES], wire: int8Up(ELEMENTS) },
      });
      assert.equal(summary!.modelDigest, expected.digest, strategy);
    }
  });

  it('top-k sends the largest changes, and the others in later rounds', async () => {
    const { summary } = await outcome(await federation.submit({ rounds: 4, wire: TOP_K }));
    const rounds = [SITES, SITES, SITES, SITES];
    const { digest } = shiftModel({ strategy: 'fedavg', elements: ELEMENTS, rounds, wire: topKUp(ELEMENTS, 0.1) });
    assert.equal(summary!.modelDigest, digest);
  });

  it('frozen tensors stay at home, keep their last bit, and the others are encoded beside them', async () => {
    const made = await federation.submit({ rounds: 2, strategy: 'fedadam' });
    await outcome(made);
    const fetched = async (run: string) => {
      const file = path.join(federation.folder, `${run}.safetensors`);
      assert.equal((await federation.verb('model', 'fetch', run, '-o', file)).code, 0);
      return readFile(file);
    };
    const start = await fetched(made);
    const run = await federation.submit({
      ...{ initialModel: { from: 'run', run: made }, frozenTensors: ['^w$'], rounds: 2 },
      wire: { up: { encoding: 'int8' }, down: 'float16' },
    });
    const { rounds } = await outcome(run);
    const end = await fetched(run);
    const bias = end.length - 3 * 4;
    assert.deepEqual(end.subarray(0, bias), start.subarray(0, bias), 'w is as it was');
    const wire = int8Up(ELEMENTS);
    const whole = shiftModel({ strategy: 'fedavg', elements: ELEMENTS, rounds: [SITES, SITES], start, wire });
    assert.deepEqual(end.subarray(bias), whole.bytes.subarray(bias));
    for (const { bytesFromSites } of rounds) {
      assert.ok(bytesFromSites > 0n && Number(bytesFromSites) < SITES.length * ELEMENTS, `${bytesFromSites} bytes`);
    }
  });

  it('rounded by chance, the same plan and seed give the same bytes', async () => {
    const int8 = { encoding: 'int8', rounding: 'stochastic' } as const;
    const plan: Partial<PlanInput> = { rounds: 2, wire: { up: { ...int8, delta: true }, down: int8 } };
    const digests = [];
    for (const seed of [5, 5, 6]) {
      digests.push((await outcome(await federation.submit({ ...plan, seed }))).summary!.modelDigest);
    }
    assert.equal(digests[0], digests[1]);
    assert.notEqual(digests[0], digests[2]);
  });

  it('a model that float16 cannot hold ends the run with the tensor and the way out', async () => {
    // Each round's step is longer than the one before by about a thousand.
    const strategy = { name: 'fedavgm', lr: 1000, beta: 0.99 } as const;
    const run = await federation.submit({ rounds: 1000, strategy, wire: { down: 'float16' } });
    const { summary } = await federation.outcomeOf(run);
    assert.equal(summary!.state, 'failed');
    assert.match(summary!.reason, /could not be made: .*(w|bias): element \d+ is beyond the 65504 of float16; choose/);
  });

  fault({
    area: 'The coordinator is killed or paused',
    fault: 'kill -9 at `upload.after-decode` in a run, and before it',
    where: 'the process of the coordinator, while it decodes an encoded update',
    ends: 'the next start decodes again; the run ends with the bytes of its definition',
  }).it('goes on to the same bytes when the coordinator dies before and after it decodes', async () => {
    const { digest } = shiftModel({
      ...{ strategy: 'fedavg', elements: ELEMENTS, rounds: [SITES, SITES, SITES], wire: topKUp(ELEMENTS, 0.1) },
    });
    for (const point of ['upload.after-complete:5', 'upload.after-decode:4', 'store.partial-half-written:40']) {
      await federation.coordinator.stop();
      const doomed = await federation.startCoordinator({ [FAULT_POINT_VARIABLE]: point });
      const run = await federation.submit({ rounds: 3, wire: TOP_K });
      assert.equal((await doomed.ended).signal, 'SIGKILL', point);
      await federation.startCoordinator();
      assert.equal((await outcome(run)).summary!.modelDigest, digest, point);
    }
  });

  it('goes on at the durable offset, from the same residual, when a site dies in an upload', async () => {
    const elements = 3_000_000;
    const proxy = await CuttingProxy.start(federation.port);
    const gate = path.join(federation.folder, 'gate');
    await mkdir(gate);
    await federation.stopSite('a');
    await federation.configureSite('a', { port: proxy.port, trainer: { GATE: gate } });
    await federation.startSite('a');
    const wire = { up: { encoding: 'top-k', fraction: 0.25 }, down: 'float16' } as const;
    const plan = { rounds: 2, trainer: { name: 'shift', parameters: { elements } }, wire } as const;
    const run = await federation.submit(plan);
    await until(async () => existsSync(path.join(gate, 'reached')), 'the trainer is at the gate');
    const stalled = proxy.arrange({ direction: 'up', afterBytes: 2 << 20, kind: 'stall' });
    await writeFile(path.join(gate, 'open'), '');
    await stalled;
    const site = federation.sites.get('a')!;
    site.kill('SIGKILL');
    await site.ended;
    proxy.cut();
    await federation.startSite('a');
    const { summary, sites, rounds } = await outcome(run);
    const again = await outcome(await federation.submit(plan));
    assert.equal(summary!.modelDigest, again.summary!.modelDigest);
    // The first weights as they are, and two encoded updates: no byte was sent twice.
    const sent = rounds.reduce((sum, { bytesFromSites }) => sum + Number(bytesFromSites), 0) / SITES.length;
    assert.ok(Number(sites[0]!.bytesFromSite) < elements * 4 + sent + 4096, `${sites[0]!.bytesFromSite} bytes`);
    await proxy.close();
  });
});
