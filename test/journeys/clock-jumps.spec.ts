import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { openChannel } from '../../federation/channel';
import { loadCredentials } from '../../federation/credentials';
import { Federation as FederationService } from '../../federation/gen/federation/v1/federation_pb';
import { clientOf } from '../../federation/services';
import { fault } from '../support/faults';
import { Federation } from '../support/federation';
import { shiftModel } from '../support/shift-model';
import { until } from '../support/until';

const SITES = ['a', 'b'];
const HOUR = 3600e3;
const MODEL = shiftModel({ strategy: 'fedavgm', elements: 1000, rounds: [SITES, SITES] });

interface TimedEvent {
  readonly type: string;
  readonly seq: number;
  readonly at: string;
}

describe('a coordinator whose clock is set in the middle of a round', function () {
  this.timeout(120_000);
  let federation: Federation;
  let gate: string;
  let offset: string;

  before(async () => {
    federation = await Federation.start(SITES);
    gate = path.join(federation.folder, 'gate');
    offset = path.join(federation.folder, 'clock-offset');
    await mkdir(gate);
    await federation.stopSite('b');
    await federation.configureSite('b', { trainer: { GATE: gate } });
    await federation.startSite('b');
    await federation.coordinator.stop();
  });
  beforeEach(async () => {
    await rm(path.join(gate, 'open'), { force: true });
    await setClock(0);
    await start();
  });
  afterEach(() => federation.coordinator.stop());
  after(() => federation?.stop());

  const setClock = (millis: number) => writeFile(offset, String(millis));
  const start = () => {
    const preload = path.resolve(__dirname, '../support/jumping-clock.cjs');
    return federation.startCoordinator({ NODE_OPTIONS: `--require ${preload}`, CLOCK_OFFSET: offset });
  };
  const openGate = () => writeFile(path.join(gate, 'open'), '');
  /** Site a has delivered its update of round 1, site b is training. */
  const halfARound = async (plan: Parameters<Federation['submit']>[0] = {}) => {
    const run = await federation.submit({ strategy: 'fedavgm', rounds: 2, deadline: '120s', ...plan });
    await federation.seen(
      run,
      ({ stage, sites }) => stage === 'train' && sites[0]!.state === 'done' && sites[1]!.state === 'training',
    );
    return run;
  };
  /** How far the coordinator's clock is ahead of this machine's. */
  const ahead = async (): Promise<number> => {
    const credentials = await loadCredentials(path.join(federation.siteFolder('a'), 'credentials'));
    const channel = openChannel({ address: `localhost:${federation.port}`, credentials });
    try {
      return Number((await clientOf(FederationService, channel).probe({})).unixMillis) - Date.now();
    } finally {
      channel.close();
    }
  };
  const endsWell = async (run: string) => {
    await openGate();
    const { summary, rounds } = await federation.outcomeOf(run);
    assert.equal(summary!.state, 'completed', summary!.reason);
    assert.equal(summary!.modelDigest, MODEL.digest);
    assert.deepEqual(
      rounds.map(({ contributors }) => contributors),
      [SITES, SITES],
    );
    const times = ((await federation.journal(run)) as readonly TimedEvent[]).map(({ at }) => at);
    assert.deepEqual(times, [...times].sort(), 'time went back in the journal');
  };

  fault({
    area: 'Clocks',
    fault: "the coordinator's clock jumps an hour ahead in a round",
    where: 'wall clock of the running coordinator',
    reads:
      'this coordinator has lost the lead of epoch {epoch}: its lease ran out before the store had taken a renewal',
    ends: 'it takes the lead again, as after a sleep; no deadline comes earlier; the run ends with the same bytes',
  }).it('an hour ahead keeps the deadlines, and leads again', async (told) => {
    const run = await halfARound();
    await setClock(HOUR);
    const lost = await federation.coordinator.record(
      ({ event }) => event === 'lead-lost',
      'it does not trust its lease',
    );
    told(String(lost.reason).replace(/^.*?(?=this coordinator)/, ''));
    const isLeading = () => {
      const events = federation.coordinator.records.map(({ event }) => event);
      return events.lastIndexOf('leading') > events.lastIndexOf('lead-lost');
    };
    await until(isLeading, 'it leads again');
    assert.ok((await ahead()) > HOUR / 2, 'the clock was not set');
    await endsWell(run);
  });

  fault({
    area: 'Clocks',
    fault: "the coordinator's clock jumps an hour back in a round",
    where: 'wall clock of the running coordinator',
    ends: 'nothing happens; the run ends with the same bytes',
  }).it('an hour back changes nothing', async () => {
    const run = await halfARound();
    await setClock(-HOUR);
    assert.ok((await ahead()) < -HOUR / 2, 'the clock was not set');
    await endsWell(run);
  });

  fault({
    area: 'Clocks',
    fault: "the coordinator's clock jumps an hour back while a site hangs",
    where: 'wall clock of the running coordinator',
    reads: 'nothing came before the deadline of {time}',
    ends: 'the round closes at its deadline all the same, without that site',
  }).it('an hour back does not put off the deadline of a site that hangs', async (told) => {
    const run = await halfARound({ quorum: 1, rounds: 1, deadline: '15s' });
    await setClock(-HOUR);
    const { summary, rounds, sites } = await federation.outcomeOf(run);
    assert.equal(summary!.state, 'completed', summary!.reason);
    assert.deepEqual(rounds[0]!.contributors, ['a']);
    told(sites[1]!.reason);
    await openGate();
  });

  fault({
    area: 'Clocks',
    fault: "the coordinator's clock is an hour behind after a restart in a round",
    where: 'wall clock between two lives of the coordinator',
    ends: 'time goes on from the last event of each journal; the run ends with the same bytes',
  }).it('an hour back while it was down lets no time go back', async () => {
    const run = await halfARound();
    federation.coordinator.kill('SIGKILL');
    await federation.coordinator.ended;
    await setClock(-HOUR);
    await start();
    assert.ok((await ahead()) < -HOUR / 2, 'the clock was not set');
    await endsWell(run);
  });
});
