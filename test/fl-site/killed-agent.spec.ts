import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ownProgram } from '../../base/own-program';
import { checkPlan } from '../../federation/plan';
import { FakeCoordinator } from './support/fake-coordinator';
import { encodeModel, MODEL } from './support/model-bytes';
import { scriptedTrainer } from './support/scripted-trainer';
import { makeSite, type TestSite } from './support/site';
import { until } from './support/until';

const RUN = 'run-1';
const TASK = `${RUN}/train/1/a`;

describe('an agent that is killed with -9', () => {
  let coordinator: FakeCoordinator;
  let site: TestSite;
  let agent: ChildProcess;

  beforeEach(async () => {
    coordinator = await FakeCoordinator.start();
    site = await makeSite('a', coordinator.port, scriptedTrainer('good'));
  });
  afterEach(async () => {
    await end('SIGTERM');
    coordinator.kill();
    site.remove();
  });

  const start = () => {
    const { command, args } = ownProgram(path.join(__dirname, 'support/agent-process'), site.folder, input());
    agent = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  };
  const input = () => JSON.stringify({ ...site.configuration(), dataset: { kind: 'none' } });
  const end = async (signal: NodeJS.Signals) => {
    if (agent.exitCode !== null || agent.signalCode !== null) return;
    const gone = once(agent, 'exit');
    agent.kill(signal);
    await gone;
  };
  const begin = async (model: Buffer, steps: number) => {
    start();
    await coordinator.until(() => coordinator.connected);
    const plan = checkPlan({
      name: 'p',
      trainer: { name: 'scripted', parameters: { steps } },
      rounds: 5,
      cohort: ['a'],
    });
    coordinator.push({ case: 'proposal', value: { run: RUN, planJson: JSON.stringify(plan) } });
    await coordinator.heard((message) => (message.case === 'proposalAnswer' ? true : undefined));
    coordinator.open({
      id: TASK,
      kind: 'train',
      run: RUN,
      round: 1,
      rounds: 5,
      seed: 4,
      trainer: 'scripted',
      track: 'federated',
      remainingMillis: 60_000n,
      parametersJson: JSON.stringify({ steps }),
      models: [coordinator.addModel('model', model)],
    });
  };
  const starts = () => readFileSync(findTaskFile('starts.log'), 'utf8').length;
  const findTaskFile = (name: string) => {
    const run = path.join(site.folder, 'workspace/runs', RUN);
    const [folder] = readdirSync(run).filter((entry) => entry.includes('-train-'));
    return path.join(run, folder, name);
  };

  it('in the middle of training goes on from the state and makes the same update', async () => {
    await begin(MODEL, 6);
    await coordinator.result(TASK);
    const expected = coordinator.uploads.get(TASK)!.bytes;
    await end('SIGTERM');
    site.remove();
    coordinator.kill();

    coordinator = await FakeCoordinator.start();
    site = await makeSite('a', coordinator.port, scriptedTrainer('good'));
    const gate = path.join(site.folder, 'gate');
    mkdirSync(gate);
    await begin(MODEL, 6);
    const reached = path.join(gate, 'reached');
    await until(() => existsSync(reached) && readFileSync(reached, 'utf8').endsWith('\n'));
    const orphan = Number(readFileSync(reached, 'utf8'));
    await end('SIGKILL');
    assert.ok(isAlive(orphan), 'the trainer of a killed agent lives on: that is the case to be tested');

    start();
    await until(() => !isAlive(orphan));
    writeFileSync(path.join(gate, 'open'), '');
    assert.equal((await coordinator.result(TASK)).case, 'done');
    assert.deepEqual(coordinator.uploads.get(TASK)!.bytes, expected);
    assert.equal(starts(), 2);
    // Three steps before the gate, three after it: none was repeated.
    const steps = path.join(site.folder, 'workspace/runs', RUN, 'state/federated/steps.log');
    assert.equal(readFileSync(steps, 'utf8'), '0\n1\n2\n3\n4\n5\n');
  });

  it('in the middle of an upload goes on at the durable offset without training again', async () => {
    const model = encodeModel({ w: { shape: [900_000], values: new Array(900_000).fill(0.5) } });
    let killed: Promise<void> | undefined;
    coordinator.onUploadChunk = async (received) => {
      if (received < 2_000_000 || killed) return;
      killed = end('SIGKILL');
      await killed;
    };
    await begin(model, 1);
    await coordinator.until(() => killed !== undefined);
    await killed;
    const durable = coordinator.uploads.get(TASK)!.bytes.length;
    assert.ok(durable >= 2_000_000 && durable < model.length);

    start();
    assert.equal((await coordinator.result(TASK)).case, 'done');
    assert.equal(coordinator.uploads.get(TASK)!.bytes.length, model.length);
    assert.deepEqual(coordinator.uploadOffsets[0], 0);
    assert.ok(coordinator.uploadOffsets[1] >= durable);
    assert.equal(starts(), 1);
    assert.equal(coordinator.downloads.length, 1);
  });

  it('in the middle of a download goes on with what is on disk', async () => {
    const model = encodeModel({ w: { shape: [50_000], values: new Array(50_000).fill(0.5) } });
    coordinator.onDownload = async function* (chunks, attempt) {
      for await (const chunk of chunks) {
        yield chunk;
        if (attempt > 0 || chunk.offset < 100_000) continue;
        await until(() => partialBytes() >= 50_000);
        await end('SIGKILL');
      }
    };
    await begin(model, 1);
    await coordinator.until(() => coordinator.downloads.length === 1);
    await until(() => agent.signalCode === 'SIGKILL');
    start();
    assert.equal((await coordinator.result(TASK)).case, 'done');
    assert.equal(coordinator.downloads.length, 2);
    assert.ok(coordinator.downloads[1].offset >= 50_000);
  });

  const partialBytes = () => {
    const folder = path.join(site.folder, 'workspace/runs', RUN, 'models');
    if (!existsSync(folder)) return 0;
    return readdirSync(folder).reduce((sum, name) => sum + statSync(path.join(folder, name)).size, 0);
  };
});

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}
