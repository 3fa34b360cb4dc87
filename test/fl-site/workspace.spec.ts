import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { identityOf } from '../../base/process-identity';
import { TaskSchema } from '../../federation/gen/federation/v1/federation_pb';
import { fingerprintOf, newRecord, TaskJournal } from '../../fl-site/task-journal';
import { folderBytes } from '../../fl-site/trainers/resource-use';
import { folderName, Workspace } from '../../fl-site/workspace';
import { lockWorkspace } from '../../fl-site/workspace-lock';

describe("a site's workspace", () => {
  let root: string;
  let workspace: Workspace;
  beforeEach(() => {
    root = mkdtempSync(path.join(os.tmpdir(), 'clara-workspace-'));
    workspace = new Workspace(root);
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  describe('names of folders', () => {
    it('are single path segments below the workspace, whatever a coordinator names a task', () => {
      fc.assert(
        fc.property(fc.string({ unit: 'binary' }), fc.string(), (run, task) => {
          const folder = workspace.taskFolder(run, task);
          assert.equal(path.relative(root, folder).split(path.sep).length, 3);
          assert.equal(path.dirname(path.dirname(path.dirname(folder))), root);
          assert.match(path.basename(folder), /^[a-z0-9][a-z0-9_-]{0,90}$/);
        }),
      );
    });

    it('differ for different names', () => {
      fc.assert(
        fc.property(fc.string(), fc.string(), (a, b) => {
          fc.pre(a !== b);
          assert.notEqual(folderName(a), folderName(b));
        }),
      );
      assert.notEqual(folderName('A-b'), folderName('a-b'));
    });

    it('never are those that the workspace itself uses', () => {
      for (const name of ['models', 'state', 'journal', 'approval.json', '..', '.', '']) {
        assert.notEqual(folderName(name), name);
      }
      assert.equal(folderName('spleen-2024'), 'spleen-2024');
    });
  });

  describe('the private state of a trainer', () => {
    it('goes from task to task of its track, and never to another', async () => {
      const [first, second, other] = ['1', '2', '3'].map((task) => workspace.taskFolder('r', task));
      for (const folder of [first, second, other]) mkdirSync(folder, { recursive: true });
      await workspace.takeState('r', 'federated', first);
      writeFileSync(path.join(first, 'state/moments'), 'one');
      await workspace.returnState('r', 'federated', first);
      await workspace.returnState('r', 'federated', first);
      await workspace.takeState('r', 'federated', second);
      await workspace.takeState('r', 'alone', other);
      assert.equal(readFileSync(path.join(second, 'state/moments'), 'utf8'), 'one');
      assert.deepEqual(readdirSync(path.join(other, 'state')), []);
      assert.equal(existsSync(path.join(first, 'state')), false);
    });

    it('stays with a task that was interrupted', async () => {
      const folder = workspace.taskFolder('r', '1');
      mkdirSync(folder, { recursive: true });
      await workspace.takeState('r', 'federated', folder);
      writeFileSync(path.join(folder, 'state/checkpoint'), 'half');
      await workspace.takeState('r', 'federated', folder);
      assert.equal(readFileSync(path.join(folder, 'state/checkpoint'), 'utf8'), 'half');
    });
  });

  describe('the journal of tasks', () => {
    const task = (id: string, more = {}) =>
      create(TaskSchema, { id, run: 'r', kind: 'train', seed: 3, remainingMillis: 5n, ...more });
    const refuse = (file: string) => assert.fail(`${file} must be readable`);

    it('brings back what was saved, the oldest first', async () => {
      const journal = new TaskJournal(workspace);
      const later = newRecord(task('r/train/2/a'), new Date(2000), new Date(9000));
      const earlier = { ...newRecord(task('r/train/1/a'), new Date(1000), new Date(9000)), peakRssBytes: 17 };
      await journal.save(later);
      await journal.save(earlier);
      assert.deepEqual(await journal.load(refuse), [earlier, later]);
      await journal.remove(earlier.task);
      assert.deepEqual(await journal.load(refuse), [later]);
    });

    it('leaves out a record that cannot be read, and says so', async () => {
      const journal = new TaskJournal(workspace);
      await journal.save(newRecord(task('r/train/1/a'), new Date(1000), new Date(9000)));
      const folder = workspace.journalFolder('r');
      writeFileSync(path.join(folder, 'torn.json'), '{"version": 1, "task"');
      writeFileSync(path.join(folder, '.x.json.partial-0123'), 'left by a killed writer');
      const unreadable: string[] = [];
      const records = await journal.load((file) => unreadable.push(path.basename(file)));
      assert.equal(records.length, 1);
      assert.deepEqual(unreadable, ['torn.json']);
      assert.equal(readdirSync(folder).length, 1);
    });

    it('knows a task again whatever time is left for it, and another attempt from it', () => {
      assert.equal(fingerprintOf(task('x')), fingerprintOf(task('x', { remainingMillis: 1n })));
      assert.notEqual(fingerprintOf(task('x')), fingerprintOf(task('x', { seed: 4 })));
      const original = task('x');
      fingerprintOf(original);
      assert.equal(original.remainingMillis, 5n);
    });
  });

  it('forgets runs in which nothing happened for long', async () => {
    for (const run of ['old', 'new']) mkdirSync(workspace.journalFolder(run), { recursive: true });
    const longAgo = new Date('2020-01-01');
    utimesSync(workspace.journalFolder('old'), longAgo, longAgo);
    await workspace.forgetRunsBefore(new Date('2021-01-01'));
    assert.deepEqual(readdirSync(workspace.runs), ['new']);
  });

  it('counts the disk use of a folder without links, inputs and files that vanish', async () => {
    const inside = path.join(root, 'inside');
    mkdirSync(path.join(inside, 'deep'), { recursive: true });
    writeFileSync(path.join(inside, 'deep/data'), Buffer.alloc(100_000, 1));
    const before = await folderBytes(inside);
    assert.ok(before >= 100_000 && before < 140_000);
    writeFileSync(path.join(inside, 'input'), Buffer.alloc(500_000, 1));
    assert.equal(await folderBytes(inside, ['input']), before);
    assert.equal(await folderBytes(path.join(root, 'nowhere')), 0);
  });

  describe('its lock', () => {
    it('is held by one agent, and given back', async () => {
      const unlock = await lockWorkspace(root);
      await assert.rejects(lockWorkspace(root), /in use by process \d+; stop that agent or give this one another/);
      await unlock();
      await (await lockWorkspace(root))();
      assert.deepEqual(readdirSync(root), ['agent.lock.2']);
    });

    it('of a killed agent is taken over', async () => {
      const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
      writeFileSync(path.join(root, 'agent.lock.1'), JSON.stringify(identityOf(child.pid!)));
      await assert.rejects(lockWorkspace(root), new RegExp(`in use by process ${child.pid}`));
      child.kill('SIGKILL');
      await once(child, 'exit');
      await (await lockWorkspace(root))();
    });

    it('of a process whose number was given to another is taken over', async () => {
      writeFileSync(path.join(root, 'agent.lock.1'), JSON.stringify({ pid: process.pid, started: 'ticks 1' }));
      await (await lockWorkspace(root))();
    });

    it('that is garbage is taken over, by one of many, again and again', async () => {
      for (let again = 0; again < 50; again++) {
        const workspaceAgain = path.join(root, String(again));
        mkdirSync(workspaceAgain);
        writeFileSync(path.join(workspaceAgain, 'agent.lock.1'), 'garbage');
        const taken = await Promise.allSettled(Array.from({ length: 8 }, () => lockWorkspace(workspaceAgain)));
        const unlocks = taken.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
        assert.equal(unlocks.length, 1);
        await unlocks[0]();
        await (await lockWorkspace(workspaceAgain))();
      }
    });
  });
});
