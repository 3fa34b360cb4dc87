import assert from 'node:assert/strict';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { showBytes } from '../../base/show-bytes';
import { changeLines, runTable, stageWords } from '../../cli/run-table';
import { table } from '../../cli/terminal';
import { type RunView, RunViewSchema } from '../../federation/gen/federation/v1/federation_pb';

type ViewInit = Exclude<MessageInitShape<typeof RunViewSchema>, RunView>;

const view = (more: ViewInit = {}) =>
  create(RunViewSchema, {
    summary: { run: 'spleen-1', name: 'spleen', state: 'running', round: 1, rounds: 2 },
    stage: 'train',
    sites: [
      {
        site: 'a',
        connected: true,
        state: 'training',
        fraction: 0.5,
        metrics: { loss: 0.25 },
        bytesToSite: 1536n,
        bytesFromSite: 0n,
      },
      { site: 'st-marys', connected: false, state: 'waiting' },
    ],
    ...more,
  });

describe('a table', () => {
  it('pads every column to its widest cell, and no line at its end', () => {
    const rows = [
      ['site', 'state', ''],
      ['a', 'training', '1'],
      ['st-marys', 'x', ''],
    ];
    assert.equal(table(rows), 'site      state\na         training  1\nst-marys  x');
  });
});

describe('a number of bytes', () => {
  for (const [bytes, text] of [
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [102_400, '100 KiB'],
    [1_048_576, '1.0 MiB'],
    [5 * 2 ** 30, '5.0 GiB'],
    [3 * 2 ** 50, '3072 TiB'],
  ] as const) {
    it(`${bytes} is ${text}`, () => assert.equal(showBytes(bytes), text));
  }
});

describe('a run as a table', () => {
  it('says what a site waits for', () => {
    const reason = 'until Mon 19:00 Europe/London, when the hours of a begin';
    const waiting = view({ sites: [{ site: 'a', connected: true, state: 'waiting', reason }] });
    assert.equal(runTable(waiting).split('\n').at(-1), `a waits ${reason}`);
    assert.deepEqual(changeLines(view({ sites: [{ site: 'a', connected: true, state: 'waiting' }] }), waiting), [
      `a waiting: ${reason}`,
    ]);
  });

  it('has a heading and a row for each site', () => {
    assert.deepEqual(runTable(view()).split('\n'), [
      'spleen  running  round 1/2  training',
      'site      state              progress           metrics     received      sent',
      'a         training           ######......  50%  loss 0.250  1.5 KiB down  0 B up',
      'st-marys  waiting (offline)  ............   0%              0 B down      0 B up',
    ]);
  });

  it('keeps its shape whatever fraction a site reports', () => {
    for (const fraction of [-1, 0, 1, 7]) {
      const [, , row] = runTable(view({ sites: [{ site: 'a', connected: true, state: 'x', fraction }] })).split('\n');
      assert.match(row!, / [#.]{12} /);
    }
  });

  it('has words for every stage', () => {
    for (const stage of ['approve', 'initialise', 'train', 'aggregate', 'evaluate', 'train-alone', 'cross-evaluate']) {
      assert.match(stageWords(stage), /^[a-z ,]+$/);
    }
  });
});

describe('what changed in a run', () => {
  const round = (evaluated: readonly string[]) => ({
    round: 1,
    contributors: ['a', 'st-marys'],
    seconds: 2.34,
    metrics: { loss: 0.5 },
    evaluations: evaluated.map((site) => ({ site, model: 'global', metrics: { dice: 0.9 } })),
  });

  it('is nothing between two equal views', () => {
    assert.deepEqual(changeLines(view(), view()), []);
  });

  it('is at first the stage and the state', () => {
    assert.deepEqual(changeLines(undefined, view()), ['run spleen-1 is running', 'round 1/2  training']);
  });

  it('is a round, once the next one has begun', () => {
    const evaluating = view({ stage: 'evaluate', rounds: [round(['a'])] });
    const summary = { run: 'spleen-1', state: 'running', round: 2, rounds: 2 };
    const next = view({ summary, rounds: [round(['a', 'st-marys'])] });
    assert.deepEqual(changeLines(view(), evaluating), ['round 1/2  evaluating the global model']);
    assert.deepEqual(changeLines(evaluating, next), [
      'round 1/2  2.3 s  loss 0.500  dice a 0.900  st-marys 0.900',
      'round 2/2  training',
    ]);
    assert.deepEqual(changeLines(next, next), []);
  });

  it('is the last round when the run is over, and then the end', () => {
    const summary = { run: 'spleen-1', state: 'completed', round: 1, rounds: 1 };
    assert.deepEqual(changeLines(view(), view({ summary, stage: '', rounds: [round([])] })), [
      'round 1/1  2.3 s  loss 0.500',
      'run spleen-1 is completed',
    ]);
  });

  it('is a site that falls out, with the reason, once', () => {
    const lost = view({ sites: [{ site: 'a', connected: true, state: 'lost', reason: 'no GPU' }] });
    assert.deepEqual(changeLines(view(), lost), ['a lost: no GPU']);
    assert.deepEqual(changeLines(lost, lost), []);
  });

  it('is a connection that is lost or found again', () => {
    const without = view({ sites: [{ site: 'a', connected: false, state: 'training' }] });
    assert.deepEqual(changeLines(view(), without), ['a is offline']);
    assert.deepEqual(changeLines(without, view()), ['a is connected again']);
  });

  it('is the end, with the reason', () => {
    const summary = { run: 'spleen-1', state: 'failed', reason: 'nobody came', rounds: 2 };
    assert.deepEqual(changeLines(view(), view({ summary, stage: '' })), ['run spleen-1 is failed: nobody came']);
  });
});

describe('the course of a run', () => {
  it('is said below the table: a pause, a drawn cohort, the buffer, the best model', () => {
    const lines = runTable(
      view({
        summary: { run: 'spleen-1', name: 'spleen', state: 'paused', round: 3, rounds: 9 },
        cohort: ['a'],
        pause: { operator: 'ada', since: '2026-01-01T00:00:00Z', until: '2026-01-02T00:00:00Z', reason: 'scanner' },
        buffer: { fill: 1, size: 2 },
        bestRound: { round: 2, metric: 'dice', value: 0.9123 },
        sites: [
          { site: 'a', connected: true, state: 'training' },
          { site: 'b', connected: false, state: 'training', staleness: 2 },
        ],
      }),
    ).split('\n');
    assert.match(lines[3]!, /^b {5}training, 2 models behind \(offline\) /);
    assert.deepEqual(lines.slice(4), [
      'paused by ada since 2026-01-01T00:00:00Z; fails at 2026-01-02T00:00:00Z unless it is resumed',
      'this round asks a',
      'buffer: 1 of 2 updates',
      'best so far: round 2, dice 0.912',
    ]);
  });

  it('is said of a round that did not ask everybody, or combined updates of earlier rounds', () => {
    const round = {
      round: 1,
      seconds: 2,
      cohort: ['a'],
      buffered: [{ site: 'st-marys', staleness: 1 }, { site: 'a' }],
    };
    const summary = { run: 'spleen-1', state: 'completed', round: 1, rounds: 1, reason: 'stopped early: enough' };
    assert.deepEqual(changeLines(view(), view({ summary, stage: '', rounds: [round] })), [
      'round 1/1  2.0 s  asked a  st-marys 1 model behind',
      'run spleen-1 is completed: stopped early: enough',
    ]);
  });

  it('changes when it is paused and resumed', () => {
    const paused = view({ summary: { run: 'spleen-1', state: 'paused', round: 1, rounds: 2, reason: 'scanner' } });
    assert.deepEqual(changeLines(view(), paused), ['run spleen-1 is paused: scanner']);
    assert.deepEqual(changeLines(paused, view()), ['run spleen-1 is running']);
  });
});
