import assert from 'node:assert/strict';
import { create } from '@bufbuild/protobuf';
import type { Standing } from '../../../cli/search/ranking';
import { readSearch } from '../../../cli/search/search-file';
import { candidateTable, outcomeLine, rankingTable, rungTable, searchLine } from '../../../cli/search/search-table';
import { trialOf } from '../../../cli/search/trials';
import { RunViewSchema } from '../../../federation/gen/federation/v1/federation_pb';

const search = readSearch({
  name: 'spleen',
  trainer: { name: 'reference' },
  rounds: 3,
  search: {
    metric: 'dice',
    candidates: 4,
    parameters: {
      'trainer.parameters.batch': { choices: [1, 2, 3, 4] },
      'strategy.lr': { choices: [0.5] },
      'trainer.parameters.lr': { choices: [{ low: 0.1 }] },
    },
  },
});
const batchOf = (candidate: number) => String(search.candidates[candidate - 1]!.parameters['trainer.parameters.batch']);
const outcome = (candidate: number, value: number | null): Standing => ({
  candidate,
  rung: 1,
  rounds: 1,
  run: `run-${candidate}`,
  value,
  compared: value,
  judgements: value === null ? [] : ['a', 'b'].map((site) => ({ site, value, samples: 1 })),
  reason: value === null ? 'failed: no quorum' : '',
  roundsDone: value === null ? 0 : 1,
  bytes: 2048,
  seconds: 1.25,
});

describe('a search, as a person sees it', () => {
  it('names what it will do, and each candidate by keys that tell them apart', () => {
    assert.equal(
      searchLine(search),
      `search ${search.id} of spleen: 4 candidates, 7 rounds in all: 4 trials of 1 round, 1 trial of 3 rounds; the most dice wins`,
    );
    const [heading, first] = candidateTable(search).split('\n');
    assert.match(heading!, /^candidate {2}batch {2}strategy\.lr {2}trainer\.parameters\.lr$/);
    assert.match(first!, new RegExp(`^1 +${batchOf(1)} +0\\.5 +\\{"low":0\\.1\\}$`));
  });

  it('shows the trials of a rung, those that go on first, and fits on the screen', () => {
    const view = create(RunViewSchema, { summary: { state: 'running', round: 1, rounds: 1 }, stage: 'train' });
    const rows = search.candidates.map((candidate) => {
      const trial = trialOf(search, candidate, 1);
      return candidate.number < 3 ? { trial, outcome: outcome(candidate.number, 0.5) } : { trial, view };
    });
    const text = rungTable(search, 1, rows, 20);
    assert.match(text, /^search \w+ {2}rung 1\/2 {2}2 of at most 4 trials of 1 round done\n/);
    assert.deepEqual(
      text
        .split('\n')
        .slice(2)
        .map((line) => line[0]),
      ['3', '4', '1', '2'],
    );
    assert.match(text, /\n3 .* round 1\/1 {2}training\n/);
    assert.match(text, /\n1 .* dice 0\.5000\n/);
    const small = rungTable(search, 1, rows, 5).split('\n');
    assert.equal(small.length, 5);
    assert.equal(small.at(-1), 'and 2 more');
  });

  it('says what became of a trial, and ranks', () => {
    assert.equal(
      outcomeLine(outcome(1, 0.5), search),
      'rung 1/2  candidate 1  dice 0.5000  (1 round, 2.0 KiB, 1.3 s)  judged by a b',
    );
    assert.equal(
      outcomeLine(outcome(2, null), search),
      'rung 1/2  candidate 2  failed: no quorum  (0 rounds, 2.0 KiB, 1.3 s)',
    );
    const [heading, first, second] = rankingTable(search, [outcome(3, 0.00001), outcome(4, null)]).split('\n');
    assert.match(heading!, /^rank {2}candidate {2}batch .*rounds {2}dice +moved +run$/);
    assert.match(first!, new RegExp(`^1 +3 +${batchOf(3)} .* 1/1 +0\\.00001000 +2\\.0 KiB +run-3$`));
    assert.match(second!, /^2 +4 .* 0\/1 +- +2\.0 KiB +run-4 +failed: no quorum$/);
    const other = rankingTable(search, [{ ...outcome(3, 0.25), compared: 0.75 }, outcome(4, null)]).split('\n');
    assert.match(other[0]!, / dice +as if by all sites +moved /);
    assert.match(other[1]!, / 1\/1 +0\.2500 +0\.7500 +2\.0 KiB /);
    assert.match(other[2]!, / 0\/1 +- +- +2\.0 KiB /);
  });
});
