import assert from 'node:assert/strict';
import { create, toBinary } from '@bufbuild/protobuf';
import { seededRandom } from '../../base/random';
import { MAX_MESSAGE_BYTES } from '../../federation/channel';
import { MAX_CHUNK_BYTES, makeChunk } from '../../federation/chunk-codec';
import { ChunkSchema, type Task } from '../../federation/gen/federation/v1/federation_pb';
import type { FaultRow } from '../support/fault-table';
import { fault } from '../support/faults';
import { Federation } from '../support/federation';
import { type LightLine, LightSite, refusalOf, type Said, sha256 } from '../support/light-site';
import { shiftModel } from '../support/shift-model';

const HONEST = ['a', 'b'] as const;
const MODEL = shiftModel({ strategy: 'fedavg', elements: 1000, rounds: [HONEST] });
/** As long as a message may be, with some room for what is around the text. */
const LONGEST = 'x'.repeat(MAX_MESSAGE_BYTES - 1000);

const row = (what: Omit<FaultRow, 'area' | 'where'>): FaultRow => ({
  area: 'What sites send: uploads, messages, figures',
  where: 'one of three sites, by hand',
  ...what,
});
const LOST_TO_THE_STAGE = 'the site cannot contribute to the stage; the run ends with the others';

describe('a site that sends as much garbage as it may', () => {
  let federation: Federation;
  const sites = {} as Record<string, LightSite>;
  let lines: Record<string, LightLine>;
  let run: string;

  before(async () => {
    federation = await Federation.start([]);
    for (const site of [...HONEST, 'c']) sites[site] = await LightSite.enrolled(federation, site);
  });
  afterEach(() => {
    for (const line of Object.values(lines)) line.close();
  });
  after(async () => {
    for (const site of Object.values(sites)) site.close();
    await federation?.stop();
  });

  /** All three are asked for an update of round 1; the honest ones have sent theirs. @returns the task of site c */
  const asked = async (): Promise<Task> => {
    lines = Object.fromEntries(Object.entries(sites).map(([site, light]) => [site, light.connect()]));
    run = await federation.submit({ rounds: 1, quorum: 2, deadline: '60s' });
    for (const line of Object.values(lines)) {
      await line.hears('proposal');
      line.approve(run);
    }
    await deliver('a', 'initialise');
    for (const site of HONEST) await deliver(site, 'train');
    return (await lines.c!.hears('task', 0, isOpen)).value;
  };
  const isOpen = (task: Task) => task.run === run;
  const deliver = async (site: string, kind: string) => {
    const { value: task } = await lines[site]!.hears('task', 0, (open: Task) => open.run === run && open.kind === kind);
    await sites[site]!.deliver(task, lines[site]!);
  };
  /** The run ends with what the honest sites sent. @returns why site c does not contribute */
  const endsWithoutIt = async (): Promise<string> => {
    const { summary, rounds, sites: views } = await federation.outcomeOf(run);
    assert.equal(summary!.state, 'completed', summary!.reason);
    assert.equal(summary!.modelDigest, MODEL.digest);
    assert.deepEqual(rounds[0]!.contributors, HONEST);
    return views[2]!.reason;
  };
  const givesUp = (task: Task) => {
    const value = { code: 'internal', message: 'enough' };
    lines.c!.say({ case: 'taskResult', value: { task: task.id, outcome: { case: 'failed', value } } });
  };

  fault(
    row({
      fault: 'the numbers of an update are random bytes, as many as there should be (seed 1)',
      reads: 'the update of c for round 1: tensor {name} element {n} is {value}; every number must be finite',
      ends: LOST_TO_THE_STAGE,
    }),
  ).it('random bytes for numbers are refused with the tensor that shows it', async (told) => {
    const task = await asked();
    const update = await sites.c!.update(task);
    const begin = 8 + Number(update.readBigUInt64LE(0));
    randomBytes(update.length - begin, 1).copy(update, begin);
    told(await refusalOf(sites.c!.upload(task.id, update)));
    told(await endsWithoutIt());
  });

  fault(
    row({
      fault: 'an update is nothing but random bytes, as many as there should be (seed 2)',
      reads: 'the update of c for round 1: length ({n} bytes): must be at most {n} bytes of header',
      ends: LOST_TO_THE_STAGE,
    }),
  ).it('random bytes for a whole update are refused at its header', async (told) => {
    const task = await asked();
    const update = randomBytes((await sites.c!.update(task)).length, 2);
    told(await refusalOf(sites.c!.upload(task.id, update)));
    await endsWithoutIt();
  });

  fault(
    row({
      fault: 'an update is announced with more bytes than any disk has',
      reads: "an update of {size} bytes exceeds this coordinator's limit of {limit} bytes; train a smaller model",
      ends: LOST_TO_THE_STAGE,
    }),
    row({
      fault: 'a chunk is longer than a chunk may be',
      reads: 'chunk received carries {n} bytes; send at most {n} in one chunk',
      ends: LOST_TO_THE_STAGE,
    }),
    row({
      fault: 'a message is longer than a message may be',
      reads: 'coordinator: Received message larger than max ({n} vs {n})',
      ends: LOST_TO_THE_STAGE,
    }),
  ).it('what is too large is refused before it is kept', async (told) => {
    const task = await asked();
    const update = await sites.c!.update(task);
    const huge = makeChunk(0, update, { size: 2 ** 52, sha256: sha256(update) });
    told(await refusalOf(sites.c!.upload(task.id, update, [huge])));
    for (const bytes of [MAX_CHUNK_BYTES + 1, MAX_MESSAGE_BYTES + 1]) {
      const chunk = create(ChunkSchema, { offset: 0n, data: new Uint8Array(bytes) });
      told(await refusalOf(sites.c!.uploadBytes(task.id, Buffer.from(toBinary(ChunkSchema, chunk)))));
    }
    givesUp(task);
    await endsWithoutIt();
  });

  fault(
    row({
      fault: 'every message of a site is as long as a message may be: greeting, progress, figures, reasons',
      reads: 'the result is refused: {faults}',
      ends: 'what is for people is cut, the rest refused; lists and views of operators stay small',
    }),
  ).it('messages as long as they may be hurt nobody else', async (told) => {
    const task = await asked();
    lines.c!.close();
    lines.c = sites.c!.connect(LONGEST);
    await lines.c.hears('task', 0, isOpen);
    const metrics = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`${i}${LONGEST.slice(0, 80_000)}`, i]));
    const progress = Array.from({ length: 100 }, () => ({ task: task.id, activity: LONGEST.slice(0, 80_000) }));
    const said: Said[] = [
      { case: 'heartbeat', value: { progress } },
      { case: 'heartbeat', value: { progress: [{ task: task.id, activity: 'training', metrics }] } },
      { case: 'proposalAnswer', value: { run, approved: false, reason: LONGEST } },
      { case: 'promotionStatus', value: { promotion: 1n, state: 'failed', reason: LONGEST } },
    ];
    for (const message of said) lines.c.say(message);
    await lines.c.hears('heartbeatHeard', 1);

    const listed = await federation.verb('sites', 'list', '--json');
    assert.equal(listed.code, 0, listed.stderr);
    const shown = await federation.verb('run', 'show', run, '--json');
    assert.equal(shown.code, 0, shown.stderr);
    assert.ok(listed.stdout.length + shown.stdout.length < 20_000, 'an operator is sent what the site said');

    const update = await sites.c!.update(task);
    await sites.c!.upload(task.id, update);
    const warnings = Array.from({ length: 100 }, () => LONGEST.slice(0, 40_000));
    lines.c.say(sites.c!.done(task.id, update, { metrics, warnings: warnings.slice(0, 8) }));
    told(await endsWithoutIt());
  });

  fault(
    row({
      fault: 'a heartbeat names a task whose name is as long as a message may be',
      reads: '{name} is not a task id',
      ends: 'the connection ends, and nothing is kept to be told back; the run ends with the others',
    }),
  ).it('a name of a task as long as a message is refused', async (told) => {
    const task = await asked();
    lines.c!.say({ case: 'heartbeat', value: { progress: [{ task: `${LONGEST}/train/1/c` }] } });
    told((await lines.c!.ended)!.message);
    lines.c = sites.c!.connect();
    await lines.c.hears('task', 0, isOpen);
    givesUp(task);
    await endsWithoutIt();
  });

  fault(
    row({
      fault: 'a site fails with a reason as long as a message may be',
      reads: '{reason}',
      ends: 'the first 2000 characters are kept; the run ends with the others',
    }),
  ).it('a reason as long as a message is cut', async (told) => {
    const task = await asked();
    const value = { code: 'internal', message: LONGEST };
    lines.c!.say({ case: 'taskResult', value: { task: task.id, outcome: { case: 'failed', value } } });
    const reason = await endsWithoutIt();
    assert.equal(reason, LONGEST.slice(0, 2000));
    told(reason);
  });
});

function randomBytes(length: number, seed: number): Buffer {
  const random = seededRandom(seed);
  return Buffer.from(Array.from({ length }, () => random.integer(256)));
}
