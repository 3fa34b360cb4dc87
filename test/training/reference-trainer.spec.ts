import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { copyFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { readLayout, readTensors, writeTensors } from '../../federation/tensors/file';
import { openDecathlon, writeSiteDataset } from '../../imaging/decathlon';
import { type ModelCard, parseModelCard } from '../../training/engine/model-card';
import { TaskStory, TINY_PARAMETERS } from './task-story';

describe('the reference trainer', function () {
  this.timeout(120_000);
  let story: TaskStory;
  let model: string;

  before(async () => {
    story = await TaskStory.begin();
    model = await story.initialModel();
  });
  after(() => story.end());

  describe('initialise', () => {
    it('makes a model of the card that the parameters ask for, without data', async () => {
      const { metadata } = await readLayout(model);
      const card: ModelCard = parseModelCard(metadata, model);
      assert.deepEqual(card.channels, TINY_PARAMETERS.channels);
      assert.deepEqual(card.patch, TINY_PARAMETERS.patch);
      assert.deepEqual(card.spacing, TINY_PARAMETERS.spacing);
      assert.deepEqual(card.labels, ['spleen']);
      assert.deepEqual(await story.report('initialise'), {
        protocol: 1,
        samples: 0,
        steps: 0,
        metrics: {},
        evaluations: [],
        warnings: [],
      });
    });
  });

  describe('train', () => {
    it('changes every tensor, keeps names, shapes and card, and reports its loss', async () => {
      const run = await story.run(await story.giveTraining('plain', model));
      assert.equal(run.stderr, '');
      assert.equal(run.code, 0);
      const report = await story.report('plain');
      assert.deepEqual({ samples: report.samples, steps: report.steps }, { samples: 3, steps: 20 });
      assert.ok(report.metrics.loss > 0);
      assert.deepEqual(
        run.progress.map(({ step }) => step),
        Array.from({ length: 20 }, (_, index) => index + 1),
      );
      assert.equal(run.progress.at(-1)!.progress, 1);
      const mean = run.progress.reduce((sum, line) => sum + line.metrics!.loss, 0) / 20;
      assert.ok(Math.abs(mean - report.metrics.loss) < 1e-9);

      const [before, after] = [await readTensors(model), await readTensors(story.file('plain', 'update.safetensors'))];
      assert.deepEqual(after.layout.metadata, before.layout.metadata);
      assert.deepEqual([...after.tensors.keys()], [...before.tensors.keys()]);
      for (const [name, tensor] of before.tensors) {
        assert.deepEqual(after.tensors.get(name)!.shape, tensor.shape);
        assert.notDeepEqual(after.tensors.get(name)!.data, tensor.data, name);
      }
    });

    it('gives the same bytes for the same seed, model and data, and others for another seed', async () => {
      await story.run(await story.giveTraining('again', model));
      assert.ok((await story.update('again')).equals(await story.update('plain')));
      await story.run(await story.giveTraining('other-seed', model, { seed: 8 }));
      assert.ok(!(await story.update('other-seed')).equals(await story.update('plain')));
    });

    it('keeps the optimiser between the rounds of a run', async () => {
      const folder = await story.giveTraining('two-rounds', model);
      await story.run(folder);
      const second = { round: 2, task: 'train-2' };
      const update = story.file('two-rounds', 'update.safetensors');
      await story.giveTraining('two-rounds', update, second);
      await story.run(folder);
      const withMoments = await story.update('two-rounds');
      await story.run(await story.giveTraining('forgetful', story.file('plain', 'update.safetensors'), second));
      assert.ok(!(await story.update('forgetful')).equals(withMoments), 'the moments of round 1 made no difference');
    });

    describe('with the rule of a strategy', () => {
      const sgd = { ...TINY_PARAMETERS, optimiser: 'sgd', stepsPerRound: 2, warmUpSteps: 1, learningRate: 0.2 };

      /** All weights in the order of the file. */
      const weightsOf = async (file: string): Promise<number[]> =>
        [...(await readTensors(file)).tensors.values()].flatMap(({ data }) => [...(data as Float32Array)]);
      const trained = async (name: string, parameters: object, task: Readonly<Record<string, unknown>>) => {
        const run = await story.run(await story.giveTraining(name, model, { parameters, ...task }));
        assert.equal(run.code, 0, run.stderr);
        return weightsOf(story.file(name, 'update.safetensors'));
      };

      it('fedprox pulls back to the global model, as far as its definition says', async () => {
        const mu = 0.5;
        const before = await weightsOf(model);
        // The same schedule in four rounds of one step: where the two steps are after the first.
        const first = await trained('sgd-first', { ...sgd, stepsPerRound: 1 }, { rounds: 4 });
        const plain = await trained('sgd', sgd, {});
        const pulled = await trained('sgd-fedprox', sgd, { rule: { kind: 'fedprox', mu } });
        const rate = 0.2 * (0.05 + (0.95 * (1 + Math.cos(Math.PI / 4))) / 2);
        let moved = 0;
        for (const [i, weight] of pulled.entries()) {
          const expected = plain[i]! - rate * mu * (first[i]! - before[i]!);
          assert.ok(Math.abs(weight - expected) <= 1e-6 * Math.max(1, Math.abs(expected)), `weight ${i}`);
          moved = Math.max(moved, Math.abs(weight - plain[i]!));
        }
        assert.ok(moved > 1e-4, `the rule moved weights by ${moved} at most`);
      });

      it('fedprox with Adam stays nearer to the global model the greater mu is, and reaches the same bytes again', async () => {
        const before = await weightsOf(model);
        const lengths: number[] = [];
        for (const mu of [0.1, 10]) {
          const after = await trained(`adam-fedprox-${mu}`, TINY_PARAMETERS, { rule: { kind: 'fedprox', mu } });
          lengths.push(Math.hypot(...after.map((weight, i) => weight - before[i]!)));
        }
        const plain = await weightsOf(story.file('plain', 'update.safetensors'));
        lengths.unshift(Math.hypot(...plain.map((weight, i) => weight - before[i]!)));
        assert.ok(lengths[0]! > lengths[1]! && lengths[1]! > lengths[2]!, lengths.join(' '));
        await trained('adam-fedprox-again', TINY_PARAMETERS, { rule: { kind: 'fedprox', mu: 10 } });
        assert.ok((await story.update('adam-fedprox-again')).equals(await story.update('adam-fedprox-10')));
      });

      describe('scaffold', () => {
        const once = { ...sgd, stepsPerRound: 1 };
        const output = 'controls-update.safetensors';
        const input = 'controls.safetensors';
        const rule = (controls: object) => ({ rule: { kind: 'scaffold', controls } });
        /** The rates of one step in the two rounds of the plan. */
        const rates = [0, 1].map((step) => 0.2 * (0.05 + (0.95 * (1 + Math.cos((Math.PI * step) / 2))) / 2));
        const assertNear = (actual: readonly number[], expected: readonly number[], tolerance: number) => {
          assert.equal(actual.length, expected.length);
          for (const [i, value] of actual.entries()) {
            const error = Math.abs(value - expected[i]!) / Math.max(1, Math.abs(expected[i]!));
            assert.ok(error <= tolerance, `weight ${i}: ${value} instead of ${expected[i]}`);
          }
        };

        it('begins as without it, and its control is the mean gradient of the round', async () => {
          const before = await weightsOf(model);
          const plain = await trained('scaffold-none', once, {});
          const first = await trained('scaffold-once', once, rule({ output }));
          assert.deepEqual(first, plain);
          const control = await weightsOf(story.file('scaffold-once', output));
          // One step of plain SGD: y = x - rate g.
          assertNear(
            control,
            before.map((weight, i) => (weight - first[i]!) / rates[0]!),
            2e-5,
          );
          assert.ok(control.some((value) => Math.abs(value) > 1e-3));
        });

        it('in the next round steps along g + c - c_i', async () => {
          const own = await weightsOf(story.file('scaffold-once', output));
          const next = { round: 2, task: 'train-2' };
          await copyFile(model, story.file('scaffold-none', 'global.safetensors'));
          const plain = await trained('scaffold-plain', once, next);
          const all = { layout: await readLayout(model), tensors: (await readTensors(model)).tensors };
          // Any control of the right shape will do for c: the weights of the model themselves.
          const folder = await story.giveTraining('scaffold-once', model, {
            parameters: once,
            ...next,
            ...rule({ input, output }),
          });
          await writeTensors(story.file('scaffold-once', input), [...all.tensors.values()]);
          const run = await story.run(folder);
          assert.equal(run.code, 0, run.stderr);
          const corrected = await weightsOf(story.file('scaffold-once', 'update.safetensors'));
          const c = await weightsOf(model);
          assertNear(
            corrected,
            plain.map((weight, i) => weight - rates[1]! * (c[i]! - own[i]!)),
            1e-6,
          );
        });

        it('reaches the same update and control when it is killed on the way', async () => {
          const parameters = { ...TINY_PARAMETERS, stepsPerRound: 300, checkpointSteps: 3 };
          const start = async (name: string) =>
            story.giveTraining(name, model, { parameters, ...rule({ input, output }) });
          for (const name of ['scaffold-whole', 'scaffold-killed']) {
            await start(name);
            await writeTensors(story.file(name, input), [...(await readTensors(model)).tensors.values()]);
          }
          const whole = await story.run(story.folder('scaffold-whole'));
          assert.equal(whole.code, 0, whole.stderr);
          const killed = await story.run(story.folder('scaffold-killed'), ({ step }, trainer) => {
            if (step === 10) trainer.kill('SIGKILL');
          });
          assert.equal(killed.signal, 'SIGKILL');
          assert.ok(!existsSync(story.file('scaffold-killed', output)), 'it was killed too late to show anything');
          const resumed = await story.run(story.folder('scaffold-killed'));
          assert.ok(resumed.progress[0].step! >= 10);
          for (const file of ['update.safetensors', output]) {
            const [one, other] = ['scaffold-whole', 'scaffold-killed'].map((name) => readFile(story.file(name, file)));
            assert.ok((await one!).equals(await other!), file);
          }
        });

        it('keeps the control that it had when a task was given up on the way', async () => {
          const own = await weightsOf(story.file('scaffold-once', output));
          const long = { ...sgd, stepsPerRound: 300, checkpointSteps: 3 };
          const folder = await story.giveTraining('scaffold-once', model, {
            parameters: long,
            round: 3,
            task: 'train-3',
            ...rule({ output }),
          });
          await story.run(folder, ({ step }, trainer) => {
            if (step === 10) trainer.kill('SIGKILL');
          });
          const kept = (await readTensors(story.file('scaffold-once', 'state/checkpoint.safetensors'))).tensors;
          const values = [...(kept.get('control')!.data as Float32Array)].filter((value) => value !== 0);
          assert.deepEqual(
            values,
            own.filter((value) => value !== 0),
          );
        });
      });

      it('refuses a rule that it does not know, and a mu that is none', async () => {
        for (const rule of [{ kind: 'fedmagic' }, { kind: 'fedprox', mu: -1 }, { kind: 'fedprox' }]) {
          const run = await story.run(await story.giveTraining('no-rule', model, { rule }));
          assert.equal(run.code, 64);
          assert.match(run.stderr, /rule/);
        }
      });
    });

    describe('when it is interrupted', () => {
      const parameters = { ...TINY_PARAMETERS, stepsPerRound: 400, checkpointSteps: 3 };
      let uninterrupted: Buffer;

      before(async () => {
        const run = await story.run(await story.giveTraining('uninterrupted', model, { parameters }));
        assert.equal(run.code, 0, run.stderr);
        uninterrupted = await story.update('uninterrupted');
      });

      it('goes on after kill -9 from its last checkpoint, to the same bytes', async () => {
        const folder = await story.giveTraining('killed', model, { parameters });
        const killed = await story.run(folder, ({ step }, trainer) => {
          if (step === 10) trainer.kill('SIGKILL');
        });
        assert.equal(killed.signal, 'SIGKILL');
        assert.ok(!existsSync(story.file('killed', 'update.safetensors')), 'it was killed too late to show anything');
        const resumed = await story.run(folder);
        assert.equal(resumed.code, 0, resumed.stderr);
        assert.ok(resumed.progress[0].step! >= 10, `it began again at step ${resumed.progress[0].step}`);
        assert.ok((await story.update('killed')).equals(uninterrupted));
        assert.deepEqual(await story.report('killed'), await story.report('uninterrupted'));
      });

      it('stops on SIGTERM with exit code 75 and goes on where it stopped, to the same bytes', async () => {
        // Without checkpoints on the way: what the second start goes on from was saved when the first was stopped.
        const rare = { ...parameters, checkpointSteps: 1000 };
        const folder = await story.giveTraining('stopped', model, { parameters: rare });
        const stopped = await story.run(folder, ({ step }, trainer) => {
          if (step === 10) trainer.kill('SIGTERM');
        });
        assert.equal(stopped.code, 75);
        assert.match(stopped.stderr, /stopped when asked to/);
        const resumed = await story.run(folder);
        assert.equal(resumed.progress[0].step, stopped.progress.at(-1)!.step! + 1);
        assert.ok((await story.update('stopped')).equals(uninterrupted));
      });

      it('starts the round anew when its checkpoint is damaged, to the same bytes', async () => {
        const folder = await story.giveTraining('damaged', model, { parameters });
        await story.run(folder, ({ step }, trainer) => {
          if (step === 10) trainer.kill('SIGKILL');
        });
        await writeFile(story.file('damaged', 'state/checkpoint.safetensors'), 'torn');
        const resumed = await story.run(folder);
        assert.equal(resumed.progress[0].step, 1);
        assert.ok((await story.update('damaged')).equals(uninterrupted));
      });
    });

    it('finds prepared cases again, with and without which the update is the same', async () => {
      const folder = await story.giveTraining('cached', model);
      await story.run(folder);
      const cases = story.file('cached', 'state/cases');
      assert.equal((await readdir(cases)).length, 3);
      await rm(story.file('cached', 'state/checkpoint.safetensors'));
      await rm(story.file('cached', 'update.safetensors'));
      await story.run(folder);
      assert.ok((await story.update('cached')).equals(await story.update('plain')));
    });

    it('refuses to go on when the loss overflows, and says so', async () => {
      const { layout, tensors } = await readTensors(model);
      const head = tensors.get('head.weight')!;
      const exploded = [...tensors.values()].map((tensor) =>
        tensor === head ? { ...head, data: new Float32Array(head.data.length).fill(3e38) } : tensor,
      );
      const file = story.file('initialise', 'exploded.safetensors');
      await writeTensors(file, exploded, layout.metadata);
      const run = await story.run(await story.giveTraining('overflow', file));
      assert.equal(run.code, 64);
      assert.match(run.stderr, /learningRate 0\.015 .* overflow in step 1 of round 1/);
      assert.ok(!existsSync(story.file('overflow', 'update.safetensors')));
    });
  });

  describe('evaluate', () => {
    it('measures each model on the held-out cases', async () => {
      const parameters = { ...TINY_PARAMETERS, stepsPerRound: 150, learningRate: 0.02 };
      await story.run(await story.giveTraining('learnt', model, { parameters, rounds: 1 }));
      const models = [
        { name: 'learnt', file: 'learnt.safetensors' },
        { name: 'initial', file: 'initial.safetensors' },
      ];
      const folder = await story.give('evaluate', { kind: 'evaluate', models });
      await copyFile(story.file('learnt', 'update.safetensors'), story.file('evaluate', 'learnt.safetensors'));
      await copyFile(model, story.file('evaluate', 'initial.safetensors'));
      const run = await story.run(folder);
      assert.equal(run.code, 0, run.stderr);
      const { samples, evaluations } = await story.report('evaluate');
      assert.equal(samples, 2);
      assert.deepEqual(
        evaluations.map((evaluation) => evaluation.model),
        ['learnt', 'initial'],
      );
      const [learnt, initial] = evaluations.map(({ metrics }) => metrics);
      assert.ok(learnt.dice > 0.5 && learnt.dice > initial.dice + 0.2, `${learnt.dice} against ${initial.dice}`);
      assert.ok(learnt.diceMin <= learnt.dice);
      // Voxels are 20 mm wide here.
      assert.ok(learnt.assd > 0 && learnt.assd < 40 && learnt.hausdorff95 >= learnt.assd);
      assert.equal(run.progress.at(-1)!.progress, 1);
    });

    it('warns when the dataset holds out nothing', async () => {
      const dataset = await openDecathlon(story.dataset);
      const folder = await story.give('nothing-held-out', {
        kind: 'evaluate',
        dataset: { kind: 'decathlon', path: story.folder('training-only') },
        models: [{ name: 'initial', file: 'initial.safetensors' }],
      });
      await copyFile(model, story.file('nothing-held-out', 'initial.safetensors'));
      await writeSiteDataset(dataset, { training: dataset.training, heldOut: [] }, story.folder('training-only'));
      const run = await story.run(folder);
      assert.equal(run.code, 0, run.stderr);
      const report = await story.report('nothing-held-out');
      assert.deepEqual(report.evaluations, [{ model: 'initial', metrics: {} }]);
      assert.match(report.warnings[0], /holds out no case/);
    });
  });

  describe('bad input', () => {
    it('lists every fault of the parameters and exits with 64', async () => {
      const parameters = {
        stepsPerRound: 0,
        learningRate: 'fast',
        channels: [8, 12],
        patch: [8, 8, 8],
        foregroundShare: 2,
        momentum: 0.9,
      };
      const run = await story.run(await story.giveTraining('faulty', model, { parameters }));
      assert.equal(run.code, 64);
      for (const name of ['stepsPerRound', 'learningRate', 'channels.1', 'foregroundShare', 'momentum']) {
        assert.match(run.stderr, new RegExp(name.replace('.', '\\.')));
      }
      assert.ok(!existsSync(story.file('faulty', 'report.json')));
    });

    it('refuses parameters that contradict the model', async () => {
      const parameters = { channels: [8, 16], spacing: [5, 5, 5], label: { value: 1, name: 'liver' } };
      const run = await story.run(await story.giveTraining('contradiction', model, { parameters }));
      assert.equal(run.code, 64);
      for (const name of ['channels', 'spacing', 'label'])
        assert.match(run.stderr, new RegExp(`${name} .*contradicts`));
    });

    it('speaks of cases by number, since their names may be names of patients', async () => {
      const dataset = story.folder('named');
      const source = await openDecathlon(story.dataset);
      await writeSiteDataset(source, { training: source.training, heldOut: [] }, dataset, { how: 'copy' });
      await writeFile(story.file('named', source.training[1].image), 'no image');
      const folder = await story.giveTraining('broken-case', model, { dataset: { kind: 'decathlon', path: dataset } });
      const broken = await story.run(folder);
      assert.equal(broken.code, 64);
      assert.match(broken.stderr, /image of training case 2/);
      await rm(story.file('named', source.training[1].image));
      const missing = await story.run(folder);
      assert.equal(missing.code, 64);
      assert.match(missing.stderr, /has a fault; at the site, clara-fed dataset inspect says more/);
      for (const { stderr } of [broken, missing]) assert.ok(!stderr.includes(source.training[1].id), stderr);
    });

    it('refuses a broken task, a missing dataset, a broken model and a missing folder', async () => {
      const noKind = await story.run(await story.give('no-kind', { kind: 'dance' }));
      const elsewhere = { kind: 'decathlon', path: story.folder('nowhere') };
      const noData = await story.run(await story.giveTraining('no-data', model, { dataset: elsewhere }));
      const noDataset = { dataset: { kind: 'none', path: '' } };
      const none = await story.run(await story.giveTraining('none', model, noDataset));
      const torn = await story.giveTraining('torn', model);
      await writeFile(story.file('torn', 'global.safetensors'), 'no model');
      const tornRun = await story.run(torn);
      const noFolder = await story.run(story.folder('nothing-here'));
      for (const run of [noKind, noData, none, tornRun, noFolder]) assert.equal(run.code, 64, run.stderr);
      assert.match(none.stderr, /needs data/);
      assert.match(noFolder.stderr, /task\.json/);
    });
  });
});
