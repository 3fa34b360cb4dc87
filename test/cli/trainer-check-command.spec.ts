import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { identityOf, isRunning, signalGroup } from '../../base/process-identity';
import { MODEL } from '../fl-site/support/model-bytes';
import { scriptedTrainer } from '../fl-site/support/scripted-trainer';
import { Program } from '../support/program';
import { until } from '../support/until';

describe('clara-fed trainer check', () => {
  let folder: string;
  const at = (...names: string[]) => path.join(folder, ...names);
  const check = (mode: string, ...options: readonly string[]): Program => {
    const { command, args } = scriptedTrainer(mode);
    // Variables of ours do not reach a trainer.
    const trainer = ['env', `GATE_FOLDER=${at('gate')}`, command, ...args];
    const environment = { TMPDIR: at('scratch') };
    return new Program(['trainer', 'check', '--json', ...options, '--', ...trainer], { environment });
  };
  const outcomes = ({ records }: Program): string[] =>
    records.filter(({ event }) => event === 'check').map(({ name, outcome }) => `${String(name)}: ${String(outcome)}`);

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'clara-check-command-'));
    mkdirSync(at('scratch'));
    writeFileSync(at('model.safetensors'), MODEL);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('hands over parameters, and weights to start from for a trainer that makes none', async () => {
    // Without the pauses of these parameters this trainer is done before it can be interrupted.
    const parameters = JSON.stringify({ steps: 12, pauseMillis: 100 });
    const program = check('no-initialise', '--model', at('model.safetensors'), '--parameters', parameters);
    const { code, stderr } = await program.ended;
    assert.equal(code, 0, stderr);
    const seen = outcomes(program);
    assert.ok(seen.includes('makes first weights: skipped'), seen.join('\n'));
    assert.ok(seen.includes('trains: passed'), seen.join('\n'));
    assert.ok(seen.includes('goes on after SIGKILL: passed'), seen.join('\n'));
  });

  it('compares first weights with first weights, also when it is given others to start from', async () => {
    const program = check('good', '--model', at('model.safetensors'));
    const { code } = await program.ended;
    assert.equal(code, 0, outcomes(program).join('\n'));
    assert.ok(outcomes(program).includes('makes the same first weights again: passed'));
  });

  it('refuses parameters that are no map, and a model that is none, before it starts anything', async () => {
    const { code, stderr } = await check('good', '--parameters', '[1]').ended;
    assert.equal(code, 64);
    assert.match(stderr, /--parameters.*must be a map in JSON/);
    writeFileSync(at('model.safetensors'), MODEL.subarray(0, 20));
    const broken = check('good', '--model', at('model.safetensors'));
    assert.equal((await broken.ended).code, 65);
    assert.deepEqual(outcomes(broken), []);
  });

  it('refuses a dataset that is not there, before it starts anything', async () => {
    const program = check('good', '--dataset', at('nowhere'));
    const { code, stderr } = await program.ended;
    assert.equal(code, 66, stderr);
    assert.match(stderr, /there is no .*nowhere\/dataset\.json; name a folder in the Decathlon layout/);
    assert.deepEqual(outcomes(program), []);
  });

  it('ends the trainer too on Ctrl-C, and leaves nothing behind', async () => {
    mkdirSync(at('gate'));
    const program = check('good');
    await until(() => existsSync(at('gate', 'reached')), 'the trainer is at work');
    const trainer = identityOf(Number(readFileSync(at('gate', 'reached'), 'utf8')));
    assert.equal(isRunning(trainer), true);
    try {
      program.kill('SIGINT');
      assert.equal((await program.ended).code, 130);
      assert.equal(isRunning(trainer), false);
    } finally {
      signalGroup(trainer.pid, 'SIGKILL');
    }
    assert.deepEqual(
      readdirSync(at('scratch')).filter((name) => name.startsWith('clara-trainer-check-')),
      [],
    );
  });
});
