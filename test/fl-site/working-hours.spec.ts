import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { checkPlan } from '../../federation/plan';
import { type SiteAgent, startSiteAgent } from '../../fl-site/agent';
import { type Pacing, REAL_PACING } from '../../fl-site/backoff';
import { DAYS, type Hours } from '../../fl-site/hours';
import type { SiteEvent } from '../../fl-site/site-events';
import { dialInsecure, FakeCoordinator } from './support/fake-coordinator';
import { MODEL } from './support/model-bytes';
import { scriptedTrainer } from './support/scripted-trainer';
import { makeSite, type TestSite } from './support/site';
import { until } from './support/until';

const RUN = 'run-1';
const HOUR = 3600e3;
/** No other wait of an agent is as long as one for its hours. */
const LONG_MILLIS = 30_000;

/** The clock of this machine, which the test sets ahead. */
class SettableClock implements Pacing {
  #ahead = 0;
  readonly #sleepers = new Set<() => void>();

  readonly now = () => Date.now() + this.#ahead;

  advance(millis: number): void {
    this.#ahead += millis;
    for (const wake of this.#sleepers) wake();
  }

  random(): number {
    return 0.05;
  }

  async wait(millis: number, signal: AbortSignal): Promise<void> {
    if (millis < LONG_MILLIS) return REAL_PACING.wait(millis, signal);
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const over = () => {
        this.#sleepers.delete(wake);
        signal.removeEventListener('abort', onAbort);
      };
      const wake = () => {
        over();
        resolve();
      };
      const onAbort = () => {
        over();
        reject(signal.reason);
      };
      this.#sleepers.add(wake);
      signal.addEventListener('abort', onAbort);
    });
  }
}

describe('a site with hours', () => {
  let coordinator: FakeCoordinator;
  let site: TestSite;
  let agent: SiteAgent | undefined;
  let clock: SettableClock;
  let events: SiteEvent[];

  beforeEach(async () => {
    coordinator = await FakeCoordinator.start();
    site = await makeSite('a', coordinator.port, scriptedTrainer('good'));
    clock = new SettableClock();
    events = [];
  });
  afterEach(async () => {
    await agent?.close();
    agent = undefined;
    coordinator.kill();
    site.remove();
  });

  /** Open every day between two times that lie so many hours ahead of now. */
  const window = (from: number, to: number): Hours => {
    const clockIn = (hours: number) => new Date(clock.now() + hours * HOUR).toISOString().slice(11, 16);
    return { timeZone: 'UTC', open: [{ days: [...DAYS], from: clockIn(from), to: clockIn(to) }] };
  };
  const start = async (hours: Hours) => {
    const onEvent = (event: SiteEvent) => events.push(event);
    const options = { dial: dialInsecure, pacing: clock, now: clock.now, graceMillis: 5000, onEvent };
    agent = await startSiteAgent(site.configuration({ policy: { hours } }), options);
    await coordinator.until(() => coordinator.connected);
  };
  const propose = async (deadline = '10h') => {
    const trainer = { name: 'scripted', parameters: { steps: 4 } };
    const planJson = JSON.stringify(checkPlan({ name: 'p', trainer, rounds: 5, cohort: ['a'], deadline }));
    coordinator.push({ case: 'proposal', value: { run: RUN, planJson } });
    return coordinator.heard((message) => (message.case === 'proposalAnswer' ? message.value : undefined));
  };
  const ask = (kind: 'train' | 'evaluate', hours = 10) => {
    const id = `${RUN}/${kind}/1/a`;
    const model = coordinator.addModel('model', MODEL);
    const task = { id, kind, run: RUN, round: 1, rounds: 5, seed: 11, trainer: 'scripted', track: 'federated' };
    const parametersJson = '{"steps":4}';
    coordinator.open({ ...task, remainingMillis: BigInt(hours * HOUR), parametersJson, models: [model] });
    return id;
  };
  /** What the coordinator was told of a wait that has a reason. */
  const waits = (task: string) =>
    coordinator.heard((message) =>
      message.case === 'heartbeat'
        ? message.value.progress.find((one) => one.task === task && one.activity === 'waiting' && one.note !== '')
        : undefined,
    );
  const failure = async (task: string) => {
    const outcome = await coordinator.result(task);
    assert.equal(outcome.case, 'failed');
    return outcome.case === 'failed' ? outcome.value : assert.fail();
  };
  const gate = (name: string) => path.join(site.folder, 'gate', name);
  const hasStarted = () => existsSync(gate('reached')) && readFileSync(gate('reached'), 'utf8').endsWith('\n');
  const workspace = (...names: string[]) => path.join(site.folder, 'workspace', 'runs', RUN, ...names);
  const heldEvents = () => events.filter(({ kind }) => kind === 'task-waits').length;

  it('fetches the model, waits for its hours in words that everybody sees, and begins with them', async () => {
    mkdirSync(gate(''));
    writeFileSync(gate('open'), '');
    const hours = window(2, 4);
    await start(hours);
    assert.equal((await propose()).approved, true);
    const id = ask('train');
    const { note, fraction } = await waits(id);
    assert.match(note, new RegExp(`^until [A-Z][a-z]{2} ${hours.open[0]!.from} UTC, when the hours of a begin$`));
    assert.equal(fraction, 0);
    assert.equal(coordinator.downloads.length, 1);
    assert.equal(events.find((event) => event.kind === 'task-waits')?.reason, note);
    // A task that comes meanwhile is prepared and held as well, not stuck behind the first.
    const evaluate = ask('evaluate');
    await waits(evaluate);
    // The clock is looked at, and the hours have not begun.
    clock.advance(HOUR);
    assert.equal(hasStarted(), false);
    clock.advance(HOUR);
    assert.equal((await coordinator.result(id)).case, 'done');
    assert.equal((await coordinator.result(evaluate)).case, 'done');
    assert.equal(coordinator.downloads.length, 1);
    assert.equal(heldEvents(), 2);
  });

  it('stops a trainer when its hours are over, and the next ones go on from its checkpoint', async () => {
    mkdirSync(gate(''));
    await start(window(-1, 1));
    await propose('1d');
    const id = ask('train', 24);
    await until(hasStarted);
    clock.advance(HOUR);
    await waits(id);
    const trainer = Number(readFileSync(gate('reached'), 'utf8'));
    assert.throws(() => process.kill(trainer, 0), { code: 'ESRCH' });
    writeFileSync(gate('open'), '');
    clock.advance(22 * HOUR);
    const outcome = await coordinator.result(id);
    assert.equal(outcome.case, 'done');
    // Two steps before the gate, two after: none twice.
    const steps = readFileSync(workspace('state', 'federated', 'steps.log'), 'utf8');
    assert.equal(steps, '0\n1\n2\n3\n');
  });

  it('declines at once what would be over before its hours begin', async () => {
    await start(window(4, 6));
    await propose();
    const id = ask('train', 3);
    const { code, message } = await failure(id);
    assert.equal(code, 'deadline-exceeded');
    assert.match(message, /^a may not work before .* UTC \(policy\.hours\), and the time of the task ends at/);
    assert.equal(coordinator.downloads.length, 0);
    assert.equal(hasStarted(), false);
  });

  it('declines what it held when the time for it becomes shorter', async () => {
    await start(window(4, 6));
    await propose();
    const id = ask('train', 10);
    await waits(id);
    ask('train', 3);
    assert.match((await failure(id)).message, /policy\.hours/);
  });

  it('forgets what it held when nobody wants it any more', async () => {
    await start(window(2, 4));
    await propose();
    const id = ask('train');
    await waits(id);
    coordinator.openTasks.delete(id);
    coordinator.push({ case: 'taskCancelled', value: { task: id, reason: 'the run was aborted' } });
    await until(() => events.some(({ kind }) => kind === 'task-cancelled'));
    clock.advance(2 * HOUR);
    const evaluate = ask('evaluate');
    assert.equal((await coordinator.result(evaluate)).case, 'done');
    assert.equal(events.filter((event) => event.kind === 'task-started' && event.task === id).length, 1);
  });

  it('sends what was trained when its hours are over', async () => {
    await start(window(-1, 1));
    await propose();
    let cut = false;
    coordinator.onUploadChunk = () => {
      if (cut) return;
      cut = true;
      clock.advance(2 * HOUR);
      throw new Error('the connection is cut');
    };
    const id = ask('train');
    assert.equal((await coordinator.result(id)).case, 'done');
    assert.equal(heldEvents(), 0);
  });

  it('goes on after a restart outside of its hours', async () => {
    const hours = window(-1, 1);
    mkdirSync(gate(''));
    await start(hours);
    await propose('1d');
    const id = ask('train', 24);
    await until(hasStarted);
    await agent!.close();
    clock.advance(HOUR);
    coordinator.messages.length = 0;
    await start(hours);
    await waits(id);
    appendFileSync(gate('open'), '');
    assert.equal(readFileSync(gate('reached'), 'utf8').trim().split('\n').length, 1);
    clock.advance(22 * HOUR);
    assert.equal((await coordinator.result(id)).case, 'done');
  });
});
