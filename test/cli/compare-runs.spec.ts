import assert from 'node:assert/strict';
import { create } from '@bufbuild/protobuf';
import { compareRuns, comparisonTable, parseTarget } from '../../cli/compare-runs';
import { RunViewSchema } from '../../federation/gen/federation/v1/federation_pb';

const run = (name: string, dice: readonly number[]) =>
  create(RunViewSchema, {
    summary: { run: name, state: 'completed' },
    rounds: dice.map((value, index) => ({
      round: index + 1,
      seconds: 2,
      bytesToSites: 1024n,
      bytesFromSites: 512n,
      evaluations: [
        {
          site: 'a',
          model: 'global',
          metrics: { dice: value, loss: 1 - value } as Record<string, number>,
          samples: 3n,
        },
        { site: 'b', model: 'global', metrics: { dice: 0, loss: 1 } as Record<string, number>, samples: 1n },
        { site: 'c', model: 'global', metrics: {} as Record<string, number>, samples: 9n },
      ],
    })),
  });

describe('runs side by side', () => {
  const views = [run('one', [0.4, 0.8, 0.6]), run('two', [0.4]), run('none', [])];

  it('weigh sites by samples, and name the final and the best value, the round of the target and the cost', () => {
    const { runs } = compareRuns(views, { target: parseTarget('dice=0.3') });
    assert.deepEqual(runs[0], {
      run: 'one',
      state: 'completed',
      rounds: 3,
      final: (0.6 * 3) / 4,
      best: (0.8 * 3) / 4,
      bestRound: 2,
      reachedRound: 1,
      reachedSeconds: 2,
      seconds: 6,
      bytes: 3 * 1536,
    });
    assert.deepEqual([runs[2]!.final, runs[2]!.best, runs[2]!.reachedRound], [null, null, null]);
  });

  it('take less of a loss for better', () => {
    const { runs } = compareRuns(views, { target: { metric: 'loss', value: 0.5 } });
    assert.deepEqual([runs[0]!.bestRound, runs[0]!.reachedRound], [2, 2]);
    assert.equal(runs[1]!.reachedRound, null);
  });

  it('are a table', () => {
    assert.deepEqual(comparisonTable(compareRuns(views, { target: parseTarget('dice=0.5') })).split('\n'), [
      'run   state      rounds  final dice  best dice        reaches 0.5     time   moved',
      'one   completed  3       0.450       0.600 (round 2)  round 2, 4.0 s  6.0 s  4.5 KiB',
      'two   completed  1       0.300       0.300 (round 1)  -               2.0 s  1.5 KiB',
      'none  completed  0       -           -                -               0.0 s  0 B',
    ]);
  });

  it('refuse what is no target, and two metrics at once', () => {
    for (const text of ['dice', 'dice=', '=1', 'dice=high'])
      assert.throws(() => parseTarget(text), /must be a metric and a number/);
    assert.throws(() => compareRuns(views, { metric: 'loss', target: parseTarget('dice=1') }), /the same metric/);
  });
});
