import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { readLayout, readTensors } from '../../federation/tensors/file';
import { parseModelCard } from '../../training/engine/model-card';
import { TaskStory, TINY_PARAMETERS } from './task-story';

const BACKBONE = ['^encoder\\.', '^decoder\\.'];
const HEAD = ['head.weight', 'head.bias'];

describe('transfer learning with the reference trainer', function () {
  this.timeout(120_000);
  let story: TaskStory;
  let model: string;

  before(async () => {
    story = await TaskStory.begin();
    model = await story.initialModel();
  });
  after(() => story.end());

  const dataOf = async (file: string): Promise<Map<string, Buffer>> =>
    new Map(
      [...(await readTensors(file)).tensors].map(([name, { data }]) => [
        name,
        Buffer.from(data.buffer, data.byteOffset, data.byteLength),
      ]),
    );
  /** Names of tensors whose bytes differ. */
  const changed = async (before: string, after: string): Promise<string[]> => {
    const [a, b] = [await dataOf(before), await dataOf(after)];
    return [...a].filter(([name, bytes]) => !bytes.equals(b.get(name)!)).map(([name]) => name);
  };
  const train = async (name: string, task: object, from = model): Promise<string> => {
    const run = await story.run(await story.giveTraining(name, from, task as Record<string, unknown>));
    assert.equal(run.code, 0, run.stderr);
    return story.file(name, 'update.safetensors');
  };
  const initialise = async (
    name: string,
    task: object,
  ): Promise<{ code: number | null; stderr: string; file: string }> => {
    const folder = await story.give(name, {
      kind: 'initialise',
      round: 0,
      dataset: { kind: 'none', path: '' },
      model: { input: 'global.safetensors', output: 'model.safetensors' },
      seed: 99,
      ...task,
    });
    await copyFile(model, story.file(name, 'global.safetensors'));
    return { ...(await story.run(folder)), file: story.file(name, 'model.safetensors') };
  };

  for (const optimiser of ['adam', 'sgd']) {
    it(`leaves every bit of frozen tensors and trains the others, with ${optimiser}`, async () => {
      const parameters = { ...TINY_PARAMETERS, optimiser };
      const update = await train(`frozen-${optimiser}`, { frozen: BACKBONE, parameters });
      assert.deepEqual((await changed(model, update)).sort(), [...HEAD].sort());
    });
  }

  it('leaves them alone when moments of an earlier, unfrozen round are there', async () => {
    const first = await train('unfrozen-then-frozen', {});
    assert.ok((await changed(model, first)).length > HEAD.length);
    const second = { frozen: BACKBONE, round: 2, task: 'train-2' };
    const start = story.file('unfrozen-then-frozen', 'start.safetensors');
    await copyFile(first, start);
    const update = await train('unfrozen-then-frozen', second, start);
    assert.deepEqual((await changed(start, update)).sort(), [...HEAD].sort());
  });

  it('goes on to the same bytes after an interruption', async () => {
    const whole = await train('frozen-whole', { frozen: BACKBONE });
    const folder = await story.giveTraining('frozen-cut', model, { frozen: BACKBONE });
    let isCut = false;
    const cut = await story.run(folder, (_, trainer) => {
      isCut ||= trainer.kill('SIGTERM');
    });
    assert.ok(isCut && cut.code === 75, cut.stderr);
    assert.equal((await story.run(folder)).code, 0);
    assert.deepEqual(await changed(whole, story.file('frozen-cut', 'update.safetensors')), []);
  });

  it('makes a new head for another organ, takes the rest over, and learns with it', async () => {
    const label = { value: 1, name: 'liver' };
    const parameters = { ...TINY_PARAMETERS, label };
    const made = await initialise('new-head', { reinitialise: ['^head\\.'], parameters });
    assert.equal(made.code, 0, made.stderr);
    assert.deepEqual(await changed(model, made.file), ['head.weight'], 'the first bias is the same constant');
    const card = parseModelCard((await readLayout(made.file)).metadata, made.file);
    assert.deepEqual(card.labels, ['liver']);
    const again = await initialise('new-head-again', { reinitialise: ['^head\\.'], parameters });
    assert.deepEqual(await changed(made.file, again.file), []);
    const other = await initialise('other-seed', { reinitialise: ['^head\\.'], parameters, seed: 98 });
    assert.deepEqual(await changed(made.file, other.file), ['head.weight']);

    const learning = { frozen: BACKBONE, parameters: { ...parameters, stepsPerRound: 60, learningRate: 0.05 } };
    const run = await story.run(await story.giveTraining('head-learns', made.file, learning));
    assert.equal(run.code, 0, run.stderr);
    const losses = run.progress.map(({ metrics }) => metrics!.loss!);
    const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    assert.ok(mean(losses.slice(-15)) < mean(losses.slice(0, 15)), 'the loss of a new head falls');
  });

  it('makes tensors of another shape when they are named, and refuses when others do not fit', async () => {
    const wider = { ...TINY_PARAMETERS, channels: [8, 16] };
    const refused = await initialise('does-not-fit', { reinitialise: ['^head\\.'], parameters: wider });
    assert.equal(refused.code, 64);
    assert.match(refused.stderr, /encoder\.1\.0\.filter .*make it anew/);
    const reinitialise = ['^encoder\\.1\\.', '^decoder\\.0\\.0\\.filter$'];
    const made = await initialise('wider', { reinitialise, parameters: wider });
    assert.equal(made.code, 0, made.stderr);
    const { tensors } = await readTensors(made.file);
    assert.deepEqual(tensors.get('encoder.1.0.scale')!.shape, [16]);
    const [before, after] = [await dataOf(model), await dataOf(made.file)];
    for (const name of ['encoder.0.0.filter', ...HEAD]) assert.deepEqual(after.get(name), before.get(name), name);
  });

  it('refuses names that mean nothing, and freezing everything', async () => {
    const nothing = await story.run(await story.giveTraining('no-such', model, { frozen: ['^transformer'] }));
    assert.equal(nothing.code, 64);
    assert.match(nothing.stderr, /frozen\.0 .*matches no tensor/);
    const all = await story.run(await story.giveTraining('all', model, { frozen: ['.'] }));
    assert.equal(all.code, 64);
    assert.match(all.stderr, /nothing is left to train/);
    const lone = await initialise('lone', { model: { output: 'model.safetensors' }, reinitialise: ['^head'] });
    assert.equal(lone.code, 64);
    assert.match(lone.stderr, /no model\.input/);
  });
});
