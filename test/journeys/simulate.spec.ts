import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { deriveSeed, seededRandom } from '../../base/random';
import type { PlanInput } from '../../federation/plan';
import { readTensors } from '../../federation/tensors/file';
import { softmaxData } from '../../simulation/softmax/site-data';
import { Program, type ProgramRecord } from '../support/program';

const PARAMETERS = {
  features: 6,
  classes: 3,
  samples: 20,
  regularisation: 0.05,
  learningRate: 0.3,
  epochs: 1,
  batch: 0,
};
const PLAN: PlanInput = { name: 'try', trainer: { name: 'convex', parameters: PARAMETERS }, rounds: 3, seed: 7 };

describe('clara-fed simulate', function () {
  this.timeout(180_000);
  let folder: string;
  let workspace: string;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'clara-simulate-'));
    workspace = path.join(folder, 'simulation');
  });
  afterEach(() => rm(folder, { recursive: true }));

  const start = async (plan: PlanInput, ...args: readonly string[]): Promise<Program> => {
    const file = path.join(folder, 'plan.yaml');
    await writeFile(file, stringify(plan));
    return new Program(['simulate', file, '--workspace', workspace, '--json', ...args]);
  };
  const run = async (plan: PlanInput, ...args: readonly string[]): Promise<readonly ProgramRecord[]> => {
    const program = await start(plan, ...args);
    const { code, stderr } = await program.ended;
    assert.deepEqual([code, stderr], [0, '']);
    return program.records;
  };
  const filesOf = async () => (await readdir(workspace)).filter((name) => !name.startsWith('agent.lock')).sort();

  it('makes the model that plain gradient descent on all data makes, and leaves history, model and report', async () => {
    const records = await run(PLAN, '--sites', '5', '--skew', '0.4');
    assert.deepEqual(
      records.map(({ event }) => event),
      ['simulation', 'ready', 'submitted', 'round', 'round', 'round', 'done'],
    );
    const done = records.at(-1)!;
    assert.deepEqual(await filesOf(), ['history.json', 'model.safetensors', 'report.html', 'simulation.json']);
    const bytes = await readFile(path.join(workspace, 'model.safetensors'));
    assert.equal(done.modelDigest, `sha256:${createHash('sha256').update(bytes).digest('hex')}`);

    // One step of all examples at each site, weighted by examples, is one step on all of them together.
    const sites = ['001', '002', '003', '004', '005'].map((n) => softmaxData(7, `site-${n}`, 0.4, PARAMETERS).training);
    const expected = descent(sites, PARAMETERS, 3);
    const { tensors } = await readTensors(path.join(workspace, 'model.safetensors'));
    const found = [...(tensors.get('weight')!.data as Float32Array), ...(tensors.get('bias')!.data as Float32Array)];
    assert.equal(found.length, expected.length);
    for (const [i, value] of found.entries()) {
      assert.ok(Math.abs(value - expected[i]!) < 1e-5, `weight ${i}: ${value}, ${expected[i]}`);
    }

    const history = JSON.parse(await readFile(path.join(workspace, 'history.json'), 'utf8')) as {
      rounds: { modelDigest: string; evaluation: Record<string, number>; bytesFromSites: number }[];
    };
    assert.equal(history.rounds.at(-1)!.modelDigest, done.modelDigest);
    assert.deepEqual(history.rounds.at(-1)!.evaluation, done.evaluation);
    assert.equal(
      history.rounds[0]!.bytesFromSites,
      5 * bytes.length,
      'what would travel is what went through the port',
    );
    const report = await readFile(path.join(workspace, 'report.html'), 'utf8');
    assert.match(report, /<svg/);
    assert.doesNotMatch(report, /<script|https?:\/\/(?!www\.w3\.org)/);
  });

  it('gives the same model for the same seed, whatever the number of threads, and another for another seed', async () => {
    const batches: PlanInput = { ...PLAN, trainer: { name: 'convex', parameters: { ...PARAMETERS, batch: 4 } } };
    const digests: unknown[] = [];
    for (const args of [
      ['--threads', '1'],
      ['--threads', '3'],
      ['--seed', '8'],
    ]) {
      digests.push((await run(batches, '--sites', '6', ...args)).at(-1)!.modelDigest);
    }
    assert.equal(digests[0], digests[1]);
    assert.notEqual(digests[0], digests[2]);
  });

  it('goes on without the sites that fail a round, which are those that the seed says', async () => {
    const records = await run({ ...PLAN, quorum: 2 }, '--sites', '8', '--drop', '0.3');
    const rounds = records.filter(({ event }) => event === 'round');
    const failing = (round: number) =>
      Array.from({ length: 8 }, (_, i) => `site-00${i + 1}`).filter(
        (site) => seededRandom(deriveSeed('simulated failure', 7, round, site)).uniform() < 0.3,
      ).length;
    assert.deepEqual(
      rounds.map(({ contributors }) => contributors),
      [1, 2, 3].map((round) => 8 - failing(round)),
    );
    assert.ok(
      rounds.some(({ contributors }) => contributors !== 8),
      'nobody fails with this seed',
    );
    assert.equal(
      records.at(-1)!.lost,
      [1, 2, 3].reduce((sum, round) => sum + failing(round), 0),
    );
  });

  it('says why a run fails whose quorum cannot bear the failures, and exits with 64', async () => {
    const program = await start(PLAN, '--sites', '3', '--drop', '1');
    const { code, stderr } = await program.ended;
    assert.equal(code, 64);
    assert.match(stderr, /is failed: round 1 cannot reach its quorum of 3.*simulated failure of site-00/);
    assert.ok((await filesOf()).includes('history.json'), 'what happened is kept');
  });

  it('bears hostile sites with a median, and not with a mean', async () => {
    const under = async (strategy: PlanInput['strategy'], ...args: readonly string[]) => {
      const records = await run({ ...PLAN, rounds: 6, strategy }, '--sites', '7', ...args);
      return (records.at(-1)!.evaluation as Record<string, number>).objective!;
    };
    const hostile = ['--attackers', '2', '--attack', 'sign-flip', '--attack-scale', '10'];
    const [mean, median, alone] = [
      await under('fedavg', ...hostile),
      await under('median', ...hostile),
      await under('median'),
    ];
    assert.ok(Math.abs(median - alone) < 0.1, `${median} against ${alone} without them`);
    assert.ok(mean > median + 0.3, `${mean} against ${median}`);
  });

  it('refuses a bad plan whole, before anything is made', async () => {
    const bad = { ...PLAN, name: 'A plan', rounds: 0, trainer: { name: 'convex', parameters: { colour: 'red' } } };
    const program = await start(bad, '--drop', '7');
    const { code, stderr, stdout } = await program.ended;
    assert.deepEqual([code, stdout], [64, '']);
    const { faults } = JSON.parse(stderr) as { faults: { path: string }[] };
    assert.deepEqual(faults.map(({ path: at }) => at).sort(), ['--drop', 'name', 'rounds']);
    assert.equal(existsSync(workspace), false);
  });

  it('leaves a folder alone that holds something else', async () => {
    workspace = folder;
    const program = await start(PLAN);
    const { code, stderr } = await program.ended;
    assert.equal(code, 64);
    assert.match(stderr, /holds something else than a simulation/);
    assert.ok(existsSync(path.join(folder, 'plan.yaml')));
  });

  it('ends in order when it is told to, and cleans up what a killed one left', async () => {
    const long: PlanInput = { ...PLAN, rounds: 5000 };
    const stopped = await start(long, '--sites', '4');
    await stopped.record(({ event }) => event === 'round', 'the first round');
    stopped.kill('SIGINT');
    const { code, stderr } = await stopped.ended;
    assert.equal(code, 130, stderr);
    assert.deepEqual(await filesOf(), ['simulation.json']);

    const killed = await start(long, '--sites', '4');
    await killed.record(({ event }) => event === 'round', 'the first round');
    const second = await start(PLAN, '--sites', '4');
    assert.match((await second.ended).stderr, /a simulation is running in/);
    killed.kill('SIGKILL');
    await killed.ended;
    assert.ok((await filesOf()).includes('federation'));
    await run(PLAN, '--sites', '4');
    assert.deepEqual(await filesOf(), ['history.json', 'model.safetensors', 'report.html', 'simulation.json']);
  });

  it('keeps a workspace that a real coordinator starts on', async () => {
    const done = (await run(PLAN, '--sites', '3', '--keep')).at(-1)!;
    const kept = path.join(workspace, 'federation', 'coordinator');
    const verified = new Program(['store', 'verify', '--workspace', kept, '--json']);
    assert.equal((await verified.ended).code, 0);
    const coordinator = new Program([
      'coordinator',
      'start',
      '--federation',
      'simulation',
      '--workspace',
      kept,
      '--listen',
      '127.0.0.1:0',
      '--enrolment',
      '127.0.0.1:0',
      '--json',
    ]);
    try {
      const ready = await coordinator.record(({ operator }) => operator !== undefined, 'the coordinator');
      const shown = new Program(['run', 'show', String(done.run), '--operator', String(ready.operator), '--json']);
      assert.equal((await shown.ended).code, 0);
      const { summary } = shown.records[0] as unknown as { summary: { state: string; modelDigest: string } };
      assert.deepEqual([summary.state, summary.modelDigest], ['completed', done.modelDigest]);
    } finally {
      await coordinator.stop();
    }
  });
});

type Shape = typeof PARAMETERS;

/** Softmax regression on all sites' examples at once, in float64: weights row by row, then the biases. */
function descent(sites: readonly ReturnType<typeof softmaxData>['training'][], shape: Shape, steps: number): number[] {
  const { features, classes, regularisation, learningRate } = shape;
  const weights = new Array<number>(classes * (features + 1)).fill(0);
  const total = sites.reduce((sum, { count }) => sum + count, 0);
  for (let step = 0; step < steps; step++) {
    const gradient = weights.map((weight) => regularisation * weight);
    for (const { count, inputs, classes: truth } of sites) {
      for (let n = 0; n < count; n++) {
        const x = [...inputs.subarray(n * features, (n + 1) * features), 1];
        const at = (k: number, i: number) => (i === features ? classes * features + k : k * features + i);
        const scores = Array.from({ length: classes }, (_, k) =>
          Math.exp(x.reduce((sum, value, i) => sum + value * weights[at(k, i)]!, 0)),
        );
        const sum = scores.reduce((a, b) => a + b);
        scores.forEach((score, k) => {
          const error = (score / sum - (truth[n] === k ? 1 : 0)) / total;
          x.forEach((value, i) => {
            gradient[at(k, i)]! += error * value;
          });
        });
      }
    }
    gradient.forEach((slope, i) => {
      weights[i]! -= learningRate * slope;
    });
  }
  return weights;
}
