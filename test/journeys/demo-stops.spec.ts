import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Program, type ProgramRecord } from '../support/program';

describe('the demonstration', () => {
  let folder: string;

  before(async function () {
    if (process.platform !== 'linux') {
      process.stdout.write('skipped: looking for processes left behind needs /proc\n');
      this.skip();
    }
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-demo-stops-'));
  });
  after(() => (folder ? rm(folder, { recursive: true, force: true }) : undefined));

  const start = () => new Program(['demo', '--workspace', folder, '--sites', '1', '--rounds', '1', '--json']);
  const trains = ({ event, text }: ProgramRecord) => event === 'progress' && /training/.test(String(text));

  it('that is interrupted leaves no process behind, and goes on when it is started again', async () => {
    const first = start();
    const submitted = await first.record(({ event }) => event === 'submitted', 'the run is submitted');
    await first.record(trains, 'a round is trained');
    assert.ok((await processesOf(folder)).length > 1, 'services run while it trains');
    first.kill('SIGINT');
    const { code, stderr } = await first.ended;
    assert.equal(code, 130, stderr);
    assert.deepEqual(await processesOf(folder), []);

    const second = start();
    const { code: done, stderr: said } = await second.ended;
    assert.equal(done, 0, said);
    const last = second.records.at(-1)!;
    assert.equal(last.event, 'done');
    assert.match(String(last.modelDigest), /^sha256:[0-9a-f]{64}$/);
    const again = second.records.find(({ event }) => event === 'submitted');
    assert.equal(again?.run, submitted.run, 'the same run goes on');
    assert.deepEqual(await processesOf(folder), []);
  }).timeout(180_000);
});

/** Command lines of living processes that name the folder, this one's children of whatever depth among them. */
async function processesOf(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (line.includes(folder)) found.push(line.replaceAll('\0', ' '));
  }
  return found;
}
