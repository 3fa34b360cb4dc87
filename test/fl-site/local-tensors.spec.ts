import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { ClaraError } from '../../base/errors';
import { ModelReferenceSchema, TaskSchema } from '../../federation/gen/federation/v1/federation_pb';
import { checkPlan } from '../../federation/plan';
import { readTensors, type Tensor, writeTensors } from '../../federation/tensors/file';
import { Approvals } from '../../fl-site/approvals';
import { REAL_PACING } from '../../fl-site/backoff';
import { checkSiteConfiguration } from '../../fl-site/configuration';
import { ModelCache } from '../../fl-site/model-cache';
import { executeTask, type Surroundings } from '../../fl-site/task-execution';
import { newRecord, TaskJournal } from '../../fl-site/task-journal';
import { WorkingHours } from '../../fl-site/working-hours';
import { Workspace } from '../../fl-site/workspace';

const GLOBAL = { weight: 1, mean: 0, tracked: 0n };
type Model = typeof GLOBAL;

const tensorsOf = ({ weight, mean, tracked }: Model): Tensor[] => [
  { name: 'conv.weight', dtype: 'F32', shape: [2], data: Float32Array.of(weight, weight) },
  { name: 'bn.running_mean', dtype: 'F32', shape: [2], data: Float32Array.of(mean, mean) },
  { name: 'bn.num_batches_tracked', dtype: 'I64', shape: [], data: BigInt64Array.of(tracked) },
];

async function modelIn(file: string): Promise<Model> {
  const { tensors } = await readTensors(file);
  const data = (name: string) => tensors.get(name)!.data[0]!;
  assert.deepEqual(tensors.get('bn.num_batches_tracked')!.shape, []);
  return {
    weight: Number(data('conv.weight')),
    mean: Number(data('bn.running_mean')),
    tracked: BigInt(data('bn.num_batches_tracked')),
  };
}

describe('statistics of batch normalisation at a site', () => {
  let folder: string;
  /** What an agent that has been started again finds. */
  const workspaceNow = () => new Workspace(path.join(folder, 'w'));
  let approvals: Approvals;
  /** What each task of the trainer started from. */
  let started: Model[];
  let sent: Model[];
  /** What the coordinator says of uploads. */
  let refusal: ClaraError | undefined;
  let trained: (start: Model) => Model;
  /** What the trainer leaves out. */
  let missing: string | undefined;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-normalisation-'));
    await workspaceNow().runFolders();
    approvals = new Approvals(workspaceNow());
    [refusal, missing] = [undefined, undefined];
    trained = (start) => ({ weight: start.weight + 1, mean: start.mean + 10, tracked: start.tracked + 1n });
    [started, sent] = [[], []];
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function approve(normalisationStatistics?: 'keep-local'): Promise<void> {
    await approvals.record('r', checkPlan({ name: 'r', rounds: 3, trainer: { name: 't' }, normalisationStatistics }));
  }

  /** The trainer adds one to each weight, and counts in its statistics. */
  async function perform(
    kind: 'train' | 'evaluate',
    round: number,
    model: Model,
    { track = 'federated', name = 'global' } = {},
  ): Promise<void> {
    const workspace = workspaceNow();
    const file = path.join(folder, `global-${round}`);
    const { sha256, bytes } = await writeTensors(file, tensorsOf(model));
    const models = new ModelCache(workspace);
    models.provide = async (_run, _model, target) => {
      await mkdir(path.dirname(target), { recursive: true });
      await copyFile(file, target);
    };
    models.has = async () => true;
    const site = checkSiteConfiguration(
      {
        ...{ id: 'a', coordinator: 'localhost:1', credentials: 'c', workspace: 'w', dataset: { kind: 'none' } },
        trainer: { name: 't', adapter: 'reference' },
      },
      folder,
    );
    const around: Surroundings = {
      ...{ site, workspace, approvals, journal: new TaskJournal(workspace), models, pacing: REAL_PACING },
      onProgress: () => undefined,
      onLog: () => undefined,
      hours: new WorkingHours({ now: Date.now, pacing: REAL_PACING }),
      client: () =>
        ({
          uploadStatus: async ({ size }: { size: number }) => {
            if (refusal) throw refusal;
            return size;
          },
          upload: async () => assert.fail('everything is there'),
        }) as never,
      trainer: {
        run: async ({ folder: task }) => {
          const asked = JSON.parse(await readFile(path.join(task, 'task.json'), 'utf8'));
          const input = path.join(task, asked.model?.input ?? asked.models[0].file);
          const start = await modelIn(input);
          started.push(start);
          if (kind === 'train')
            await writeTensors(
              path.join(task, asked.model.output),
              tensorsOf(trained(start)).filter(({ name }) => name !== missing),
            );
          const evaluations = kind === 'evaluate' ? [{ model: name, metrics: { dice: 1 } }] : [];
          await writeFile(path.join(task, 'report.json'), JSON.stringify({ protocol: 1, samples: 3, evaluations }));
        },
      },
    };
    const task = create(TaskSchema, {
      ...{ id: `r/${kind}-${track}/${round}/a`, kind, run: 'r', round, rounds: 3, trainer: 't', track },
      parametersJson: '{}',
      models: [
        create(ModelReferenceSchema, {
          name,
          object: `global-${round}`,
          size: BigInt(bytes),
          sha256: Buffer.from(sha256.slice('sha256:'.length), 'hex'),
        }),
      ],
    });
    const record = newRecord(task, new Date(), new Date(Date.now() + 60_000));
    await executeTask(record, around, new AbortController().signal);
    if (!record.outbound) return;
    const outbound = path.join(workspace.taskFolder('r', task.id), record.outbound.file);
    assert.equal(
      createHash('sha256')
        .update(await readFile(outbound))
        .digest('hex'),
      record.outbound.sha256,
    );
    sent.push(await modelIn(outbound));
  }

  it('stay there when the plan says so: the site goes on with its own, and sends those of the global model', async () => {
    await approve('keep-local');
    await perform('train', 1, GLOBAL);
    await perform('evaluate', 1, { ...GLOBAL, weight: 5 });
    await perform('train', 2, { ...GLOBAL, weight: 5 });
    await perform('train', 3, { ...GLOBAL, weight: 7 });
    assert.deepEqual(started, [
      GLOBAL,
      { weight: 5, mean: 10, tracked: 1n },
      { weight: 5, mean: 10, tracked: 1n },
      { weight: 7, mean: 20, tracked: 2n },
    ]);
    assert.deepEqual(sent, [
      { ...GLOBAL, weight: 2 },
      { ...GLOBAL, weight: 6 },
      { ...GLOBAL, weight: 8 },
    ]);
  });

  it('travel like all tensors otherwise', async () => {
    await approve();
    await perform('train', 1, GLOBAL);
    await perform('train', 2, { weight: 5, mean: 3, tracked: 9n });
    assert.deepEqual(started[1], { weight: 5, mean: 3, tracked: 9n });
    assert.deepEqual(sent, [
      { weight: 2, mean: 10, tracked: 1n },
      { weight: 6, mean: 13, tracked: 10n },
    ]);
  });

  it('that a task made count when the coordinator holds its update: done again, it starts from the same', async () => {
    await approve('keep-local');
    await perform('train', 1, GLOBAL);
    refusal = new ClaraError('permission-denied', 'not now');
    await assert.rejects(perform('train', 2, GLOBAL), { code: 'permission-denied' });
    refusal = undefined;
    await perform('train', 2, GLOBAL);
    await perform('train', 3, GLOBAL);
    assert.deepEqual(
      started.map(({ mean }) => mean),
      [0, 10, 10, 20],
    );
  });

  it('of training alone are others, and go with the models that were trained alone', async () => {
    await approve('keep-local');
    await perform('train', 1, GLOBAL);
    await perform('train', 2, GLOBAL);
    await perform('train', 1, GLOBAL, { track: 'alone' });
    await perform('evaluate', 3, GLOBAL);
    await perform('evaluate', 3, GLOBAL, { name: 'update:b' });
    await perform('evaluate', 3, GLOBAL, { name: 'site:a' });
    assert.deepEqual(
      started.map(({ mean }) => mean),
      [0, 10, 0, 20, 20, 10],
    );
  });

  it('that are no numbers, or missing, are refused with the update, and nothing is kept of them', async () => {
    await approve('keep-local');
    trained = (start) => ({ ...start, mean: Number.NaN });
    await assert.rejects(perform('train', 1, GLOBAL), { code: 'invalid-input', message: /bn\.running_mean.*NaN/ });
    missing = 'bn.num_batches_tracked';
    trained = (start) => start;
    await assert.rejects(perform('train', 1, GLOBAL), { code: 'invalid-input', message: /tracked.*is missing/ });
    assert.ok(!existsSync(workspaceNow().localTensors('r', 'federated')));
  });

  it('that have changed on disk, or are not of this model, are refused with the file and the way out', async () => {
    await approve('keep-local');
    await perform('train', 1, GLOBAL);
    const file = workspaceNow().localTensors('r', 'federated');
    const kept = await readFile(file);
    const begin = 8 + Number(kept.readBigUInt64LE());
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: begin, max: kept.length - 1 }),
        fc.integer({ min: 0, max: 7 }),
        async (at, bit) => {
          const damaged = Buffer.from(kept);
          damaged[at]! ^= 1 << bit;
          await writeFile(file, damaged);
          await assert.rejects(perform('evaluate', 2, GLOBAL), {
            code: 'corrupt',
            message: /local.federated\.safetensors does not hold .* have changed since; restore it .* or remove it/,
          });
        },
      ),
      { numRuns: 20 },
    );
    await writeTensors(file, [{ name: 'other.running_mean', dtype: 'F32', shape: [1], data: Float32Array.of(1) }]);
    await assert.rejects(perform('evaluate', 2, GLOBAL), { code: 'corrupt', message: /belong to another model/ });
    await rm(file);
    await perform('evaluate', 2, GLOBAL);
    assert.deepEqual(started.at(-1), GLOBAL);
  });
});
