import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ClaraError } from '../../base/errors';
import { readTensors } from '../../federation/tensors/file';
import type { TrainerReport } from '../../federation/trainer-contract';
import { softmaxData } from '../../simulation/softmax/site-data';
import { SoftmaxModel } from '../../simulation/softmax/softmax-model';
import { SoftmaxSite } from '../../simulation/softmax/softmax-task';

const SHAPE = { features: 5, classes: 3 };
const PARAMETERS = { ...SHAPE, samples: 20, regularisation: 0.1, learningRate: 0.2, epochs: 2, batch: 4 };
const SIGNAL = new AbortController().signal;

/** Cross-entropy and its penalty for one class after another, as a textbook has it. */
function plainObjective(weights: readonly number[], data: ReturnType<typeof softmaxData>['training']): number {
  const { features, classes } = SHAPE;
  let loss = 0;
  for (let n = 0; n < data.count; n++) {
    const x = [...data.inputs.subarray(n * features, (n + 1) * features)];
    const scores = Array.from({ length: classes }, (_, k) =>
      x.reduce((sum, value, i) => sum + value * weights[k * features + i]!, weights[classes * features + k]!),
    );
    loss += Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0)) - scores[data.classes[n]!]!;
  }
  return loss / data.count;
}

describe('the convex problem', () => {
  let folder: string;
  const weights = Array.from({ length: 18 }, (_, i) => Math.fround(Math.sin(i) / 2));
  const { training, heldOut } = softmaxData(1, 'a', 0.5, PARAMETERS);

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'clara-softmax-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('has the gradient that differences of its loss give', () => {
    const model = new SoftmaxModel(SHAPE);
    model.weights.set(weights);
    const { gradient } = model;
    const all = Array.from({ length: training.count }, (_, i) => i);
    const loss = model.addGradient(training, all);
    assert.ok(Math.abs(loss - plainObjective(weights, training)) < 1e-6);
    assert.ok(Math.abs(model.measure(training).loss - loss) < 1e-9);
    for (let i = 0; i < 18; i++) {
      const moved = (by: number) => weights.map((weight, j) => (i === j ? weight + by : weight));
      const slope = (plainObjective(moved(1e-4), training) - plainObjective(moved(-1e-4), training)) / 2e-4;
      assert.ok(Math.abs(slope - gradient[i]!) < 1e-5, `weight ${i}: ${gradient[i]} for ${slope}`);
    }
  });

  it('gives a site the same examples each time, others to other sites, and holds out half as many as it trains on', () => {
    assert.deepEqual(softmaxData(1, 'a', 0.5, PARAMETERS), { training, heldOut });
    assert.notDeepEqual(softmaxData(1, 'b', 0.5, PARAMETERS).training.classes, training.classes);
    for (const site of ['a', 'b', 'c', 'd']) {
      const data = softmaxData(2, site, 0.5, PARAMETERS);
      assert.equal(data.training.count, 2 * data.heldOut.count);
    }
    assert.deepEqual([training.inputs.length, heldOut.classes.length], [5 * training.count, heldOut.count]);
  });

  it('divides classes the more unevenly, the smaller the skew', () => {
    const largestShare = (skew: number | undefined): number => {
      const shares = Array.from({ length: 60 }, (_, site) => {
        const { classes } = softmaxData(1, `s${site}`, skew, { ...PARAMETERS, samples: 200 }).training;
        return Math.max(...[0, 1, 2].map((kind) => classes.filter((found) => found === kind).length)) / classes.length;
      });
      return shares.reduce((sum, share) => sum + share, 0) / shares.length;
    };
    const [alike, some, strong] = [largestShare(undefined), largestShare(1), largestShare(0.1)];
    assert.ok(alike < 0.45 && alike < some && some < strong && strong > 0.8, `${alike} ${some} ${strong}`);
  });

  /** A folder with the task, as an agent makes it. @returns report and files of it */
  const task = async (name: string, asked: Record<string, unknown>, parameters: object = PARAMETERS) => {
    const place = path.join(folder, name);
    await mkdir(path.join(place, 'state'), { recursive: true });
    const common = { protocol: 1, task: name, run: 'r', round: 1, rounds: 3, site: 'a', seed: 5, parameters };
    const rest = { deadline: '2030-01-01T00:00:00Z', dataset: { kind: 'none', path: '' } };
    await writeFile(path.join(place, 'task.json'), JSON.stringify({ ...common, ...rest, ...asked }));
    const prepared = asked.prepare as ((place: string) => Promise<void>) | undefined;
    await prepared?.(place);
    await new SoftmaxSite({ seed: 1, skew: 0.5 }, 'a').doTask(place, SIGNAL);
    const report = JSON.parse(await readFile(path.join(place, 'report.json'), 'utf8')) as TrainerReport;
    const read = async (file: string) => {
      const { tensors } = await readTensors(path.join(place, file));
      return [...(tensors.get('weight')!.data as Float32Array), ...(tensors.get('bias')!.data as Float32Array)];
    };
    return { place, report, read };
  };

  const trainFrom = async (name: string, rule?: object, parameters: object = PARAMETERS) => {
    const first = await task(`${name}-first`, { kind: 'initialise', model: { output: 'u' } });
    return task(
      name,
      {
        kind: 'train',
        model: { input: 'g', output: 'u' },
        ...(rule && { rule }),
        prepare: async (place: string) => writeFile(path.join(place, 'g'), await readFile(path.join(first.place, 'u'))),
      },
      parameters,
    );
  };

  const onePass = { ...PARAMETERS, epochs: 1, batch: 0 };

  it('trains by gradient steps: one step of all examples is the textbook step', async () => {
    const { report, read } = await trainFrom('step', undefined, onePass);
    const found = await read('u');
    const zero = new Array(18).fill(0) as number[];
    for (let i = 0; i < 18; i++) {
      const moved = (by: number) => zero.map((weight, j) => (i === j ? weight + by : weight));
      const slope = (plainObjective(moved(1e-4), training) - plainObjective(moved(-1e-4), training)) / 2e-4;
      assert.ok(Math.abs(found[i]! + 0.2 * slope) < 1e-5, `weight ${i}`);
    }
    assert.deepEqual([report.samples, report.steps], [training.count, 1]);
  });

  it('counts its steps, and gives the same update for the same seed', async () => {
    const [one, two] = [await trainFrom('one'), await trainFrom('two')];
    assert.equal(one.report.steps, 2 * Math.ceil(training.count / 4));
    assert.deepEqual(await one.read('u'), await two.read('u'));
  });

  it('stays nearer to where it began with FedProx', async () => {
    const length = (values: readonly number[]) => Math.hypot(...values);
    const free = length(await (await trainFrom('free')).read('u'));
    const held = length(await (await trainFrom('held', { kind: 'fedprox', mu: 3 })).read('u'));
    assert.ok(held < 0.8 * free, `${held} against ${free}`);
  });

  it('has a control variate that is the mean gradient of its steps, and keeps it for the next round', async () => {
    const { place, read } = await trainFrom('scaffold', { kind: 'scaffold', controls: { output: 'c' } }, onePass);
    const [moved, control] = [await read('u'), await read('c')];
    // From zero, one step: the gradient is what it moved by, over the rate.
    for (let i = 0; i < 18; i++) assert.ok(Math.abs(control[i]! + moved[i]! / 0.2) < 1e-5);
    const kept = await readFile(path.join(place, 'state', 'control.f32'));
    const own = Array.from({ length: kept.length / 4 }, (_, i) => kept.readFloatLE(4 * i));
    assert.deepEqual(own, control);
  });

  it('corrects its steps by the difference of the two control variates', async () => {
    const rule = { kind: 'scaffold', controls: { input: 'all', output: 'c' } };
    const first = await trainFrom('before', { kind: 'scaffold', controls: { output: 'c' } }, onePass);
    const second = await task(
      'after',
      {
        kind: 'train',
        model: { input: 'g', output: 'u' },
        rule,
        prepare: async (place: string) => {
          await writeFile(path.join(place, 'g'), await readFile(path.join(folder, 'before', 'g')));
          // All sites have the control of this one, so nothing is corrected.
          await writeFile(path.join(place, 'all'), await readFile(path.join(first.place, 'c')));
          await writeFile(
            path.join(place, 'state', 'control.f32'),
            await readFile(path.join(first.place, 'state', 'control.f32')),
          );
        },
      },
      onePass,
    );
    assert.deepEqual(await second.read('u'), await first.read('u'));
    const third = await task(
      'alone',
      {
        kind: 'train',
        model: { input: 'g', output: 'u' },
        rule,
        prepare: async (place: string) => {
          await writeFile(path.join(place, 'g'), await readFile(path.join(folder, 'before', 'g')));
          await writeFile(path.join(place, 'all'), await readFile(path.join(first.place, 'c')));
        },
      },
      onePass,
    );
    // Its own is zero: the same gradient is taken twice.
    const [once, twice] = [await first.read('u'), await third.read('u')];
    for (let i = 0; i < 18; i++) assert.ok(Math.abs(twice[i]! - 2 * once[i]!) < 1e-5);
  });

  it('refuses parameters that break a rule, all of them at once', async () => {
    await assert.rejects(
      task('bad', { kind: 'initialise', model: { output: 'u' } }, { learningRate: 0, classes: 1, colour: 'red' }),
      (error: ClaraError) => {
        const paths = error.faults.map(({ path }) => path);
        assert.deepEqual(paths.sort(), ['classes', 'colour', 'learningRate']);
        return true;
      },
    );
  });
});
