import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type CheckStep, checkTrainer, type TrainerCheckOptions } from '../../fl-site/trainer-check';
import { MODEL } from './support/model-bytes';
import { scriptedTrainer } from './support/scripted-trainer';

describe('trainer check', () => {
  const check = (mode: string, options: TrainerCheckOptions = {}) =>
    checkTrainer(scriptedTrainer(mode), {
      parameters: { steps: 12, pauseMillis: 10 },
      timeoutMillis: 60_000,
      graceMillis: 10_000,
      ...options,
    });
  /** So long that a machine which is busy interrupts it before its end. */
  const LONG = { steps: 12, pauseMillis: 150 };
  const named = (steps: readonly CheckStep[], outcome: CheckStep['outcome']) =>
    steps.filter((step) => step.outcome === outcome).map(({ name }) => name);

  it('passes a trainer that keeps the contract, step by step, and leaves nothing behind', async () => {
    const told: CheckStep[] = [];
    // Others may check trainers at the same time in the folder that they share.
    const place = mkdtempSync(path.join(os.tmpdir(), 'clara-check-'));
    const before = process.env.TMPDIR;
    process.env.TMPDIR = place;
    let report: Awaited<ReturnType<typeof check>>;
    try {
      report = await check('good', { parameters: LONG, onStep: (step) => told.push(step) });
      assert.deepEqual(readdirSync(place), []);
    } finally {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
      rmSync(place, { recursive: true });
    }
    assert.deepEqual(named(report.steps, 'failed'), [], JSON.stringify(report.steps));
    assert.deepEqual(named(report.steps, 'skipped'), []);
    assert.equal(report.passed, true);
    assert.equal(report.steps.length, 14);
    assert.deepEqual(told, report.steps);
  });

  const bad: [mode: string, failed: string[], reason: RegExp][] = [
    ['unsteady', ['makes the same update again'], /bytes differ/],
    ['nan', ['trains'], /enc\.w element 4 is NaN/],
    ['missing-tensor', ['trains'], /enc\.b: is missing/],
    ['no-report', ['makes first weights'], /left no report/],
    ['many-metrics', ['makes first weights'], /breaks the contract: metrics .*must be 100 metrics at most/],
    ['exit-1', ['makes first weights'], /exit code 1: the loss exploded/],
    ['changes-inputs', ['leaves its inputs alone'], /task\.json was changed/],
    ['malformed-progress', ['tells its progress'], /no progress line/],
    ['stubborn', ['stops within the grace after SIGTERM and goes on'], /had to be killed/],
    ['accepts-anything', ['refuses another protocol with exit code 64'], /exit code 0/],
    ['resumes-wrong', ['goes on after SIGKILL'], /not the one of a training without interruption/],
    ['writes-outside', ['writes nothing outside its folder'], /escaped\.txt/],
  ];
  for (const [mode, expected, reason] of bad) {
    it(`finds out a trainer with ${mode}, and says how to mend it`, async () => {
      const isInterrupted = mode === 'stubborn' || mode === 'resumes-wrong';
      const { passed, steps } = await check(mode, {
        ...(isInterrupted && { parameters: LONG }),
        ...(mode === 'stubborn' && { graceMillis: 60 }),
      });
      assert.equal(passed, false);
      const failed = named(steps, 'failed');
      for (const name of expected) assert.ok(failed.includes(name), `${name} is not in ${failed.join(', ')}`);
      const step = steps.find(({ name }) => name === expected[0])!;
      assert.match(step.reason, reason);
      assert.ok(step.mend.length > 20);
    });
  }

  it('proves what a trainer is said to support, and finds out what it does not', async () => {
    const supports = ['fedprox', 'scaffold', 'fednova'] as const;
    const names = [
      'supports fedprox',
      'supports scaffold',
      'supports fednova',
      'refuses a rule that it does not know with exit code 64',
    ];
    const good = await check('good', { supports });
    assert.equal(good.passed, true, JSON.stringify(good.steps));
    assert.deepEqual(
      good.steps.slice(-5, -1).map(({ name }) => name),
      names,
    );
    assert.deepEqual(named((await check('ignores-rules', { supports })).steps, 'failed'), [
      names[0],
      names[1],
      names[3],
    ]);
    assert.deepEqual(named((await check('counts-no-steps', { supports })).steps, 'failed'), [names[2]]);
    for (const mode of ['no-control', 'one-sided']) {
      assert.deepEqual(named((await check(mode, { supports })).steps, 'failed'), [names[1]], mode);
    }
  });

  it('proves that a trainer leaves frozen tensors alone and takes tensors over, and finds out one that does not', async () => {
    const supports = ['frozen', 'reinitialise'] as const;
    const good = await check('good', { supports });
    assert.equal(good.passed, true, JSON.stringify(good.steps));
    assert.ok(named(good.steps, 'passed').includes('supports reinitialise'));
    const bad = await check('ignores-rules', { supports });
    assert.deepEqual(named(bad.steps, 'failed'), ['supports frozen', 'supports reinitialise']);
    assert.match(bad.steps.find(({ name }) => name === 'supports frozen')!.reason, /another \S+, which was frozen/);
  });

  it('lets a trainer decline a kind of task, and checks the rest from weights that are given', async () => {
    const without = await check('no-initialise');
    assert.equal(without.passed, true);
    const skipped = named(without.steps, 'skipped');
    assert.ok(skipped.includes('makes first weights') && skipped.includes('trains'));
    assert.match(without.steps[0].reason, /first weights come from elsewhere; name weights to start from/);

    const folder = mkdtempSync(path.join(os.tmpdir(), 'clara-check-'));
    try {
      const model = path.join(folder, 'model.safetensors');
      writeFileSync(model, MODEL);
      const { passed, steps } = await check('no-initialise', { model });
      assert.equal(passed, true, JSON.stringify(steps));
      assert.ok(named(steps, 'passed').includes('trains'));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('is a failed step, not a crash, when the program does not exist', async () => {
    const { passed, steps } = await checkTrainer({ command: '/nowhere/trainer', args: [] });
    assert.equal(passed, false);
    assert.match(steps[0].reason, /could not be started/);
    assert.match(steps[0].mend, /name a program that is on this machine/);
  });

  it('ends when it is told to', async () => {
    const stop = new AbortController();
    await assert.rejects(
      check('good', { signal: stop.signal, onStep: () => stop.abort(new Error('enough')) }),
      /enough/,
    );
  });
});
