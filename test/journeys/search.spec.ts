import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parse } from 'yaml';
import type { RunSummary } from '../../federation/gen/federation/v1/federation_pb';
import { parsePlan } from '../../federation/plan';
import { Federation } from '../support/federation';
import { Program, type ProgramRecord } from '../support/program';
import { shiftModel, shiftSamples } from '../support/shift-model';

const SITES = ['a', 'b'];
const RATES = [0.01, 0.1, 1, 10, 100];
const BEST_RATE = 0.1;
const FAILING = 0.05;

/** Of each rate one candidate, and one whose trainer fails at every site. */
const CHOICES = [
  ...RATES.map((rate) => ({ elements: 1000, rate })),
  { elements: 1000, rate: FAILING, mistake: 'exit-1' },
];

const SEARCH = {
  metric: 'score',
  candidates: CHOICES.length,
  seed: 5,
  parameters: { 'trainer.parameters': { choices: CHOICES } },
};

interface Parameters {
  readonly rate: number;
}

/** The mean over the sites by their held-out cases, of what shift-trainer.cjs says. */
function expectedScore(rate: number, rounds: number): number {
  const scores = SITES.map((_, site) => 0.5 / (1 + Math.abs(Math.log10(rate) + 1)) + 0.01 * rounds + 0.125 * site);
  const samples = SITES.map(shiftSamples);
  const total = samples[0]! + samples[1]!;
  return (scores[0]! * samples[0]! + scores[1]! * samples[1]!) / total;
}

describe('a search with real processes', () => {
  let federation: Federation;
  let output: string;
  /** The run of the best trial of the first search. */
  let best: string;

  before(async () => {
    federation = await Federation.start(SITES);
    output = path.join(federation.folder, 'best-plan.yaml');
  });
  after(() => federation?.stop());

  const start = (file: string, ...options: readonly string[]): Program =>
    new Program(['search', file, '--operator', federation.operator, ...options]);
  const of = (program: Program, event: string): readonly ProgramRecord[] =>
    program.records.filter((record) => record.event === event);
  const trialRuns = async (search: unknown): Promise<readonly Pick<RunSummary, 'run' | 'state' | 'reason'>[]> => {
    const { runs } = await federation.operate((client) => client.listRuns({}));
    return runs.filter(({ name }) => name.startsWith(`hunt-${search}-`));
  };
  const rateOf = ({ parameters }: ProgramRecord): number =>
    (parameters as Record<string, Parameters>)['trainer.parameters']!.rate;

  it('is killed again and again, goes on, finds the best parameter, and runs no trial twice', async () => {
    const plan = { name: 'hunt', rounds: 3, evaluation: { everyRound: true, crossSite: true } };
    const file = await federation.planFile({ ...plan, search: SEARCH });
    // Each life ends at another moment: a trial was submitted, has ended, was submitted in the second rung.
    const deaths: readonly ((record: ProgramRecord) => boolean)[] = [
      ({ event }) => event === 'trial-submitted',
      ({ event, candidate }) => event === 'trial' && candidate === 3,
      ({ event, rung }) => event === 'trial-submitted' && rung === 2,
    ];
    for (const death of deaths) {
      const doomed = start(file, '--json');
      await doomed.record(death, 'the moment of its death');
      doomed.kill('SIGKILL');
      assert.equal((await doomed.ended).signal, 'SIGKILL');
    }
    const last = start(file, '--json', '--output', output);
    const { code, stderr } = await last.ended;
    assert.deepEqual([code, stderr], [0, '']);

    const [begun] = of(last, 'search');
    assert.deepEqual(begun!.rungs, [
      { trials: 6, rounds: 1 },
      { trials: 2, rounds: 3 },
    ]);
    assert.deepEqual(new Set(of(last, 'candidate').map(rateOf)), new Set([...RATES, FAILING]));
    const ranking = of(last, 'ranking');
    const byScore = [...RATES].sort((a, b) => expectedScore(b, 1) - expectedScore(a, 1));
    // 0.01 and 1 are equally far from the best rate; the one that was drawn first goes on.
    assert.equal(rateOf(ranking[0]!), BEST_RATE);
    assert.equal(expectedScore(byScore[1]!, 1), expectedScore(byScore[2]!, 1));
    const equals = of(last, 'candidate').filter((record) => [0.01, 1].includes(rateOf(record)));
    assert.equal(rateOf(ranking[1]!), rateOf(equals[0]!));
    assert.deepEqual(
      ranking.map(({ rounds }) => rounds),
      [3, 3, 1, 1, 1, 1],
    );
    for (const entry of ranking.slice(0, -1)) {
      const expected = expectedScore(rateOf(entry), Number(entry.rounds));
      assert.ok(Math.abs(Number(entry.value) - expected) < 1e-9, `${entry.value} is not ${expected}`);
      assert.deepEqual(entry.sites, SITES);
      assert.ok(Number(entry.bytes) > 0);
    }
    const failed = ranking.at(-1)!;
    assert.deepEqual([rateOf(failed), failed.value, failed.rung], [FAILING, null, 1]);
    assert.match(String(failed.reason), /^failed: .*the disk of the trainer is on fire/s);

    const runs = await trialRuns(begun!.search);
    assert.equal(runs.length, 6 + 2, 'no trial is there twice');
    assert.deepEqual(new Set(runs.map(({ run }) => run)), new Set(of(last, 'trial').map(({ run }) => run)));
    const [ended] = of(last, 'search-ended');
    assert.deepEqual([ended!.run, ended!.stopped, ended!.rounds], [ranking[0]!.run, null, 5 * 1 + 2 * 3]);
    best = String(ranking[0]!.run);
  });

  it('writes a plan that is taken as it is, and gives the model of the trial', async () => {
    const written = parsePlan(await readFile(output, 'utf8'));
    assert.deepEqual(written.trainer.parameters, { elements: 1000, rate: BEST_RATE });
    assert.deepEqual([written.name, written.rounds, written.evaluation.crossSite], ['hunt', 3, true]);
    const { code, stdout, stderr } = await federation.verb('run', 'submit', output, '--wait', '--json');
    assert.equal(code, 0, stderr);
    const whole = JSON.parse(stdout.trim().split('\n').at(-1)!) as {
      readonly summary: { readonly modelDigest: string };
    };
    const trial = await federation.operate((client) => client.showRun({ run: best }));
    assert.equal(whole.summary.modelDigest, trial.summary!.modelDigest);
  });

  /** A little search, and what it printed. */
  let little: { readonly file: string; readonly id: string; readonly stdout: string };

  it('starts from a file beside the plan, which the plan that comes out names by its digest', async () => {
    const start = shiftModel({ strategy: 'fedavg', elements: 1000, rounds: [['a']] });
    await writeFile(path.join(federation.folder, 'start.safetensors'), start.bytes);
    const initialModel = { from: 'file', path: './start.safetensors' } as never;
    const plan = { name: 'hunt', rounds: 1, evaluation: { everyRound: true }, initialModel };
    const search = { ...SEARCH, parameters: { 'trainer.parameters.rate': { choices: [0.1, 1] } }, candidates: 2 };
    const file = await federation.planFile({ ...plan, search });
    const { code, stdout, stderr } = await federation.verb('search', file, '--output', output);
    assert.equal(code, 0, stderr);
    little = { file, stdout, id: /^search (\w+)/.exec(stdout)![1]! };
    const { initialModel: from } = parsePlan(await readFile(output, 'utf8'));
    assert.deepEqual(from, { from: 'file', sha256: start.digest.slice('sha256:'.length) });
  });

  it('prints lines for a person, and the same result again without submitting anything', async () => {
    const { file, id, stdout } = little;
    assert.match(stdout, /^search [0-9a-f]{8} of hunt: 2 candidates, 2 rounds in all: 2 trials of 1 round;/);
    assert.match(stdout, /^rung 1\/1 {2}candidate \d {2}score 0\.\d{4} {2}\(1 round, .*\) {2}judged by a b$/m);
    assert.match(stdout, /^1 +\d +0\.1 +1\/1 /m);
    assert.match(stdout, /its trial was the whole plan: clara-fed model fetch hunt-/);
    const runs = (await trialRuns(id)).map(({ run }) => run);
    assert.equal(runs.length, 2);
    const again = await federation.verb('search', file, '--parallel', '2', '--output', output);
    assert.equal(again.code, 0, again.stderr);
    const ranking = (text: string) => text.slice(text.indexOf('\nrank'));
    assert.equal(ranking(again.stdout), ranking(stdout));
    assert.deepEqual(
      (await trialRuns(id)).map(({ run }) => run),
      runs,
    );
    const other = await federation.verb('search', file, '--token', 'another one', '--dry-run');
    assert.notEqual(/^search (\w+)/.exec(other.stdout)![1], id);
  });

  it('refuses a file with all faults of all candidates, sites included, and submits nothing', async () => {
    const before = (await federation.operate((client) => client.listRuns({}))).runs.length;
    const parameters = { 'strategy.mu': { choices: [0.1, -1] }, cohort: { choices: [['a'], ['a', 'z']] } };
    const search = { metric: 'score', candidates: 4, parameters };
    const file = await federation.planFile({ name: 'hunt', strategy: 'fedprox', colour: 'blue', search });
    const { code, stderr } = await federation.verb('search', file);
    assert.equal(code, 64);
    assert.match(stderr, /- colour \("blue"\): is not known here/);
    assert.match(stderr, /- strategy\.mu of candidates \d, \d \(-1\): /);
    const enrolled = await federation.planFile({
      name: 'hunt',
      strategy: 'fedprox',
      search: { ...search, parameters: { ...parameters, 'strategy.mu': { choices: [0.1, 0.2] } } },
    });
    const refused = await federation.verb('search', enrolled);
    assert.equal(refused.code, 64);
    assert.match(refused.stderr, /cohort of candidates \d, \d \(z\): is not an enrolled site/);
    assert.equal((await federation.operate((client) => client.listRuns({}))).runs.length, before);
  });

  it('goes on when the coordinator is killed and comes back', async () => {
    const plan = { name: 'hunt', rounds: 1, evaluation: { everyRound: true } };
    const search = { ...SEARCH, parameters: { 'trainer.parameters.rate': { choices: [0.1, 10] } }, candidates: 2 };
    const program = start(await federation.planFile({ ...plan, search }), '--json');
    await program.record(({ event }) => event === 'trial-submitted', 'the first trial is submitted');
    federation.coordinator.kill('SIGKILL');
    await federation.coordinator.ended;
    await federation.startCoordinator();
    const { code, stderr } = await program.ended;
    assert.equal(code, 0, stderr);
    assert.equal((await trialRuns(of(program, 'search')[0]!.search)).length, 2);
    assert.equal(rateOfOne(of(program, 'ranking')[0]!), 0.1);
  });

  it('aborts its trials on Ctrl-C when it is told to, and runs them anew', async () => {
    const gate = path.join(federation.folder, 'gate');
    await mkdir(gate);
    await federation.stopSite('a');
    await federation.configureSite('a', { trainer: { GATE: gate } });
    await federation.startSite('a');
    const plan = { name: 'hunt', rounds: 1, evaluation: { everyRound: true } };
    const search = { ...SEARCH, parameters: { 'trainer.parameters.rate': { choices: [10, 100] } }, candidates: 2 };
    const file = await federation.planFile({ ...plan, search });

    const left = start(file, '--json', '--parallel', '2');
    await left.record(() => of(left, 'trial-submitted').length === 2, 'both trials are submitted');
    left.kill('SIGINT');
    const end = await left.ended;
    assert.equal(end.code, 130, end.stderr);
    assert.match(end.stderr, /stopped asking; trials that run go on, and the same command goes on/);
    const id = of(left, 'search')[0]!.search;
    const going = (await trialRuns(id)).map(({ state }) => String(state));
    assert.ok(going.length === 2 && going.every((state) => ['submitted', 'running'].includes(state)), String(going));

    const aborting = start(file, '--json', '--abort-on-interrupt');
    await aborting.record(({ event }) => event === 'trial-submitted', 'it follows the first trial');
    aborting.kill('SIGINT');
    assert.match((await aborting.ended).stderr, /is interrupted, hunt-.*, hunt-.* was aborted/);
    assert.deepEqual(
      (await trialRuns(id)).map(({ state, reason }) => [state, reason]),
      [
        ['aborted', 'the search was interrupted'],
        ['aborted', 'the search was interrupted'],
      ],
    );

    await writeFile(path.join(gate, 'open'), '');
    const last = start(file, '--json');
    assert.equal((await last.ended).code, 0);
    assert.equal((await trialRuns(id)).length, 4);
    assert.deepEqual(of(last, 'ranking').map(rateOfOne), [10, 100]);
  });

  const rateOfOne = ({ parameters }: ProgramRecord): unknown =>
    (parameters as Record<string, unknown>)['trainer.parameters.rate'];

  it('needs no coordinator for a dry run, which refuses more rounds than the budget has', async () => {
    const search = { ...SEARCH, budget: { rounds: 20 } };
    const file = await federation.planFile({ name: 'hunt', rounds: 3, search });
    const { code, stdout, stderr } = await new Program(['search', file, '--dry-run'], {
      environment: { CLARA_FED_OPERATOR: undefined },
    }).ended;
    assert.equal(code, 0, stderr);
    assert.equal(stdout.trim().split('\n').length, 1 + 1 + CHOICES.length);
    const small = parse(await readFile(file, 'utf8')) as { search: { budget: object } };
    small.search.budget = { rounds: 11 };
    await writeFile(file, JSON.stringify(small));
    const refused = await federation.cli('search', file, '--dry-run');
    assert.equal(refused.code, 64);
    assert.match(refused.stderr, /budget\.rounds \(11\): is less than the 12 rounds of this search/);
  });
});
