import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Federation } from '../support/federation';
import { Program } from '../support/program';
import { until } from '../support/until';

const SITES = ['a', 'b'];

describe('the upkeep of a store', function () {
  this.timeout(120_000);
  let federation: Federation;
  let run: string;

  before(async () => {
    federation = await Federation.start(SITES, {}, ['--keep-updates', 'all']);
    run = await federation.submit({
      strategy: 'fedadam',
      rounds: 2,
      evaluation: { everyRound: false, siteModels: true },
    });
    const { summary } = await federation.outcomeOf(run);
    assert.equal(summary!.state, 'completed', summary!.reason);
    await Promise.all([...SITES.map((site) => federation.stopSite(site)), federation.coordinator.stop()]);
  });
  after(() => federation?.stop());

  const at = (...names: string[]): string => path.join(federation.folder, 'coordinator', 'store', ...names);
  const objects = async (): Promise<string[]> => {
    const names = await readdir(at('runs', run), { recursive: true });
    return names.filter((name) => /^(rounds|alone).*safetensors$/.test(name)).sort();
  };
  const verify = async () => {
    const { code, program, stderr } = await federation.cli(
      'store',
      'verify',
      '--workspace',
      path.join(federation.folder, 'coordinator'),
      '--json',
    );
    const broken = program.records.filter(({ event }) => event === 'broken');
    return { code, stderr, broken, counts: program.records.find(({ event }) => event === 'verified') };
  };

  it('finds a store that is whole to be whole, with every model and update', async () => {
    const { code, counts, stderr } = await verify();
    assert.equal(code, 0, stderr);
    // Three models; one first update, two of each round, two of each that was trained alone.
    assert.deepEqual({ journals: counts!.journals, objects: counts!.objects }, { journals: 3, objects: 3 + 1 + 4 + 4 });
  });

  it('names everything that is broken, and exits with 65', async () => {
    const model = at('runs', run, 'rounds', '0001', 'model.safetensors');
    const update = at('runs', run, 'rounds', '0002', 'updates', 'a.safetensors');
    const originals = await Promise.all([model, update].map((file) => readFile(file)));
    const changed = Buffer.from(originals[0]!);
    changed[changed.length - 1]! ^= 1;
    await writeFile(model, changed);
    await truncate(update, 100);
    await rm(at('runs', run, 'rounds', '0000', 'model.safetensors'));
    await mkdir(at('runs', 'ghost', 'journal'), { recursive: true });
    await writeFile(at('runs', 'ghost', 'journal', '000000000002.json'), '{}');
    const [entry] = await readdir(at('federation', 'submissions'));
    const entryFile = at('federation', 'submissions', entry!);
    const submitted = await readFile(entryFile);
    await writeFile(entryFile, 'not JSON');
    const { code, broken } = await verify();
    assert.equal(code, 65);
    const problems = broken.map(({ what, problem }) => [what, problem] as [string, string]);
    assert.deepEqual(problems.map(([what]) => what).sort(), [
      `runs/${run}/rounds/0000/model.safetensors`,
      `runs/${run}/rounds/0001/model.safetensors`,
      `runs/${run}/rounds/0002/updates/a.safetensors`,
      'the journal of run ghost',
      'the journal of submissions',
    ]);
    const problemOf = (part: string): string => problems.find(([what]) => what.includes(part))![1];
    assert.match(problemOf('0000/model'), /missing/);
    assert.match(problemOf('0001/model'), /digest/);
    assert.match(problemOf('0002/updates'), /100 bytes/);
    assert.match(problemOf('ghost'), /no event 1/);
    await writeFile(entryFile, submitted);
    await writeFile(model, originals[0]!);
    await writeFile(update, originals[1]!);
    await rm(at('runs', 'ghost'), { recursive: true });
  });

  it('deletes what a new rule lets go of at the next start, and the store is whole without it', async () => {
    assert.ok((await objects()).length > 12);
    for (const [keep, left] of [
      ['last', ['alone/0002/updates/a', 'alone/0002/updates/b', 'rounds/0002/updates/a', 'rounds/0002/updates/b']],
      ['none', []],
    ] as const) {
      const folder = path.join(federation.folder, 'coordinator');
      const options = ['--workspace', folder, '--listen', '127.0.0.1:0', '--enrolment', '127.0.0.1:0'];
      const coordinator = new Program(['coordinator', 'start', ...options, '--keep-updates', keep, '--json']);
      const expected = [
        ...left.map((name) => `${name}.safetensors`),
        ...['0001', '0002'].map((n) => `rounds/${n}/model.safetensors`),
      ];
      await until(async () => (await objects()).length === expected.length, 'the superfluous updates are gone');
      assert.deepEqual(await objects(), expected.sort());
      await coordinator.stop();
    }
  });

  it('is refused for what is no store', async () => {
    const verb = (...args: string[]) => federation.cli('store', 'verify', ...args);
    assert.equal((await verb('--workspace', path.join(federation.folder, 'nowhere'))).code, 66);
    assert.equal((await verb()).code, 64);
    assert.equal((await verb('--workspace', '.', '--store', 's3://bucket')).code, 64);
    const { code, stderr } = await verb('--store', 's3://B/../x', '--store-endpoint', 'http://s3.example.org');
    assert.equal(code, 64);
    assert.match(stderr, /store-endpoint .*https/);
  });
});
