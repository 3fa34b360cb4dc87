import assert from 'node:assert/strict';
import { create } from '@bufbuild/protobuf';
import { matrixLines } from '../../../cli/matrix-table';
import { RunViewSchema } from '../../../federation/gen/federation/v1/federation_pb';
import { bestModels } from '../../../fl-coordinator/runs/best-models';
import type { OpenStage, SiteResult } from '../../../fl-coordinator/runs/run-state';

type Judged = Readonly<Record<string, Readonly<Record<string, number>>>>;

function stageOf(bySite: Readonly<Record<string, Judged>>): OpenStage {
  const results = new Map<string, SiteResult>([['lost', { kind: 'lost', reason: 'gone' }]]);
  for (const [site, models] of Object.entries(bySite)) {
    const evaluations = Object.entries(models).map(([model, metrics]) => ({ model, metrics }));
    results.set(site, { kind: 'evaluation', samples: 1, evaluations, peakRssBytes: 0 });
  }
  return {
    stage: { kind: 'cross-evaluate', round: 1 },
    cohort: [...Object.keys(bySite), 'lost'],
    openedAt: '',
    deadline: '',
    results,
  };
}

describe('the best model of a matrix', () => {
  it('is by the mean over the sites, more or less being better as the metric has it', () => {
    const stage = stageOf({
      a: { global: { dice: 0.9, assd: 2, loss: 0.3 }, 'update:a': { dice: 0.95, assd: 1, loss: 0.5 } },
      b: { global: { dice: 0.8, assd: 3, loss: 0.3 }, 'update:a': { dice: 0.7, assd: 3.5, loss: 0.2 } },
    });
    const best = Object.fromEntries(
      bestModels(stage).map(({ metric, model, mean }) => [metric, [model, mean.toFixed(3)]]),
    );
    assert.deepEqual(best, { dice: ['global', '0.850'], assd: ['update:a', '2.250'], loss: ['global', '0.300'] });
  });

  it('is not named by a metric that one site or model lacks, and nobody wins a tie over the global model', () => {
    const stage = stageOf({
      a: { global: { dice: 0.5, assd: 1 }, 'update:a': { dice: 0.5 } },
      b: { global: { dice: 0.5, assd: 1 }, 'update:a': { dice: 0.5, assd: 0 } },
    });
    assert.deepEqual(bestModels(stage), [{ metric: 'dice', model: 'global', mean: 0.5 }]);
    assert.deepEqual(bestModels(stageOf({})), []);
  });

  it('stands below the matrix that people see', () => {
    const cell = (site: string, model: string, dice: number) => ({
      site,
      model,
      metrics: { assd: 1, dice },
      samples: 1n,
    });
    const view = create(RunViewSchema, {
      matrix: [cell('a', 'global', 0.9), cell('a', 'update:a', 1), cell('b', 'global', 0.8)],
      best: [{ metric: 'dice', model: 'global', mean: 0.85 }],
    });
    assert.deepEqual(matrixLines(view), [
      "dice of each model (row) on each site's held-out cases (column)",
      'model     a      b      mean',
      'global    0.900  0.800  0.850',
      'update:a  1.000  -      1.000',
      'best by dice: global (mean 0.850)',
    ]);
    assert.deepEqual(matrixLines(create(RunViewSchema, {})), []);
  });
});
