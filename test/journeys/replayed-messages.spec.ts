import assert from 'node:assert/strict';
import { type RandomSource, seededRandom } from '../../base/random';
import type { WireChunk } from '../../federation/chunk-codec';
import type { Task } from '../../federation/gen/federation/v1/federation_pb';
import type { FaultRow } from '../support/fault-table';
import { fault } from '../support/faults';
import { Federation } from '../support/federation';
import { chunksOf, type LightLine, LightSite, refusalOf, type Said } from '../support/light-site';
import { shiftModel } from '../support/shift-model';

const SITES = ['a', 'b'] as const;
type Site = (typeof SITES)[number];
/** Four chunks of an update. */
const CHUNK = 1010;
const ONE_ROUND = shiftModel({ strategy: 'fedavg', elements: 1000, rounds: [SITES] });
const TWO_ROUNDS = shiftModel({ strategy: 'fedavg', elements: 1000, rounds: [SITES, SITES] });

const row = (what: Omit<FaultRow, 'area' | 'where'>): FaultRow => ({
  area: 'What sites send: uploads, messages, figures',
  where: 'line of a site, by hand',
  ...what,
});

interface JournalEvent {
  readonly type: string;
  readonly seq: number;
  readonly site?: string;
}

describe('messages of a site that come twice, late or in another order', () => {
  let federation: Federation;
  const sites = {} as Record<Site, LightSite>;
  let lines: Record<Site, LightLine>;
  let run: string;

  before(async () => {
    federation = await Federation.start([]);
    for (const site of SITES) sites[site] = await LightSite.enrolled(federation, site);
  });
  afterEach(() => {
    for (const site of SITES) lines[site].close();
  });
  after(async () => {
    for (const site of SITES) sites[site]?.close();
    await federation?.stop();
  });

  /** Both sites train round 1. */
  const training = async (rounds = 1): Promise<Record<Site, Task>> => {
    lines = { a: sites.a.connect(), b: sites.b.connect() };
    run = await federation.submit({ rounds });
    for (const site of SITES) {
      await lines[site].hears('proposal');
      lines[site].approve(run);
    }
    const { value } = await lines.a.hears('task');
    await deliver('a', value);
    return { a: (await lines.a.hears('task', 1)).value, b: (await lines.b.hears('task')).value };
  };
  const deliver = (site: Site, task: Task): Promise<Said> => sites[site].deliver(task, lines[site]);
  const journal = async () => (await federation.journal(run)) as readonly JournalEvent[];
  const accepted = async (site: Site) =>
    (await journal()).filter((event) => event.type === 'update-accepted' && event.site === site).length;
  const endsWith = async ({ digest }: { readonly digest: string }) => {
    const { summary } = await federation.outcomeOf(run);
    assert.equal(summary!.state, 'completed', summary!.reason);
    assert.equal(summary!.modelDigest, digest);
  };

  fault(row({ fault: 'the same update is sent twice', ends: 'it is taken once' })).it(
    'an update that is sent twice is taken once',
    async () => {
      const tasks = await training();
      const update = await sites.b.update(tasks.b);
      await sites.b.upload(tasks.b.id, update);
      await deliver('a', tasks.a);
      await deliver('b', tasks.b);
      await endsWith(ONE_ROUND);
      assert.equal(await accepted('b'), 1);
    },
  );

  const MISPLACED =
    "a chunk of the upload of {task} starts at byte {offset}, but {bytes} are here; ask for the upload's status and go on there";
  for (const [what, order] of [
    ['a chunk is sent twice', [0, 1, 1, 2, 3]],
    ['chunks come in another order', [0, 2, 1, 3]],
    ['a chunk is missing', [0, 1, 3]],
  ] as const) {
    fault(
      row({
        fault: `in an upload ${what}`,
        reads: MISPLACED,
        ends: 'what came before stays; the upload goes on there',
      }),
    ).it(`${what}: the upload goes on where it was right`, async (told) => {
      const tasks = await training();
      await deliver('a', tasks.a);
      const update = await sites.b.update(tasks.b);
      const chunks = [...chunksOf(update, { size: CHUNK })];
      told(await refusalOf(sites.b.upload(tasks.b.id, update, order.map((at) => chunks[at]!) as WireChunk[])));
      const durable = await sites.b.status(tasks.b.id, update);
      assert.equal(durable, what === 'chunks come in another order' ? CHUNK : 2 * CHUNK);
      await sites.b.upload(tasks.b.id, update, chunksOf(update, { from: durable, size: CHUNK }));
      lines.b.say(sites.b.done(tasks.b.id, update));
      await endsWith(ONE_ROUND);
    });
  }

  fault(
    row({
      fault: 'an update of a round that has closed is sent once more',
      reads: 'task {task} is not open any more; forget it',
      ends: 'it is refused; nothing changes',
    }),
    row({
      fault: 'the result of a round that has closed is told once more',
      ends: 'the site hears that it is settled; no event follows',
    }),
  ).it('an old update and its result, after the round has closed, change nothing', async (told) => {
    const tasks = await training(2);
    const old = { a: await deliver('a', tasks.a), b: await deliver('b', tasks.b) };
    const next = { a: (await lines.a.hears('task', 2)).value, b: (await lines.b.hears('task', 1)).value };
    const before = await journal();
    for (const site of SITES) {
      const settled = lines[site].heard.filter(({ case: kind }) => kind === 'taskSettled').length;
      const update = await sites[site].update(next[site]);
      told(await refusalOf(sites[site].upload(tasks[site].id, update)));
      lines[site].say(old[site]);
      assert.equal((await lines[site].hears('taskSettled', settled)).value.task, tasks[site].id);
    }
    assert.deepEqual(await journal(), before);
    for (const site of SITES) await deliver(site, next[site]);
    await endsWith(TWO_ROUNDS);
  });

  fault(
    row({
      fault: 'a site misses that its result was taken, and tells it again on a new connection',
      ends: 'the site hears that it is settled; the update counts once',
    }),
  ).it('a result that is told again on a new connection counts once', async () => {
    const tasks = await training();
    const result = await deliver('a', tasks.a);
    await lines.a.hears('taskSettled', 1);
    lines.a.close();
    lines.a = sites.a.connect();
    await lines.a.hears('welcome');
    for (const _ of [1, 2, 3]) lines.a.say(result);
    assert.equal((await lines.a.hears('taskSettled', 2)).value.task, tasks.a.id);
    await deliver('b', tasks.b);
    await endsWith(ONE_ROUND);
    assert.equal(await accepted('a'), 2, 'the first weights, and one update');
  });

  fault(
    row({
      fault: 'a result comes before its update',
      reads: 'the update of task {task} has not been received; upload it first',
      ends: 'the connection ends, and the site does both on the next one',
    }),
  ).it('a result before its update is refused, and taken after it', async (told) => {
    const tasks = await training();
    await deliver('a', tasks.a);
    const update = await sites.b.update(tasks.b);
    const result = sites.b.done(tasks.b.id, update);
    lines.b.say(result);
    told((await lines.b.ended)!.message);
    lines.b = sites.b.connect();
    assert.equal((await lines.b.hears('task')).value.id, tasks.b.id);
    await sites.b.upload(tasks.b.id, update);
    lines.b.say(result);
    await endsWith(ONE_ROUND);
    assert.equal(await accepted('b'), 1);
  });

  fault(
    row({
      fault: 'a site answers a proposal again, and otherwise',
      ends: 'the first answer counts; no event follows',
    }),
  ).it('an answer to a proposal that is told again, and otherwise, changes nothing', async () => {
    const tasks = await training();
    const before = await journal();
    lines.b.approve(run);
    lines.b.say({ case: 'proposalAnswer', value: { run, approved: false, reason: 'we think otherwise now' } });
    await deliver('a', tasks.a);
    await deliver('b', tasks.b);
    await endsWith(ONE_ROUND);
    const kinds = (await journal()).slice(before.length).map(({ type }) => type);
    assert.ok(!kinds.some((type) => type === 'site-refused' || type === 'site-approved'), kinds.join());
  });

  fault(
    row({
      fault:
        'everything that sites say is told up to three times, in any order, over changing connections (seeds 1 to 3)',
      ends: 'each update counts once; the same bytes',
    }),
  ).it('a storm of repetitions ends with the same model', async () => {
    for (const seed of [1, 2, 3]) {
      const random = seededRandom(seed);
      await training(2);
      const said: Record<Site, Said[]> = { a: [], b: [] };
      for (const round of [1, 2]) {
        for (const site of shuffled(SITES, random)) {
          if (random.uniform() < 0.5) {
            lines[site].close();
            lines[site] = sites[site].connect();
            // What was on its way may be lost, as far as the site knows.
            for (const message of said[site]) lines[site].say(message);
          }
          const isDue = (task: Task) => task.run === run && task.kind === 'train' && task.round === round;
          const task = (await lines[site].hears('task', 0, isDue)).value;
          const update = await sites[site].update(task);
          for (let times = 1 + random.integer(3); times > 0; times--) await sites[site].upload(task.id, update);
          said[site].push(sites[site].done(task.id, update), {
            case: 'proposalAnswer',
            value: { run, approved: true },
          });
          const again = [...said[site], ...said[site], ...said[site]];
          for (const message of shuffled(again, random)) lines[site].say(message);
        }
      }
      await endsWith(TWO_ROUNDS);
      assert.deepEqual([await accepted('a'), await accepted('b')], [3, 2]);
      for (const site of SITES) lines[site].close();
    }
  });
});

function shuffled<T>(items: readonly T[], random: RandomSource): T[] {
  const left = [...items];
  return items.map(() => left.splice(random.integer(left.length), 1)[0]!);
}
