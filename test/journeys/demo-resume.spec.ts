import assert from 'node:assert/strict';
import type { Program } from '../support/program';
import { DemoFolder, type Done, doneOf, doneSchema, nobodyNames, seenInDemo } from './support/demo-run';

const SETTINGS = ['--rounds', '2', '--sites', '2', '--seed', '5', '--json'];
/** Long for a machine that does many things at once; a child that is forgotten stays for ever. */
const SECONDS_TO_END = 30;

/** A machine that is busy with other things may need minutes for what takes twenty seconds. */
const PATIENCE = 240_000;

describe('a demonstration that is interrupted', () => {
  let folder: DemoFolder;
  let undisturbed: Done;
  let run: unknown;

  before(async function () {
    this.timeout(PATIENCE);
    folder = await DemoFolder.make();
    undisturbed = doneOf(await folder.run('demo', ...SETTINGS, '--workspace', folder.at('undisturbed')));
  });
  after(() => folder?.remove());

  const start = (...more: readonly string[]): Program =>
    folder.start('demo', ...SETTINGS, '--workspace', folder.at('disturbed'), ...more);

  /** Resolves with the run when its hospitals are in the middle of a round. */
  const midRound = async (program: Program, round: number): Promise<unknown> => {
    const submitted = await program.record(({ event }) => event === 'submitted', 'the run is submitted');
    const ends = program.ended.then(({ stderr }) => Promise.reject(new Error(`it ended: ${stderr}`)));
    const seen = seenInDemo(
      folder.at('disturbed'),
      String(submitted.run),
      ({ stage, summary, sites }) =>
        stage === 'train' && summary?.round === round && sites.some(({ fraction }) => fraction > 0.2),
    );
    seen.catch(() => undefined);
    ends.catch(() => undefined);
    await Promise.race([seen, ends]);
    return submitted.run;
  };

  it('by Ctrl-C in a round ends everything within seconds, with exit code 130', async () => {
    const program = start();
    run = await midRound(program, 1);
    const interrupted = performance.now();
    program.kill('SIGINT');
    const { code, stderr, stdout } = await program.ended;
    assert.equal(code, 130, stderr);
    assert.ok(performance.now() - interrupted < SECONDS_TO_END * 1000);
    assert.deepEqual(JSON.parse(stderr), { event: 'error', code: 'cancelled', message: 'interrupted', faults: [] });
    assert.ok(!stdout.includes('"done"'));
    await nobodyNames(folder.path, 0);
  }).timeout(PATIENCE);

  it('refuses to go on with other settings, and names each', async () => {
    const other = ['--rounds', '3', '--sites', '1', '--seed', '6', '--dataset', '/nowhere'];
    const { code, stderr } = await folder.run('demo', ...other, '--workspace', folder.at('disturbed'));
    assert.equal(code, 64);
    assert.equal(
      stderr,
      `clara-fed: ${folder.at('disturbed')} holds a demonstration with --rounds 2, --sites 2, --seed 5, --dataset not given; ` +
        'use the same settings, another --workspace, or remove the folder\n',
    );
  });

  it('goes on with the same run, and when it is killed with -9 its services end by themselves', async () => {
    const program = start();
    assert.equal(await midRound(program, 2), run);
    program.kill('SIGKILL');
    assert.equal((await program.ended).signal, 'SIGKILL');
    await nobodyNames(folder.path, SECONDS_TO_END * 1000);
  }).timeout(PATIENCE);

  it('ends with the model of an undisturbed one, and with --keep stays up until Ctrl-C', async () => {
    const program = start('--keep');
    const submitted = await program.record(({ event }) => event === 'submitted', 'the run is submitted');
    assert.equal(submitted.run, run);
    const done = await untilDone(program);
    assert.equal(done.modelDigest, undisturbed.modelDigest);
    assert.deepEqual(done.dice, undisturbed.dice);

    const models = (await (await fetch(new URL('v1/models?type=segmentation', done.slicerUrl))).json()) as {
      name: string;
    }[];
    assert.deepEqual(
      models.map(({ name }) => name),
      ['clara_ct_seg_spleen'],
    );
    const second = await folder.run('demo', ...SETTINGS, '--workspace', folder.at('disturbed'));
    assert.equal(second.code, 64);
    assert.match(second.stderr, /a demonstration is running in [^"]*disturbed; end it/);

    program.kill('SIGINT');
    assert.equal((await program.ended).code, 0, 'it had done all that it was asked for');
    await nobodyNames(folder.path, 0);
  }).timeout(PATIENCE);
});

/** The rest of a run takes longer than a program may need to answer. */
async function untilDone(program: Program): Promise<Done> {
  const isDone = ({ event }: { readonly event?: string }) => event === 'done';
  const end = performance.now() + PATIENCE;
  for (;;) {
    try {
      return doneSchema.parse(await program.record(isDone, 'the demonstration is done'));
    } catch (error) {
      if (program.isOver || performance.now() > end) throw error;
    }
  }
}
