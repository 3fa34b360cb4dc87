import assert from 'node:assert/strict';
import { RunWatchers } from '../../../fl-coordinator/api/run-watchers';

describe('watching a run', () => {
  let watchers: RunWatchers;
  let stop: AbortController;
  let changes: AsyncGenerator<void>;

  beforeEach(() => {
    watchers = new RunWatchers();
    stop = new AbortController();
    changes = watchers.changes('run-1', stop.signal);
  });
  afterEach(() => stop.abort());

  /** True when the next change is there without anything more happening. */
  const isThere = async (next: Promise<unknown>): Promise<boolean> => {
    const later = new Promise((resolve) => setImmediate(() => setImmediate(resolve, 'later')));
    return (await Promise.race([next, later])) !== 'later';
  };

  it('tells at once how things are, and then waits', async () => {
    assert.equal((await changes.next()).done, false);
    assert.equal(await isThere(changes.next()), false);
  });

  it('tells every change that a watcher waits for', async () => {
    await changes.next();
    for (let i = 0; i < 3; i++) {
      const next = changes.next();
      assert.equal(await isThere(next), false);
      watchers.changed('run-1');
      assert.equal((await next).done, false);
    }
  });

  it('tells many changes that come while a watcher is busy once', async () => {
    await changes.next();
    for (let i = 0; i < 100; i++) watchers.changed('run-1');
    assert.equal((await changes.next()).done, false);
    assert.equal(await isThere(changes.next()), false);
  });

  it('does not tell changes of other runs', async () => {
    await changes.next();
    const next = changes.next();
    watchers.changed('run-2');
    assert.equal(await isThere(next), false);
  });

  it('tells every watcher', async () => {
    const others = [1, 2].map(() => watchers.changes('run-1', stop.signal));
    const all = [changes, ...others];
    await Promise.all(all.map((each) => each.next()));
    const next = all.map((each) => each.next());
    watchers.changed('run-1');
    for (const { done } of await Promise.all(next)) assert.equal(done, false);
  });

  it('ends when the watcher has gone', async () => {
    await changes.next();
    const next = changes.next();
    stop.abort();
    assert.equal((await next).done, true);
  });
});
