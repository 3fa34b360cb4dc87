import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { ClaraError } from '../../../base/errors';
import { modelKey, updateKey } from '../../../fl-coordinator/runs/object-names';
import { stagesOf } from '../../../fl-coordinator/runs/run-state';
import { openTasks } from '../../../fl-coordinator/runs/tasks';
import { type DirectoryStore, openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { Retention } from '../../../fl-coordinator/upkeep/retention';
import { RUN, Story } from '../runs/story';

const unexpected = (error: unknown): void => assert.fail(String(error));

describe('retention', () => {
  let folder: string;
  let store: DirectoryStore;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-retention-'));
    store = await openDirectoryStore(folder);
  });
  afterEach(async () => {
    await store.close();
    await rm(folder, { recursive: true });
  });

  const start = () => {
    const story = new Story({ rounds: 2, evaluation: { everyRound: false } }, ['a', 'b']);
    story.approveAll();
    return story;
  };
  /** Delivers an update as a site does: first the object, then the event. */
  const deliver = async (story: Story, site: string): Promise<void> => {
    const { stage } = openTasks(story.state).find((task) => task.site === site)!;
    await store.put(updateKey(RUN, stage, site), 'update');
    story.deliver(site);
    for (const { round } of story.state.models) await store.put(modelKey(RUN, round), 'model');
  };
  const left = async (): Promise<string[]> => {
    const keys = [];
    for await (const { key } of store.list('')) keys.push(key.slice(`runs/${RUN}/rounds/`.length));
    return keys;
  };

  it('deletes the updates of a round when its model is published, and never a model', async () => {
    const retention = new Retention({ store, keep: 'none', onFailure: unexpected });
    const story = start();
    const seen: string[][] = [];
    while (!story.state.outcome) {
      await deliver(story, openTasks(story.state)[0]!.site);
      retention.runChanged(story.state);
      await retention.settled();
      seen.push(await left());
    }
    const model = (round: number) => `000${round}/model.safetensors`;
    assert.deepEqual(seen, [
      [model(0)],
      [model(0), '0001/updates/a.safetensors'],
      [model(0), model(1)],
      [model(0), model(1), '0002/updates/a.safetensors'],
      [model(0), model(1), model(2)],
    ]);
  });

  it('deletes nothing of a run that goes on or of its neighbour, and nothing at all when everything is kept', async () => {
    const story = start();
    for (let i = 0; i < 3; i++) await deliver(story, openTasks(story.state)[0]!.site);
    await store.put('runs/other/rounds/0001/updates/a.safetensors', 'update');
    await store.put('runs/other/journal/000000000001.json', '{}');
    const before = await left();
    const all = new Retention({ store, keep: 'all', onFailure: unexpected });
    all.runChanged(story.state);
    await all.settled();
    assert.deepEqual(await left(), before);
    const none = new Retention({ store, keep: 'none', onFailure: unexpected });
    none.runChanged(story.state);
    await none.settled();
    assert.equal((await store.head('runs/other/rounds/0001/updates/a.safetensors')).size, 6);
    assert.equal((await store.head('runs/other/journal/000000000001.json')).size, 2);
  });

  it('lists the rounds that are done with once, not again after each round', async () => {
    const listed: string[] = [];
    const watched = new Proxy(store, {
      get: (target, name) =>
        name === 'list'
          ? async function* (...args: Parameters<DirectoryStore['list']>) {
              for await (const object of target.list(...args)) {
                listed.push(object.key);
                yield object;
              }
            }
          : Reflect.get(target, name, target).bind(target),
    });
    const retention = new Retention({ store: watched, keep: 'none', onFailure: unexpected });
    const story = new Story({ rounds: 8, evaluation: { everyRound: false } }, ['a', 'b']);
    story.approveAll();
    const perRound: number[] = [];
    while (!story.state.outcome) {
      await deliver(story, openTasks(story.state)[0]!.site);
      const before = listed.length;
      retention.runChanged(story.state);
      await retention.settled();
      assert.deepEqual(
        (await left()).filter((key) => key.includes('/updates/')).length,
        openTasks(story.state).length === 1 ? 1 : 0,
      );
      if (listed.length > before && !story.state.outcome) perRound.push(listed.length - before);
    }
    assert.equal(perRound.length, 8);
    assert.ok(Math.max(...perRound) <= 5, String(perRound));
    assert.equal((await left()).length, 9);
  });

  it('finds an update that came late into a round that was done with long ago, once that is combined', async () => {
    const retention = new Retention({ store, keep: 'none', onFailure: unexpected });
    const buffer = { size: 1, maxStaleness: 5, step: 0.5 };
    const late = { rounds: 5, quorum: 2, evaluation: { everyRound: false }, lateUpdates: 'buffer', buffer } as const;
    const story = new Story(late, ['a', 'b', 'c']);
    story.approveAll();
    const round = async (...sites: string[]): Promise<void> => {
      for (const site of sites) await deliver(story, site);
      if (sites.length === 2 && story.state.models.length === 1) story.pass(60_000);
      retention.runChanged(story.state);
      await retention.settled();
    };
    await round('a'); // First weights.
    await round('a', 'b'); // c is late.
    await round('a', 'b');
    await round('a', 'b');
    assert.deepEqual(
      (await left()).filter((key) => key.includes('updates')),
      [],
    );
    const task = openTasks(story.state).find(({ site }) => site === 'c')!;
    assert.equal(task.stage.round, 1);
    await round('c', 'a', 'b');
    assert.equal(story.state.models.length, 5);
    assert.ok(!story.state.outcome);
    assert.deepEqual(
      (await left()).filter((key) => key.includes('0001/updates')),
      [],
    );
  });

  it('deletes what an aborted run was still making, once that has stopped', async () => {
    const retention = new Retention({ store, keep: 'none', onFailure: unexpected });
    const story = start();
    while (story.state.models.length < 2) await deliver(story, openTasks(story.state)[0]!.site);
    story.command({ kind: 'abort', operator: 'ada', reason: 'a wrong plan' });
    retention.runChanged(story.state);
    await retention.settled();
    const controls = `runs/${RUN}/rounds/0002/controls.safetensors`;
    await store.put(controls, 'controls');
    retention.workStopped(story.state);
    await retention.settled();
    assert.deepEqual(await left(), ['0000/model.safetensors', '0001/model.safetensors']);
  });

  it('tells what it could not delete and tries again at the next change; so does the next start', async () => {
    const story = start();
    while (!story.state.outcome) await deliver(story, openTasks(story.state)[0]!.site);
    const failures: unknown[] = [];
    let passes = 2;
    const failing = new Proxy(store, {
      get: (target, name) =>
        name === 'delete'
          ? async (key: string) => {
              if (passes-- <= 0) throw new ClaraError('unavailable', 'the store is away');
              await target.delete(key);
            }
          : Reflect.get(target, name, target).bind(target),
    });
    const retention = new Retention({ store: failing, keep: 'none', onFailure: (error) => failures.push(error) });
    const updates = async () => (await left()).filter((key) => key.includes('updates')).length;
    assert.equal(stagesOf(story.state).flatMap(({ cohort }) => cohort).length, 5);
    assert.equal(await updates(), 5);
    retention.runChanged(story.state);
    await retention.settled();
    assert.equal(failures.length, 1);
    assert.equal(await updates(), 3);
    passes = 1;
    retention.runChanged(story.state);
    await retention.settled();
    assert.equal(await updates(), 2);

    const next = new Retention({ store, keep: 'none', onFailure: unexpected });
    next.runChanged(story.state);
    await next.settled();
    assert.equal(await updates(), 0);
  });
});
