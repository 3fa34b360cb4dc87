import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { create } from '@bufbuild/protobuf';
import { TaskSchema } from '../../../federation/gen/federation/v1/federation_pb';
import { checkPlan } from '../../../federation/plan';
import { Approvals } from '../../../fl-site/approvals';
import { REAL_PACING } from '../../../fl-site/backoff';
import { checkSiteConfiguration } from '../../../fl-site/configuration';
import { ModelCache } from '../../../fl-site/model-cache';
import { executeTask, type Surroundings } from '../../../fl-site/task-execution';
import { newRecord, TaskJournal } from '../../../fl-site/task-journal';
import type { TaskActivity } from '../../../fl-site/task-progress';
import { WorkingHours } from '../../../fl-site/working-hours';
import { Workspace } from '../../../fl-site/workspace';
import { CaseHistogram } from '../../../imaging/histogram';

describe('a task of statistics at a site', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-statistics-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** Has a trainer that tells all it can do the task. */
  async function run(bins: number) {
    const site = checkSiteConfiguration(
      {
        ...{ id: 'a', coordinator: 'localhost:1', credentials: 'c', workspace: 'w', dataset: { kind: 'none' } },
        trainer: { name: 't', adapter: 'reference' },
        statistics: { allow: true, minimumCount: 2, noiseEpsilon: 1 },
      },
      folder,
    );
    const workspace = new Workspace(path.join(folder, 'w'));
    await workspace.runFolders();
    const approvals = new Approvals(workspace);
    await approvals.record('r', checkPlan({ name: 'r', rounds: 1, trainer: { name: 't' }, statistics: { bins: 4 } }));
    const told: TaskActivity[] = [];
    let asked: unknown;
    const around: Surroundings = {
      ...{ site, workspace, approvals, journal: new TaskJournal(workspace), models: new ModelCache(workspace) },
      pacing: REAL_PACING,
      client: () => assert.fail('statistics need no transfer'),
      onProgress: (activity) => told.push(activity),
      onLog: () => undefined,
      hours: new WorkingHours({ now: Date.now, pacing: REAL_PACING }),
      trainer: {
        run: async ({ folder: task, onProgress }) => {
          asked = JSON.parse(await readFile(path.join(task, 'task.json'), 'utf8'));
          const histogram = new CaseHistogram(-1024, 3072, bins);
          for (const value of [1, 2, 3]) {
            histogram.addCase([value]);
            onProgress?.({ progress: value / 3, step: value, metrics: { patients: 3 } });
          }
          const report = {
            ...{ protocol: 1, samples: 3, steps: 3, metrics: { patients: 3 }, warnings: ['case 2 is Mr Smith'] },
            statistics: { cases: 3, variables: [{ name: 'intensity', unit: 'HU', ...histogram.sums() }] },
          };
          await writeFile(path.join(task, 'report.json'), JSON.stringify(report));
        },
      },
    };
    const task = create(TaskSchema, {
      ...{
        id: 'r/statistics/1/a',
        kind: 'statistics',
        run: 'r',
        round: 1,
        rounds: 1,
        trainer: 't',
        track: 'federated',
      },
    });
    const record = newRecord(task, new Date(), new Date(Date.now() + 60_000));
    return { done: await executeTask(record, around, new AbortController().signal), told, asked, record };
  }

  it('tells what the policy lets go and nothing beside it, neither in its result nor on the way', async () => {
    const { done, told, asked, record } = await run(4);
    assert.deepEqual((asked as { statistics: { bins: number } }).statistics.bins, 4);
    const { variables, epsilon, cases } = JSON.parse(done.statisticsJson);
    assert.deepEqual([epsilon, cases, variables.length, variables[0].exact], [1, undefined, 1, undefined]);
    assert.deepEqual([done.samples, done.steps, done.metrics, done.warnings], [0n, 0n, {}, []]);
    assert.deepEqual(
      told
        .filter(({ activity }) => activity === 'measuring')
        .map(({ fraction, step, metrics }) => [fraction, step, metrics]),
      [
        [0, undefined, undefined],
        [1, undefined, undefined],
      ],
      'a fraction would tell the number of cases',
    );
    assert.deepEqual(record.released, JSON.parse(done.statisticsJson), 'the noise is on record, to be told again');
  });

  it('fails when the trainer counts in other bins than it was asked to', async () => {
    await assert.rejects(run(5), { code: 'trainer-failed', message: /must have statistics in 4 bins/ });
  });
});
