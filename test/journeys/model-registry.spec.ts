import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { readTensors } from '../../federation/tensors/file';
import { writePhantomDataset } from '../../imaging/phantom-dataset';
import { Federation, type SiteOptions } from '../support/federation';
import { Program } from '../support/program';
import { until } from '../support/until';

const TINY = { channels: [8, 8], patch: [8, 8, 8], spacing: [20, 20, 20], stepsPerRound: 3 };
/** Everything but the last convolution: what a network learned about images stays. */
const BACKBONE = ['^encoder\\.', '^decoder\\.'];

interface SiteRow {
  readonly site: string;
  readonly version: number;
  readonly state: string;
  readonly serving: string;
  readonly reason: string;
}

interface LineageRow {
  readonly kind: string;
  readonly model: string;
  readonly version: number;
  readonly run: string;
  readonly digest: string;
}

interface ModelRecord {
  readonly model: string;
  readonly version: number;
  readonly stage: string;
  readonly digest: string;
  readonly lineage: readonly LineageRow[];
  readonly sites: readonly SiteRow[];
  readonly card: { readonly sites: readonly object[]; readonly metrics: { readonly mean: Record<string, number> } };
}

describe('models from a run to the annotation servers and into the next run', function () {
  // Sites wait up to 20 s before they dial again.
  this.timeout(180_000);

  let federation: Federation;
  let server: Program;
  let url: string;
  const runs: string[] = [];

  before(async () => {
    federation = await Federation.start([]);
    const options: Record<string, SiteOptions> = {
      a: { policy: { promotions: 'automatic' }, annotation: { workspace: './aiaa' } },
      b: { annotation: { workspace: './aiaa', model: 'clara_ct_seg_spleen' } },
      c: {},
    };
    await Promise.all(
      Object.entries(options).map(async ([site, more], index) => {
        const dataset = path.join(federation.folder, `data-${site}`);
        await writePhantomDataset(dataset, { cases: 2, heldOut: 1, seed: index + 1, shape: [16, 16, 12] });
        await federation.addSite(site, { ...more, dataset });
        await federation.startSite(site);
      }),
    );
    server = new Program(['aiaa', 'start', '--workspace', annotationOf('a'), '--port', '0', '--json']);
    url = String((await server.record(({ event }) => event === 'ready', 'the annotation server is ready')).url);
  });
  after(async () => {
    await server?.stop();
    await federation?.stop();
  });

  const annotationOf = (site: string) => path.join(federation.siteFolder(site), 'aiaa');

  /** Runs a verb that must succeed, and gives its records. */
  const told = async (...args: string[]): Promise<ModelRecord[]> => {
    const { code, stdout, stderr } = await federation.verb(...args, '--json');
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    return stdout
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  };
  const shown = async (address: string): Promise<ModelRecord> => (await told('model', 'show', address))[0]!;
  const siteRow = async (site: string): Promise<SiteRow | undefined> =>
    (await shown('clara_ct_seg_spleen')).sites.find((row) => row.site === site);
  const untilSite = (site: string, state: string, version: number) =>
    until(async () => {
      const row = await siteRow(site);
      return row?.state === state && row.version === version;
    }, `${site} is ${state} with version ${version}`);
  const served = async (): Promise<{ name: string; version: string }[]> =>
    (await (await fetch(new URL('v1/models', url))).json()) as { name: string; version: string }[];
  const versionServed = async () => (await served()).find(({ name }) => name === 'clara_ct_seg_spleen')?.version;
  const completed = async (plan: object): Promise<string> => {
    const run = await federation.submit({
      trainer: { name: 'reference', parameters: TINY },
      rounds: 1,
      evaluation: { everyRound: true },
      ...plan,
    });
    const { summary } = await federation.outcomeOf(run);
    assert.equal(summary!.state, 'completed', summary!.reason);
    return run;
  };
  const fetched = async (address: string): Promise<string> => {
    const file = path.join(federation.folder, `${address.replace(':', '-')}.safetensors`);
    const { code, stderr } = await federation.verb('model', 'fetch', address, '-o', file);
    assert.equal(code, 0, stderr);
    return file;
  };

  it('registers a model with where it comes from, once however often it is asked', async () => {
    const run = await completed({});
    runs.push(run);
    const asked = ['model', 'register', run, '--name', 'clara_ct_seg_spleen', '--description', 'spleen on CT'];
    const [first] = await told(...asked);
    const [again] = await told(...asked);
    assert.deepEqual([first!.version, again!.version], [1, 1]);
    assert.equal(first!.stage, 'candidate');
    assert.equal(first!.card.sites.length, 3);
    assert.ok(first!.card.metrics.mean.dice! >= 0);
    const bad = await federation.verb('model', 'register', run, '--name', 'Not A Name');
    assert.equal(bad.code, 64);
    assert.match(bad.stderr, /name \("Not A Name"\): must be 1-63 characters/);
    const fromRun = path.join(federation.folder, 'of-run');
    assert.equal((await federation.verb('model', 'fetch', run, '-o', fromRun)).code, 0);
    assert.deepEqual(await readFile(await fetched('clara_ct_seg_spleen:1')), await readFile(fromRun));
    const [released] = await told('model', 'stage', 'clara_ct_seg_spleen:1', 'released');
    assert.equal(released!.stage, 'released');
    assert.match((await federation.verb('model', 'list')).stdout, /^clara_ct_seg_spleen:1 +released +journey-/m);
    const card = path.join(federation.folder, 'coordinator/store/models/clara_ct_seg_spleen/1/card.json');
    assert.equal(JSON.parse(await readFile(card, 'utf8')).digest, first!.digest);
  });

  it('promotes it as each site allows: at once, by a person when the site is back, or not at all', async () => {
    await federation.stopSite('b');
    await told('model', 'promote', 'clara_ct_seg_spleen:1');
    await untilSite('a', 'serving', 1);
    assert.equal(await versionServed(), '1');
    await untilSite('c', 'refused', 1);
    assert.match((await siteRow('c'))!.reason, /c has no annotation server/);
    assert.equal((await siteRow('b'))!.state, 'announced');
    await federation.startSite('b');
    await untilSite('b', 'waiting', 1);
    const site = (...args: string[]) => federation.cli('site', ...args, '--config', federation.configurationOf('b'));
    assert.match((await site('proposals')).stdout, /^clara_ct_seg_spleen:1 +waiting +spleen on CT/m);
    assert.equal((await site('approve', 'clara_ct_seg_spleen:1')).code, 0);
    await untilSite('b', 'serving', 1);
    assert.match((await site('refuse', 'clara_ct_seg_spleen:1', '--reason', 'late')).stderr, /was approved before/);
  });

  it('starts the next run from it, with a frozen backbone whose bits nobody changes', async () => {
    const initialModel = { from: 'registry', model: 'clara_ct_seg_spleen', version: 1 };
    const run = await completed({ initialModel, frozenTensors: BACKBONE });
    runs.push(run);
    await told('model', 'register', run, '--name', 'clara_ct_seg_spleen', '--description', 'a new head');
    const [before, after] = [await fetched('clara_ct_seg_spleen:1'), await fetched('clara_ct_seg_spleen:2')];
    const [old, fresh] = [(await readTensors(before)).tensors, (await readTensors(after)).tensors];
    const changed = [...old].filter(([name, { data }]) => {
      const other = fresh.get(name)!.data;
      return !Buffer.from(data.buffer, data.byteOffset, data.byteLength).equals(
        Buffer.from(other.buffer, other.byteOffset, other.byteLength),
      );
    });
    assert.deepEqual(changed.map(([name]) => name).sort(), ['head.bias', 'head.weight']);
    const view = await federation.seen(run, () => true);
    const size = (await readFile(after)).length;
    assert.ok(view.rounds[0]!.bytesFromSites < BigInt(size), 'three updates together are smaller than one model');
    const { lineage } = await shown('clara_ct_seg_spleen:2');
    assert.deepEqual(
      lineage.map(({ kind, version, run }) => [kind, version, run]),
      [
        ['registered', 2, runs[1]],
        ['run', 0, runs[1]],
        ['registered', 1, runs[0]],
        ['run', 0, runs[0]],
        ['trainer', 0, runs[0]],
      ],
    );
    assert.match((await federation.verb('model', 'show', 'clara_ct_seg_spleen')).stdout, /\^ run .* of a, b, c/);
  });

  it('survives a kill of the coordinator and of the agent, and goes back to the version before', async () => {
    const agent = federation.sites.get('a')!;
    agent.kill('SIGSTOP');
    await told('model', 'promote', 'clara_ct_seg_spleen:2', '--sites', 'a');
    federation.coordinator.kill('SIGKILL');
    await federation.coordinator.ended;
    agent.kill('SIGKILL');
    await agent.ended;
    await federation.startCoordinator();
    assert.deepEqual((await siteRow('b'))!.serving, '1');
    await federation.startSite('a');
    await untilSite('a', 'serving', 2);
    assert.equal(await versionServed(), '2');

    await told('model', 'rollback', 'clara_ct_seg_spleen');
    await untilSite('a', 'serving', 1);
    assert.equal(await versionServed(), '1');
    await told('model', 'rollback', 'clara_ct_seg_spleen');
    const row = await siteRow('a');
    assert.deepEqual([row!.version, row!.state], [1, 'serving']);
    const never = await federation.verb('model', 'rollback', 'no_such_model');
    assert.equal(never.code, 66, never.stderr);
    await federation.verifyStore();
  });
});
