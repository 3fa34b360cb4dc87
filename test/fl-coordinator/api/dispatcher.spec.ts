import assert from 'node:assert/strict';
import type { CoordinatorMessage } from '../../../federation/gen/federation/v1/federation_pb';
import { RUN_FORGOTTEN_MILLIS } from '../../../federation/protocol';
import { Dispatcher } from '../../../fl-coordinator/api/dispatcher';
import { SiteHub } from '../../../fl-coordinator/api/site-hub';
import type { NewEvent } from '../../../fl-coordinator/runs/events';
import { reduce } from '../../../fl-coordinator/runs/reduce';
import type { RunState } from '../../../fl-coordinator/runs/run-state';
import { PLAN } from './support/tasks';

const RUN = 'run-1';
const AT = '2026-01-01T00:00:00.000Z';
const DEADLINE = '2026-01-01T01:00:00.000Z';
const DIGEST = `sha256:${'ab'.repeat(32)}`;
const NOW = Date.parse(AT);

type Message = CoordinatorMessage['message'];

/** A run as its journal tells it. */
class Story {
  state: RunState | undefined;

  happens(event: NewEvent): RunState {
    const stamped = { v: 1 as const, seq: (this.state?.seq ?? 0) + 1, at: AT, epoch: 0, ...event };
    this.state = reduce(this.state, RUN, stamped);
    return this.state;
  }

  get now(): RunState {
    return this.state!;
  }
}

const submitted: NewEvent = {
  type: 'run-submitted',
  plan: PLAN,
  cohort: ['a', 'b'],
  operator: 'admin',
  submitToken: 'token-of-the-test',
};
const initialise = { kind: 'initialise', round: 0 } as const;
const train = { kind: 'train', round: 1 } as const;
const update = (stage: typeof initialise | typeof train, site: string): NewEvent => ({
  type: 'update-accepted',
  stage,
  site,
  digest: DIGEST,
  bytes: 100,
  samples: 1,
  metrics: {},
  warnings: [],
  seconds: 1,
  steps: 1,
  peakRssBytes: 0,
});

describe('what a site is told', () => {
  let now: number;
  let hub: SiteHub;
  let dispatcher: Dispatcher;
  let story: Story;
  let gone: string[];

  beforeEach(() => {
    now = NOW;
    gone = [];
    hub = new SiteHub({ livenessMillis: 3000, now: () => now }, (site) => gone.push(site));
    dispatcher = new Dispatcher(hub, () => now);
    story = new Story();
    story.happens(submitted);
  });
  afterEach(() => hub.close());

  /** A connection that keeps what is written to it. */
  const connect = (site: string) => {
    const messages: Message[] = [];
    const line = { ended: false, messages };
    const connection = hub.attach(site, 'test', {
      write: ({ message }) => void messages.push(message),
      end: () => {
        line.ended = true;
      },
    });
    return Object.assign(line, { connection });
  };
  const casesOf = ({ messages }: { messages: readonly Message[] }) => messages.map((message) => message.case);
  /** The event happens, and every site is told, twice: telling is idempotent. */
  const happens = (event: NewEvent) => {
    story.happens(event);
    dispatcher.runChanged(story.now);
    dispatcher.runChanged(story.now);
  };
  const trainingOpen = () => {
    happens({ type: 'site-approved', site: 'a' });
    happens({ type: 'site-approved', site: 'b' });
    happens({ type: 'stage-opened', stage: initialise, cohort: ['a'], deadline: DEADLINE });
    happens(update(initialise, 'a'));
    happens({ type: 'stage-closed', stage: initialise, contributors: ['a'], bytesToSites: 0, bytesFromSites: 0 });
    happens({ type: 'model-published', round: 0, digest: DIGEST, bytes: 100 });
    happens({ type: 'stage-opened', stage: train, cohort: ['a', 'b'], deadline: DEADLINE });
  };

  it('is the proposal, once, until the site has answered', () => {
    const a = connect('a');
    dispatcher.siteConnected(a.connection, story.now);
    dispatcher.runChanged(story.now);
    assert.deepEqual(casesOf(a), ['proposal']);
    happens({ type: 'site-approved', site: 'a' });
    const again = connect('a');
    dispatcher.siteConnected(again.connection, story.now);
    assert.deepEqual(casesOf(again), []);
  });

  it('is the proposal again on a new connection while it is unanswered', () => {
    dispatcher.siteConnected(connect('a').connection, story.now);
    const again = connect('a');
    dispatcher.siteConnected(again.connection, story.now);
    assert.deepEqual(casesOf(again), ['proposal']);
  });

  it('is the plan with the cohort by name', () => {
    const a = connect('a');
    dispatcher.runChanged(story.now);
    const [message] = a.messages;
    assert.ok(message?.case === 'proposal');
    assert.deepEqual((JSON.parse(message.value.planJson) as { cohort: string[] }).cohort, ['a', 'b']);
  });

  it('is nothing of a run that it is not part of', () => {
    const c = connect('c');
    dispatcher.siteConnected(c.connection, story.now);
    trainingOpen();
    assert.deepEqual(c.messages, []);
  });

  it('is its task, once, with the model to start from and the time that is left', () => {
    const b = connect('b');
    now = NOW + 600_000;
    trainingOpen();
    const tasks = b.messages.filter((message) => message.case === 'task');
    assert.equal(tasks.length, 1);
    const { id, kind, round, remainingMillis, models } = tasks[0]!.value;
    assert.deepEqual([id, kind, round, remainingMillis], ['run-1/train/1/b', 'train', 1, 3_000_000n]);
    assert.deepEqual(
      models.map(({ name, size, sha256 }) => [name, size, Buffer.from(sha256).toString('hex')]),
      [['global', 100n, 'ab'.repeat(32)]],
    );
  });

  it('is the open task again on a new connection, and nothing that is over', () => {
    trainingOpen();
    const a = connect('a');
    dispatcher.siteConnected(a.connection, story.now);
    assert.deepEqual(casesOf(a), ['task']);
  });

  it('is nothing of what another site does, and its task once more when a pause gives it more time', () => {
    const [a, b] = [connect('a'), connect('b')];
    trainingOpen();
    for (const { messages } of [a, b]) messages.length = 0;
    happens(update(train, 'a'));
    assert.deepEqual([casesOf(a), casesOf(b)], [['taskSettled'], []]);
    happens({ type: 'run-paused', operator: 'admin', reason: 'a new scanner', until: '2026-01-01T00:30:00.000Z' });
    assert.deepEqual([casesOf(a), casesOf(b)], [['taskSettled'], ['task']]);
    assert.ok(b.messages[0]!.case === 'task' && b.messages[0]!.value.remainingMillis === 5_400_000n);
  });

  it('is that its task is settled when its update is in the journal', () => {
    const a = connect('a');
    trainingOpen();
    a.messages.length = 0;
    happens(update(train, 'a'));
    assert.deepEqual(casesOf(a), ['taskSettled']);
    assert.ok(a.messages[0]!.case === 'taskSettled' && a.messages[0]!.value.task === 'run-1/train/1/a');
  });

  it('is that its task is cancelled when the round goes on without it', () => {
    const b = connect('b');
    trainingOpen();
    b.messages.length = 0;
    happens({ type: 'site-lost', stage: train, site: 'b', reason: 'nothing came' });
    assert.deepEqual(casesOf(b), ['taskCancelled']);
  });

  it('is that its task is cancelled, and the run over, when the run is aborted', () => {
    const a = connect('a');
    trainingOpen();
    a.messages.length = 0;
    happens({ type: 'run-aborted', operator: 'admin', reason: 'wrong dataset' });
    assert.deepEqual(casesOf(a), ['taskCancelled', 'runFinished']);
    assert.ok(a.messages[0]!.case === 'taskCancelled' && a.messages[0]!.value.reason === 'wrong dataset');
    assert.ok(a.messages[1]!.case === 'runFinished' && a.messages[1]!.value.state === 'aborted');
  });

  it('is once on each connection that a run is over', () => {
    happens({ type: 'run-failed', reason: 'nobody came' });
    const a = connect('a');
    dispatcher.siteConnected(a.connection, story.now);
    dispatcher.runChanged(story.now);
    assert.deepEqual(casesOf(a), ['runFinished']);
  });

  it('is nothing of a run that was over so long ago that the site has forgotten it', () => {
    happens({ type: 'run-failed', reason: 'nobody came' });
    now = Date.parse(AT) + RUN_FORGOTTEN_MILLIS;
    const [a, b] = [connect('a'), connect('b')];
    dispatcher.siteConnected(a.connection, story.now);
    assert.deepEqual(casesOf(a), ['runFinished']);
    now++;
    dispatcher.siteConnected(b.connection, story.now);
    assert.deepEqual(casesOf(b), []);
  });

  describe('and its connection', () => {
    it('ends when the site connects again, which does not count as gone', () => {
      const first = connect('a');
      const second = connect('a');
      assert.equal(first.ended, true);
      hub.detach(first.connection);
      assert.equal(hub.get('a'), second.connection);
      assert.deepEqual(gone, []);
    });

    it('ends when the site is silent for longer than the liveness interval', () => {
      const silent = connect('a');
      const talking = connect('b');
      now += 2000;
      hub.heard(talking.connection);
      now += 1000;
      hub.endSilent();
      assert.deepEqual([silent.ended, talking.ended, gone], [false, false, []]);
      now += 1;
      hub.endSilent();
      assert.deepEqual([silent.ended, talking.ended, gone], [true, false, ['a']]);
      assert.equal(hub.get('a'), undefined);
    });

    it('ends with the hub', () => {
      const a = connect('a');
      hub.close();
      assert.equal(a.ended, true);
      assert.deepEqual([...hub.all()], []);
    });
  });
});
