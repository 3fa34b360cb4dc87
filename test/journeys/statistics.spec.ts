import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { stringify } from 'yaml';
import type { SiteConfigurationInput } from '../../fl-site/configuration';
import { readNifti } from '../../imaging/nifti';
import { writePhantomDataset } from '../../imaging/phantom-dataset';
import { Federation } from '../support/federation';

type Variable = { name: string; count: number; mean: number; variance: number; minimum: number; weights: number[] };
type Told = { sites: { site: string; cases?: number; epsilon?: number; suppressed?: string }[]; variables: Variable[] };

const [LOW, HIGH, BINS] = [-1000, 600, 16];
const EXACT = { allow: true, minimumCount: 1 };

describe('statistics of a federation with real processes', () => {
  let federation: Federation;

  before(async () => {
    federation = await Federation.start([]);
    for (const [index, site] of ['a', 'b'].entries()) {
      const seed = index + 1;
      await writePhantomDataset(data(site), { cases: 2, heldOut: index, seed, shape: [16, 16, 10] });
      await federation.addSite(site);
    }
  });
  after(() => federation?.stop());

  const data = (site: string) => path.join(federation.siteFolder(site), 'data');

  /** Starts the sites anew with these policies. */
  async function withPolicies(policies: Readonly<Record<string, SiteConfigurationInput['statistics']>>): Promise<void> {
    for (const [site, statistics] of Object.entries(policies)) {
      await federation.stopSite(site);
      const configuration: SiteConfigurationInput = {
        id: site,
        coordinator: `localhost:${federation.port}`,
        credentials: './credentials',
        workspace: './workspace',
        dataset: { kind: 'decathlon', path: './data' },
        trainer: { name: 'reference', adapter: 'reference' },
        statistics,
      };
      await writeFile(federation.configurationOf(site), stringify(configuration));
      await federation.startSite(site);
    }
  }

  async function ask(cohort = 'all') {
    const range = ['--bins', String(BINS), '--low', String(LOW), '--high', String(HIGH)];
    const end = await federation.verb('statistics', '--cohort', cohort, ...range, '--json');
    const of = (event: string) => end.program.records.filter((record) => record.event === event);
    const merged = of('statistics')[0] as unknown as (Told & { run: string }) | undefined;
    return { end, merged, bySite: of('site-statistics') as unknown as (Told & { site: string })[] };
  }

  /** Every voxel of these sites, and where it is labelled, read here. */
  async function pooled(...sites: readonly string[]) {
    const [all, labelled, volumes]: [number[], number[], number[]] = [[], [], []];
    for (const site of sites) {
      for (const name of (await readdir(path.join(data(site), 'imagesTr'))).sort()) {
        const image = await readNifti(path.join(data(site), 'imagesTr', name));
        const label = await readNifti(path.join(data(site), 'labelsTr', name));
        image.data.forEach((value, index) => {
          all.push(value);
          if (label.data[index]! > 0) labelled.push(value);
        });
        const { affine } = image.geometry;
        const column = (c: number) => Math.hypot(affine[c]!, affine[4 + c]!, affine[8 + c]!);
        volumes.push((label.data.filter((v) => v === 1).length * column(0) * column(1) * column(2)) / 1000);
      }
    }
    return { all, labelled, volumes };
  }

  function assertSame(
    { name, count, mean, variance, weights }: Variable,
    values: readonly number[],
    low: number,
    high: number,
  ) {
    const average = values.reduce((sum, value) => sum + value, 0) / values.length;
    const spread = values.reduce((sum, value) => sum + (value - average) ** 2, 0) / values.length;
    assert.equal(count, values.length, name);
    assert.ok(Math.abs(mean - average) <= 1e-9 * Math.max(1, Math.abs(average)), `${name}: mean ${mean}, ${average}`);
    assert.ok(Math.abs(variance - spread) <= 1e-9 * Math.max(1, spread), `${name}: variance ${variance}, ${spread}`);
    const expected = Array<number>(BINS + 2).fill(0);
    const width = (high - low) / BINS;
    for (const value of values)
      expected[value < low ? 0 : value >= high ? BINS + 1 : 1 + Math.floor((value - low) / width)]!++;
    assert.deepEqual(weights, expected, name);
  }

  it('are those of all images in one place, and of each site, when the sites tell exactly', async () => {
    await withPolicies({ a: EXACT, b: EXACT });
    const { end, merged, bySite } = await ask();
    assert.equal(end.code, 0, end.stderr);
    const { all, labelled, volumes } = await pooled('a', 'b');
    const variable = (told: Told, name: string) => told.variables.find((other) => other.name === name)!;
    assertSame(variable(merged!, 'intensity'), all, LOW, HIGH);
    assertSame(variable(merged!, 'intensity-labelled'), labelled, LOW, HIGH);
    assertSame(variable(merged!, 'volume-1'), volumes, 0, 4096);
    assert.equal(variable(merged!, 'size-z').mean, 10);
    assert.equal(variable(merged!, 'intensity').minimum, Math.min(...all));
    assert.deepEqual(merged!.sites, [
      { site: 'a', cases: 2 },
      { site: 'b', cases: 3 },
    ]);
    assert.deepEqual(
      bySite.map(({ site }) => site),
      ['a', 'b'],
    );
    assertSame(variable(bySite[1]!, 'intensity'), (await pooled('b')).all, LOW, HIGH);

    const run = merged!.run;
    const kinds = (await federation.journal(run)).map(({ type }) => type);
    assert.deepEqual(kinds.slice(-4), ['statistics-reported', 'statistics-reported', 'stage-closed', 'run-completed']);
    const report = path.join(federation.folder, 'statistics.html');
    const again = await federation.verb('statistics', '--run', run, '-o', report);
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stdout, /^intensity +HU +\d+ /m);
    const page = await readFile(report, 'utf8');
    assert.match(page, /<h2 id="all">All sites together<\/h2>[\s\S]*<svg [\s\S]*<h2 id="site-1">b<\/h2>/);
    assert.ok(!/<script|https?:\/\//.test(page));
  });

  it("are what each site's own policy lets go: nothing, too few, noise", async () => {
    await withPolicies({ a: { allow: false }, b: { ...EXACT, minimumCount: 4 } });
    const few = await ask();
    assert.equal(few.end.code, 0, few.end.stderr);
    assert.deepEqual(few.merged!.variables, []);
    assert.equal(few.merged!.sites.length, 1);
    assert.match(few.merged!.sites[0]!.suppressed!, /fewer than 4 cases/);
    const view = await federation.operate((client) => client.showRun({ run: few.merged!.run }));
    assert.match(
      view.sites.find(({ site }) => site === 'a')!.reason,
      /a tells no statistics \(statistics\.allow is false\)/,
    );

    await withPolicies({ a: { ...EXACT, maximumBins: 8 }, b: { ...EXACT, minimumCount: 3, noiseEpsilon: 50 } });
    const noisy = await ask();
    assert.equal(noisy.end.code, 0, noisy.end.stderr);
    assert.deepEqual(noisy.merged!.sites, [{ site: 'b', epsilon: 50 }]);
    const told = JSON.stringify(await federation.journal(noisy.merged!.run));
    assert.ok(!told.includes('"exact"') && !told.includes('"cases"'), 'nothing exact has left the site');
    const count = noisy.merged!.variables.find(({ name }) => name === 'intensity')!.count;
    assert.ok(count > 0.5 && count < 8, `${count} is near the 3 cases, but for noise`);

    const none = await ask('a');
    assert.equal(none.end.code, 64);
    assert.match(none.end.stderr, /a tells 8 at most \(statistics\.maximumBins\)/);
    const unknown = await federation.verb('statistics', '--run', 'no-such-run');
    assert.equal(unknown.code, 66);
  });
});
