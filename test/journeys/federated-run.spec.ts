import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Federation } from '../support/federation';
import { shiftModel } from '../support/shift-model';

const SITES = ['a', 'b', 'c'];

describe('a federated run, from invitation to model', () => {
  let federation: Federation;

  before(async () => {
    federation = await Federation.start(SITES);
  });
  after(() => federation?.stop());

  for (const strategy of ['fedavg', 'fedavgm', 'fedadam', 'fedyogi', 'median', 'scaffold'] as const) {
    it(`${strategy} ends with the model that its definition gives`, async () => {
      const run = await federation.submit({ strategy, rounds: 3 });
      const view = await federation.outcomeOf(run);
      assert.equal(view.summary!.state, 'completed', view.summary!.reason);
      const expected = shiftModel({ strategy, elements: 1000, rounds: [SITES, SITES, SITES] });
      const file = path.join(federation.folder, `${strategy}.safetensors`);
      const fetched = await federation.verb('model', 'fetch', run, '-o', file, '--json');
      assert.equal(fetched.code, 0, fetched.stderr);
      assert.deepEqual(await readFile(file), expected.bytes);
      assert.equal(view.summary!.modelDigest, expected.digest);
      assert.deepEqual(
        view.rounds.map(({ contributors }) => contributors),
        [SITES, SITES, SITES],
      );
    });
  }

  describe('as an operator sees it', () => {
    let run: string;

    it('submit --wait tells each step in a line and ends with the state', async () => {
      const plan = await federation.planFile({ rounds: 2, evaluation: { everyRound: true } });
      const { code, stdout, stderr } = await federation.verb('run', 'submit', plan, '--wait');
      assert.equal(code, 0, stderr);
      const lines = stdout.trimEnd().split('\n');
      run = /^run (\S+)$/.exec(lines[0]!)![1]!;
      assert.match(stdout, /^round 1\/2 {2}training$/m);
      assert.match(stdout, /^round 2\/2 .* dice a 0\.250 {2}b 0\.500 {2}c 0\.750$/m);
      assert.equal(lines.at(-1), `run ${run} is completed`);
    });

    it('submit --json gives one JSON object a line', async () => {
      const plan = await federation.planFile({ rounds: 1 });
      const token = 'chosen-by-the-client';
      const first = await federation.verb('run', 'submit', plan, '--json', '--token', token);
      assert.deepEqual(
        first.stdout
          .split('\n')
          .filter(Boolean)
          .map((line) => Object.keys(JSON.parse(line) as object)),
        [['event', 'run', 'alreadySubmitted']],
      );
      const again = await federation.verb('run', 'submit', plan, '--json', '--token', token, '--wait');
      const [submitted, ...views] = again.program.records;
      assert.deepEqual(submitted, { ...first.program.records[0], alreadySubmitted: true });
      assert.equal(again.stdout.trimEnd().split('\n').length, again.program.records.length);
      const last = views.at(-1) as { summary: { state: string; modelDigest: string } };
      assert.equal(last.summary.state, 'completed');
      const { digest } = shiftModel({ strategy: 'fedavg', elements: 1000, rounds: [SITES] });
      assert.equal(last.summary.modelDigest, digest);
    });

    it('list, show and watch tell of it', async () => {
      const list = await federation.verb('run', 'list');
      assert.match(list.stdout, new RegExp(`^${run} +completed +2/2 .* sha256:[0-9a-f]{12}$`, 'm'));
      const listed = await federation.verb('run', 'list', '--json');
      assert.ok(listed.program.records.some((record) => record.run === run && record.state === 'completed'));
      const show = await federation.verb('run', 'show', run, '--json');
      assert.deepEqual(
        [listed, show].map(({ program }) => program.records[0]!.event),
        ['run-summary', 'run'],
      );
      const [view] = show.program.records as { rounds: { contributors: string[] }[]; sites: { site: string }[] }[];
      assert.deepEqual(
        view!.rounds.map(({ contributors }) => contributors),
        [SITES, SITES],
      );
      assert.deepEqual(
        view!.sites.map(({ site }) => site),
        SITES,
      );
      const watch = await federation.verb('run', 'watch', run);
      assert.equal(watch.code, 0);
      assert.match(watch.stdout, /is completed\n$/);
    });

    it('model fetch gives the model of any round', async () => {
      for (const [round, rounds] of [
        ['0', []],
        ['1', [SITES]],
      ] as const) {
        const file = path.join(federation.folder, `round-${round}`);
        const { code, stderr } = await federation.verb('model', 'fetch', run, '--round', round, '-o', file);
        assert.equal(code, 0, stderr);
        assert.deepEqual(await readFile(file), shiftModel({ strategy: 'fedavg', elements: 1000, rounds }).bytes);
      }
      const missing = await federation.verb(
        'model',
        'fetch',
        run,
        '--round',
        '9',
        '-o',
        path.join(federation.folder, 'x'),
      );
      assert.equal(missing.code, 66);
      assert.match(missing.stderr, /models of rounds 0 to 2, not of round 9/);
    });

    it('with siteModels every model is judged on every site', async () => {
      const together = await federation.submit({ rounds: 1, evaluation: { everyRound: true, siteModels: true } });
      const { matrix, summary } = await federation.outcomeOf(together);
      assert.equal(summary!.state, 'completed', summary!.reason);
      const models = ['global', ...SITES.map((site) => `site:${site}`)];
      const expected = SITES.flatMap((site) => models.map((model) => `${model} on ${site}`));
      assert.deepEqual(matrix.map(({ site, model }) => `${model} on ${site}`).sort(), expected.sort());
    });

    it('with crossSite each last update is judged on every site, and show prints the matrix and the best', async () => {
      const crossed = await federation.submit({ rounds: 1, evaluation: { everyRound: false, crossSite: true } });
      const { matrix, best, summary } = await federation.outcomeOf(crossed);
      assert.equal(summary!.state, 'completed', summary!.reason);
      const models = ['global', ...SITES.map((site) => `update:${site}`)];
      const expected = SITES.flatMap((site) => models.map((model) => `${model} on ${site}`));
      assert.deepEqual(matrix.map(({ site, model }) => `${model} on ${site}`).sort(), expected.sort());
      // The trainer judges by the site alone: 0.25, 0.5 and 0.75 for every model.
      assert.deepEqual(
        best.map(({ metric, model, mean }) => [metric, model, mean]),
        [['dice', 'global', 0.5]],
      );
      const { stdout } = await federation.verb('run', 'show', crossed);
      assert.match(stdout, /^model +a +b +c +mean$/m);
      assert.match(stdout, /^update:b +0\.250 +0\.500 +0\.750 +0\.500$/m);
      assert.match(stdout, /^best by dice: global \(mean 0\.500\)$/m);
    });

    it('a run may start from the model of another', async () => {
      const next = await federation.submit({ rounds: 1, initialModel: { from: 'run', run } });
      const { summary } = await federation.outcomeOf(next);
      assert.equal(summary!.state, 'completed', summary!.reason);
      const file = path.join(federation.folder, 'start');
      await federation.verb('model', 'fetch', next, '--round', '0', '-o', file);
      const { bytes } = shiftModel({ strategy: 'fedavg', elements: 1000, rounds: [SITES, SITES] });
      assert.deepEqual(await readFile(file), bytes);
    });

    it('abort ends a run for good', async () => {
      const gate = path.join(federation.folder, 'gate');
      await mkdir(gate);
      await federation.stopSite('c');
      await federation.configureSite('c', { trainer: { GATE: gate } });
      const site = await federation.startSite('c');
      const long = await federation.submit({ rounds: 1 });
      await federation.seen(long, ({ stage, sites }) => stage === 'train' && sites[2]!.state === 'training');
      const aborted = await federation.verb('run', 'abort', long, '--reason', 'wrong dataset');
      assert.equal(aborted.code, 0, aborted.stderr);
      assert.equal(aborted.stdout, `run ${long} is aborted\n`);
      await site.record(({ event, run: ended }) => event === 'run-finished' && ended === long, 'the site heard of it');
      const again = await federation.verb('run', 'abort', long);
      assert.equal(again.code, 64);
      assert.match(again.stderr, /has already aborted/);
      const watched = await federation.verb('run', 'watch', long);
      assert.equal(watched.code, 64);
      assert.match(watched.stderr, /is aborted: wrong dataset/);
      await writeFile(path.join(gate, 'open'), '');
    });

    it('sites list shows who is enrolled and connected', async () => {
      const { code, stdout } = await federation.verb('sites', 'list');
      assert.equal(code, 0);
      for (const site of SITES) assert.match(stdout, new RegExp(`^${site} +enrolled +connected`, 'm'));
    });

    it('sites invite and site enrol let a new hospital in, once', async () => {
      const file = path.join(federation.folder, 'd.invitation');
      const folder = path.join(federation.folder, 'd', 'credentials');
      const invited = await federation.verb('sites', 'invite', 'd', '-o', file);
      assert.equal(invited.code, 0, invited.stderr);
      assert.equal((await stat(file)).mode & 0o777, 0o600);
      const enrolled = await federation.cli(
        'site',
        'enrol',
        '--invitation',
        `@${file}`,
        '--credentials',
        folder,
        '--json',
      );
      assert.equal(enrolled.code, 0, enrolled.stderr);
      assert.equal(enrolled.program.records[0]!.identity, 'spiffe://clara/site/d');
      const elsewhere = path.join(federation.folder, 'thief');
      const second = await federation.cli('site', 'enrol', '--invitation', `@${file}`, '--credentials', elsewhere);
      assert.equal(second.code, 77, second.stderr);
      assert.ok(!existsSync(path.join(elsewhere, 'key.pem')));
      const revoked = await federation.verb('sites', 'revoke', 'd');
      assert.equal(revoked.stdout, 'd is revoked\n');
    });
  });

  describe('refuses', () => {
    it('a plan with several mistakes with all of them, and exit code 64', async () => {
      const plan = await federation.planFile({ rounds: 0, deadline: 'soon', colour: 'blue' });
      const { code, stderr } = await federation.verb('run', 'submit', plan);
      assert.equal(code, 64);
      const [heading, ...faults] = stderr.trimEnd().split('\n');
      assert.match(heading!, /^clara-fed: .*plan has 3 faults:$/);
      assert.equal(faults.length, 3);
      for (const path of ['rounds', 'deadline', 'colour'])
        assert.ok(faults.some((line) => line.startsWith(`  - ${path} (`)));
      const json = await federation.verb('run', 'submit', plan, '--json');
      assert.equal(json.stdout, '');
      const error = JSON.parse(json.stderr) as { code: string; faults: { path: string }[] };
      assert.equal(error.code, 'invalid-input');
      assert.equal(error.faults.length, 3);
    });

    it('a plan for sites that nobody enrolled, naming them', async () => {
      const { code, stderr } = await federation.verb(
        'run',
        'submit',
        await federation.planFile({ cohort: ['a', 'zoo'] }),
      );
      assert.equal(code, 64);
      assert.match(stderr, /cohort \(zoo\): is not an enrolled site/);
    });

    it('a plan for another trainer by the policy of each site, with the reason', async () => {
      const plan = await federation.planFile({ trainer: { name: 'other' } });
      const { code, stderr } = await federation.verb('run', 'submit', plan, '--wait');
      assert.equal(code, 64);
      assert.match(stderr, /asks for trainer other, but [abc] runs shift/);
    });

    it('a plan file that is not there, with exit code 66', async () => {
      const { code, stderr } = await federation.verb('run', 'submit', 'no-such-plan.yaml');
      assert.equal(code, 66);
      assert.match(stderr, /^clara-fed: the plan no-such-plan\.yaml cannot be read: [^\n]*\n$/);
    });

    it('an unknown run with exit code 66', async () => {
      for (const verb of ['show', 'watch', 'abort']) {
        const { code, stderr } = await federation.verb('run', verb, 'no-such-run');
        assert.equal(code, 66);
        assert.match(stderr, /^clara-fed: there is no run "no-such-run"[^\n]*\n$/);
      }
    });

    it('a coordinator that cannot be reached with exit code 69', async () => {
      const { code, stderr } = await federation.verb('run', 'list', '--coordinator', 'localhost:1');
      assert.equal(code, 69);
      assert.match(stderr, /^clara-fed: coordinator cannot be reached: [^\n]*\n$/);
    });

    it('credentials that are not there with exit code 66', async () => {
      const { code, stderr } = await federation.cli(
        'run',
        'list',
        '--operator',
        path.join(federation.folder, 'nobody'),
      );
      assert.equal(code, 66);
      assert.match(stderr, /enrol first/);
    });
  });
});
