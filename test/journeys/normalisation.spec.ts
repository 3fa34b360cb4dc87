import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { readTensors } from '../../federation/tensors/file';
import { folderName } from '../../fl-site/workspace';
import { Federation } from '../support/federation';
import { shiftModel } from '../support/shift-model';
import { until } from '../support/until';
import { HALF_CHANGES } from '../support/wire-by-hand';

const SITES = ['a', 'b'];
const ELEMENTS = 1000;
const MEAN = 'bn.running_mean';
/** What a site's trainer adds to the first running mean in a round (shift-trainer.cjs): its place has the remainder 1 by 3. */
const step = (site: string, round: number): number => 2 * ((SITES.indexOf(site) + 1) * 0.125 + round * 0.0625);

describe('statistics of batch normalisation, with real processes', function () {
  // A site waits up to 20 s before it dials again.
  this.timeout(120_000);

  let federation: Federation;

  beforeEach(async () => {
    federation = await Federation.start(SITES);
  });
  afterEach(() => federation?.stop());

  const submit = (plan: object) =>
    federation.submit({
      ...{ trainer: { name: 'shift', parameters: { elements: ELEMENTS, statistics: true } }, rounds: 3 },
      evaluation: { everyRound: true },
      ...plan,
    });
  const completed = async (run: string) => {
    const view = await federation.outcomeOf(run);
    assert.equal(view.summary!.state, 'completed', view.summary!.reason);
    return view;
  };
  const modelOf = async (run: string) => {
    const file = path.join(federation.folder, `${run}.safetensors`);
    assert.equal((await federation.verb('model', 'fetch', run, '-o', file)).code, 0);
    const { tensors } = await readTensors(file);
    return (name: string) => [...(tensors.get(name)!.data as Float32Array)];
  };
  const gateOf = (site: string) => path.join(federation.folder, `gate-${site}`);
  const isAtGate = (site: string) => existsSync(path.join(gateOf(site), 'reached'));
  const openGate = (site: string) => writeFile(path.join(gateOf(site), 'open'), '');

  /** From now on trainers wait at a gate, which is closed. */
  const gated = async () => {
    for (const site of SITES) {
      await mkdir(gateOf(site));
      await federation.stopSite(site);
      await federation.configureSite(site, { trainer: { GATE: gateOf(site) } });
      await federation.startSite(site);
    }
  };
  /** Kills the agent of b while it trains in round 2. @returns when its gate is open and its agent still down */
  const killedInRound2 = async (run: string) => {
    await until(() => SITES.every(isAtGate), 'everybody trains');
    await openGate('b');
    const isDone = async () =>
      ((await federation.journal(run)) as readonly { type: string; site?: string; stage?: { kind: string } }[]).some(
        ({ type, site, stage }) => type === 'update-accepted' && site === 'b' && stage?.kind === 'train',
      );
    await until(isDone, 'b has delivered round 1');
    // The round waits for a, so b is idle.
    for (const name of ['open', 'reached']) await rm(path.join(gateOf('b'), name));
    await openGate('a');
    await until(() => isAtGate('b'), 'b trains in round 2');
    const site = federation.sites.get('b')!;
    site.kill('SIGKILL');
    await site.ended;
    await openGate('b');
  };
  /** The first running mean that each site had when it judged the model of each round. */
  const meansOf = ({ rounds }: Awaited<ReturnType<typeof completed>>) =>
    rounds.map(({ evaluations }) => Object.fromEntries(evaluations.map(({ site, metrics }) => [site, metrics.mean])));

  for (const [how, wire, made] of [
    ['as it is', {}, undefined],
    ['encoded', { wire: { up: { encoding: 'float16', delta: true }, down: 'bfloat16' } }, HALF_CHANGES],
  ] as const) {
    it(`that are kept local (${how}) stay at each site and go on there, through a kill -9 of an agent`, async () => {
      await gated();
      const run = await submit({ normalisationStatistics: 'keep-local', ...wire });
      await killedInRound2(run);
      await federation.startSite('b');
      const view = await completed(run);
      const own = (site: string, rounds: number) =>
        Array.from({ length: rounds }, (_, i) => step(site, i + 1)).reduce((sum, value) => sum + value, 0);
      assert.deepEqual(
        meansOf(view),
        [1, 2, 3].map((round) => Object.fromEntries(SITES.map((site) => [site, own(site, round)]))),
      );
      const model = await modelOf(run);
      assert.deepEqual(model(MEAN), [0, 0], 'nothing of them has left the sites');
      const expected = shiftModel({
        ...{ strategy: 'fedavg', elements: ELEMENTS, rounds: [SITES, SITES, SITES], ...(made && { wire: made }) },
      });
      const weights = Buffer.from(Float32Array.from([...model('w'), ...model('bias')]).buffer);
      assert.deepEqual(weights, expected.bytes.subarray(-weights.length));
    });
  }

  it('are averaged, or those of the first site, when the plan says so', async () => {
    const average = [0, 1, 2].map((round) =>
      [1, 2, 3].slice(0, round + 1).reduce((sum, r) => sum + (step('a', r) + 2 * step('b', r)) / 3, 0),
    );
    const view = await completed(await submit({}));
    for (const [index, means] of meansOf(view).entries()) {
      for (const site of SITES) assert.ok(Math.abs(means[site]! - average[index]!) < 1e-6, `${site}: ${means[site]}`);
    }
    const run = await submit({ normalisationStatistics: 'first' });
    const first = [1, 2, 3].reduce((sum, round) => sum + step('a', round), 0);
    assert.deepEqual(meansOf(await completed(run)).at(-1), { a: first, b: first });
    assert.equal((await modelOf(run))(MEAN)[0], first);
  });

  it('that were damaged at a site are not gone on from: the site says which file, and what to do', async () => {
    await gated();
    const run = await submit({ normalisationStatistics: 'keep-local', evaluation: { everyRound: false } });
    await killedInRound2(run);
    const folder = path.join(federation.siteFolder('b'), 'workspace', 'runs', folderName(run), 'local');
    const [name, ...others] = await readdir(folder);
    assert.deepEqual([name, others], ['federated.safetensors', []]);
    const file = path.join(folder, name!);
    const bytes = await readFile(file);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(file, bytes);
    await federation.startSite('b');
    const { summary } = await federation.outcomeOf(run);
    assert.equal(summary!.state, 'failed');
    assert.match(summary!.reason, /does not hold the statistics that this site kept: .*remove it/);
  });
});
