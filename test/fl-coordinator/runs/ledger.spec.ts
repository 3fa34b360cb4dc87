import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ledgerCsv, ledgerTable } from '../../../cli/ledger-table';
import { checkPlan } from '../../../federation/plan';
import { runEventSchema } from '../../../fl-coordinator/runs/events';
import { ledgerOf } from '../../../fl-coordinator/runs/ledger';
import { reduce } from '../../../fl-coordinator/runs/reduce';
import type { RunState } from '../../../fl-coordinator/runs/run-state';
import { Traffic } from '../../../fl-coordinator/runs/traffic';
import { DIGEST, Story } from './story';

const MIB = 2 ** 20;
const TRAIN = { kind: 'train', round: 1 };
const EVALUATE = { kind: 'evaluate', round: 1 };

/** A journal as it lies in a store: [seconds since the start, event]. */
type Journal = readonly (readonly [at: number, event: Record<string, unknown>])[];

function replay(journal: Journal): RunState {
  const start = Date.parse('2026-01-01T00:00:00Z');
  let state: RunState | undefined;
  journal.forEach(([at, event], index) => {
    const stamped = { v: 1, seq: index + 1, at: new Date(start + at * 1000).toISOString(), ...event };
    state = reduce(state, 'r', runEventSchema.parse(JSON.parse(JSON.stringify(stamped))));
  });
  return state!;
}

const plan = checkPlan({ name: 'r', rounds: 1, trainer: { name: 't' }, deadline: '1h' });
const deadline = '2026-01-02T00:00:00Z';
const update = (site: string, seconds: number, peakRssBytes: number) => ({
  ...{ type: 'update-accepted', stage: TRAIN, site, digest: DIGEST, bytes: 10, samples: 4 },
  ...{ metrics: {}, warnings: [], seconds, peakRssBytes },
});
const evaluated = (site: string, peakRssBytes: number) => ({
  ...{ type: 'evaluation-reported', stage: EVALUATE, site, samples: 2, peakRssBytes },
  evaluations: [{ model: 'global', metrics: {} }],
});

/** @param figures false: as a release wrote it that knew no ledger */
const journal = (figures: boolean): Journal => {
  const measured = (more: object) => (figures ? more : {});
  return [
    [0, { type: 'run-submitted', plan, cohort: ['a', 'b'], operator: 'ada', submitToken: 'x' }],
    [1, { type: 'site-approved', site: 'a' }],
    [1, { type: 'site-approved', site: 'b' }],
    [2, { type: 'stage-opened', stage: { kind: 'initialise', round: 0 }, cohort: ['a'], deadline }],
    [3, { ...update('a', 1, 5), stage: { kind: 'initialise', round: 0 } }],
    [
      3,
      {
        type: 'stage-closed',
        stage: { kind: 'initialise', round: 0 },
        contributors: ['a'],
        bytesToSites: 0,
        bytesFromSites: 10,
      },
    ],
    [4, { type: 'model-published', round: 0, digest: DIGEST, bytes: 10 }],
    [10, { type: 'stage-opened', stage: TRAIN, cohort: ['a', 'b'], deadline }],
    [18, update('a', 7.5, 300 * MIB)],
    [19, { type: 'site-lost', stage: TRAIN, site: 'b', reason: 'no' }],
    [
      20,
      {
        ...{ type: 'stage-closed', stage: TRAIN, contributors: ['a'], bytesToSites: 3 * MIB, bytesFromSites: MIB },
        ...measured({ transferSeconds: 2.5, peakRssBytes: 90 * MIB }),
      },
    ],
    [
      24,
      {
        type: 'model-published',
        round: 1,
        digest: DIGEST,
        bytes: 10,
        ...measured({ seconds: 3, peakRssBytes: 95 * MIB }),
      },
    ],
    [25, { type: 'stage-opened', stage: EVALUATE, cohort: ['a', 'b'], deadline }],
    [27, evaluated('a', 350 * MIB)],
    [29, evaluated('b', 200 * MIB)],
    [
      30,
      {
        ...{
          type: 'stage-closed',
          stage: EVALUATE,
          contributors: ['a', 'b'],
          bytesToSites: 2 * MIB,
          bytesFromSites: 0,
        },
        ...measured({ transferSeconds: 1, peakRssBytes: 92 * MIB }),
      },
    ],
  ];
};

describe('the ledger of a run', () => {
  it('says of a round where its time, bytes and memory went', () => {
    const [initial, round, ...others] = ledgerOf(replay(journal(true)));
    assert.deepEqual(others, []);
    assert.deepEqual([initial!.part, initial!.round, initial!.seconds], ['initialise', 0, 2]);
    const { $typeName: _, sites, ...figures } = round!;
    assert.deepEqual(figures, {
      part: 'round',
      round: 1,
      seconds: 20, // from 10 to 30
      waitingSeconds: 7.5, // 10 s of training stage, 2.5 s of them moving models
      transferSeconds: 3.5,
      aggregationSeconds: 3,
      evaluationSeconds: 4, // 5 s, one of them moving models
      bytesToSites: BigInt(5 * MIB),
      bytesFromSites: BigInt(MIB),
      coordinatorPeakRssBytes: BigInt(95 * MIB),
    });
    assert.deepEqual(
      sites.map(({ $typeName: _, ...site }) => site),
      [
        { site: 'a', outcome: 'update', seconds: 7.5, updateBytes: 10n, peakRssBytes: BigInt(350 * MIB) },
        { site: 'b', outcome: 'lost', seconds: 0, updateBytes: 0n, peakRssBytes: BigInt(200 * MIB) },
      ],
    );
  });

  it('is there for a journal of a release that measured less, from its times', () => {
    const round = ledgerOf(replay(journal(false)))[1]!;
    assert.deepEqual(
      [round.waitingSeconds, round.transferSeconds, round.aggregationSeconds, round.evaluationSeconds],
      [10, 0, 4, 5],
    );
    assert.equal(round.coordinatorPeakRssBytes, 0n);
  });

  it('has a round as soon as its model is published, and its evaluation when that has ended', () => {
    const events = journal(true);
    const secondsAfter = (count: number) => ledgerOf(replay(events.slice(0, count))).map((entry) => entry.seconds);
    assert.deepEqual(secondsAfter(11), [2]);
    assert.deepEqual(secondsAfter(12), [2, 14]);
    assert.deepEqual(secondsAfter(15), [2, 14]);
    assert.deepEqual(secondsAfter(16), [2, 20]);
  });

  const sitesOfRound = ({ state }: Story, round: number) =>
    ledgerOf(state)
      .find((entry) => entry.part === 'round' && entry.round === round)!
      .sites.map(({ site, outcome, seconds, updateBytes }) => [site, outcome, seconds, updateBytes]);

  it('has a late update in the round in which it began, as soon as it is combined', () => {
    const story = new Story({ rounds: 3, quorum: 1, lateUpdates: 'next-round', evaluation: { everyRound: false } }, [
      'a',
      'b',
      'c',
    ]);
    story.approveAll();
    for (const site of ['a', 'a', 'c']) story.deliver(site); // the first weights, then round 1
    story.pass(60_000);
    const early = [
      ['a', 'update', 1, 10n],
      ['b', 'lost', 0, 0n],
      ['c', 'update', 1, 10n],
    ];
    assert.deepEqual(sitesOfRound(story, 1), early);
    story.deliver('b');
    assert.deepEqual(sitesOfRound(story, 1), early);
    story.deliver('a');
    story.pass(60_000); // c is late with round 2, and never delivers
    assert.deepEqual(sitesOfRound(story, 1)[1], ['b', 'update', 1, 10n]);
    story.deliver('a');
    story.deliver('b');
    assert.equal(story.state.outcome?.kind, 'completed');
    assert.deepEqual(sitesOfRound(story, 2).at(-1), ['c', 'lost', 0, 0n]);
  });

  it('has an asynchronous update in the round in which it began, whichever model took it', () => {
    const plan = { rounds: 2, mode: 'asynchronous', buffer: { size: 1 }, evaluation: { everyRound: false } } as const;
    const story = new Story(plan, ['a', 'b']);
    story.approveAll();
    for (const site of ['a', 'a']) story.deliver(site);
    assert.deepEqual(sitesOfRound(story, 1)[1], ['b', '', 0, 0n]);
    story.deliver('b'); // from the initial model, into that of round 2
    assert.deepEqual(sitesOfRound(story, 1)[1], ['b', 'update', 1, 10n]);
  });

  it('is a table for people, and RFC 4180 for spreadsheets', () => {
    const entries = ledgerOf(replay(journal(true)));
    const lines = ledgerTable(entries).split('\n');
    assert.match(lines[0]!, /^part +seconds +waiting +transfer +aggregation +evaluation +down +up +slowest site/);
    assert.match(
      lines[2]!,
      /^round 1 +20\.0 +7\.5 +3\.5 +3\.0 +4\.0 +5\.0 MiB +1\.0 MiB +a 7\.5 s +350 MiB +95\.0 MiB$/,
    );
    const rows = ledgerCsv(entries).split('\r\n');
    assert.equal(rows.length, 4);
    const cells = Object.fromEntries(rows[0]!.split(',').map((name, at) => [name, rows[2]!.split(',')[at]]));
    assert.deepEqual(
      [cells.part, cells.round, cells.waiting_seconds, cells.bytes_to_sites, cells.sites_peak_rss_bytes],
      ['round', '1', '7.5', String(5 * MIB), String(350 * MIB)],
    );
  });
});

describe('the time in which models move', () => {
  it('is that of the union of all transfers, however they overlap', () => {
    const transfers = fc.array(fc.tuple(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 30 })), {
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(transfers, (spans) => {
        let now = 0;
        const traffic = new Traffic(() => now * 1000);
        traffic.openStage('r');
        const ends = new Map<number, () => void>();
        let expected = 0;
        for (; now <= 100; now++) {
          spans.forEach(([start], index) => {
            if (start === now) ends.set(index, traffic.transferring('r'));
          });
          spans.forEach(([start, length], index) => {
            if (start + length === now) ends.get(index)!();
          });
          assert.equal(traffic.ofStage('r').transferSeconds, expected);
          if (spans.some(([start, length]) => start <= now && now < start + length)) expected++;
        }
      }),
    );
  });

  it('begins anew with a stage, and a straggler of the last one does not count', () => {
    let now = 0;
    const traffic = new Traffic(() => now);
    const late = traffic.transferring('r');
    traffic.openStage('r');
    now = 5000;
    late();
    assert.equal(traffic.ofStage('r').transferSeconds, 0);
  });
});
