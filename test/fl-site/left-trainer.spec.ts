import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { create } from '@bufbuild/protobuf';
import { endGroup, identityOf, isRunning } from '../../base/process-identity';
import { TaskSchema } from '../../federation/gen/federation/v1/federation_pb';
import { startSiteAgent } from '../../fl-site/agent';
import { newRecord, TaskJournal } from '../../fl-site/task-journal';
import { Workspace } from '../../fl-site/workspace';
import { dialInsecure, FakeCoordinator } from './support/fake-coordinator';
import { scriptedTrainer } from './support/scripted-trainer';
import { makeSite } from './support/site';

/** No leader of a group: like one that sleeps in the kernel, it does not end by the signal to its group. */
describe('a trainer that an earlier agent left and that cannot be ended', () => {
  let stuck: ChildProcess;
  beforeEach(() => {
    stuck = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  });
  afterEach(() => stuck.kill('SIGKILL'));
  const end = async () => {
    const gone = once(stuck, 'exit');
    stuck.kill('SIGKILL');
    await gone;
  };

  it('is waited for until it is gone, and told of again and again', async () => {
    const leader = identityOf(stuck.pid!);
    let isOver = false;
    let told = 0;
    await new Promise<void>((resolve, reject) => {
      endGroup(leader, { lateMillis: 20, onLate: (late) => (late === leader && ++told === 3 ? resolve() : undefined) })
        .then(() => {
          isOver = true;
        })
        .catch(reject);
    });
    assert.equal(isOver, false);
    await end();
    await endGroup(leader);
    assert.equal(isRunning(leader), false);
  });

  it('does not hold up an agent that is stopped, and the next one begins when it is gone', async () => {
    const coordinator = await FakeCoordinator.start();
    const site = await makeSite('a', coordinator.port, scriptedTrainer('good'));
    try {
      const task = create(TaskSchema, { id: 'r/train/1/a', run: 'r', kind: 'train', remainingMillis: 60_000n });
      const record = newRecord(task, new Date(), new Date(Date.now() + 60_000));
      record.phase = 'training';
      record.trainer = identityOf(stuck.pid!);
      await new TaskJournal(new Workspace(path.join(site.folder, 'workspace'))).save(record);
      const start = () => startSiteAgent(site.configuration(), { dial: dialInsecure });
      await (await start()).close();
      assert.equal(coordinator.connected, false, 'it had not begun');
      assert.ok(isRunning(record.trainer), 'nobody takes it for gone');
      await end();
      const next = await start();
      await coordinator.until(() => coordinator.connected);
      await next.close();
    } finally {
      coordinator.kill();
      site.remove();
    }
  });
});
