import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { FAULT_POINT_VARIABLE } from '../../fl-coordinator/fault-points';
import { fault } from '../support/faults';
import { Federation } from '../support/federation';
import { shiftModel } from '../support/shift-model';

const SITES = ['a', 'b'];
/** Two blocks of the aggregation of weights and of controls; two chunks of an update, which carries both. */
const ELEMENTS = 140_000;
const ROUNDS = 4;
const PLAN = {
  strategy: 'scaffold',
  rounds: ROUNDS,
  trainer: { name: 'shift', parameters: { elements: ELEMENTS } },
} as const;

/**
 * One death a life. In each round the controls of all sites are made first and the model after them, so that passages of the
 * aggregation count twice a round: the first one of a life is in the controls, the second in the model.
 */
const DEATHS = [
  { point: 'upload.after-complete:1', where: 'an update with its control is durable, and nobody knows' },
  { point: 'aggregate.after-block:1', where: 'in the controls of all sites' },
  { point: 'aggregate.after-finish:1', where: 'between the controls of all sites and the model' },
  { point: 'aggregate.after-block:3', where: 'in the model, after its controls' },
  { point: 'aggregate.after-finish:2', where: 'between model and controls and their event' },
] as const;

interface Published {
  readonly type: string;
  readonly round?: number;
  readonly digest?: string;
  readonly controls?: { readonly digest: string };
}

describe('a run with control variates whose coordinator is killed with -9', function () {
  this.timeout(120_000);
  let federation: Federation;
  let run: string;

  const stopSites = () => Promise.all(SITES.map((site) => federation.stopSite(site)));
  const launchSites = () => {
    for (const site of SITES) federation.launchSite(site);
  };

  /** Digests of every model with its controls, of every round. */
  const publishedBy = async (id: string) => {
    const events = (await federation.journal(id)) as readonly Published[];
    return events.flatMap(({ type, round, digest, controls }) =>
      type === 'model-published' ? [{ round, digest, controls: controls?.digest }] : [],
    );
  };

  before(async () => {
    federation = await Federation.start(SITES);
    run = await federation.submit(PLAN);
    await Promise.all([stopSites(), federation.coordinator.stop()]);
  });
  after(() => federation?.stop());

  const rows = DEATHS.map(({ point, where }) => {
    const row = fault({
      area: 'The coordinator is killed or paused',
      fault: `kill -9 in a SCAFFOLD run, ${where}`,
      where: `\`${point.split(':')[0]}\``,
      ends: 'the next start goes on; model and controls have the bytes of an undisturbed run',
    });
    row.it(`dies at ${point}: ${where}`, async () => {
      const coordinator = federation.launchCoordinator({ [FAULT_POINT_VARIABLE]: point });
      await coordinator.record(({ event }) => event === 'ready', 'it is ready').catch(() => coordinator.ended);
      launchSites();
      const survived = coordinator.record(({ state }) => state === 'completed', 'the end of the run');
      survived.catch(() => undefined);
      await Promise.race([coordinator.ended, survived]);
      assert.ok(coordinator.isOver, 'the run is over and the point was not passed: give the run more rounds');
      assert.equal((await coordinator.ended).signal, 'SIGKILL');
      await stopSites();
    });
    return row;
  });

  rows[0]!
    .and(...rows.slice(1))
    .it('ends with the bytes of an undisturbed run, and of the arithmetic of its definition', async () => {
      await federation.startCoordinator();
      launchSites();
      const { summary } = await federation.outcomeOf(run);
      assert.equal(summary!.state, 'completed', summary!.reason);
      const rounds = Array.from({ length: ROUNDS }, () => SITES);
      const defined = shiftModel({ strategy: 'scaffold', elements: ELEMENTS, rounds });
      const store = path.join(federation.folder, 'coordinator', 'store');
      const model = await readFile(path.join(store, 'runs', run, 'rounds', '0004', 'model.safetensors'));
      assert.ok(model.equals(defined.bytes), 'the model is not what SCAFFOLD defines');

      const undisturbed = await federation.submit(PLAN);
      assert.equal((await federation.outcomeOf(undisturbed)).summary!.modelDigest, defined.digest);
      assert.deepEqual(await publishedBy(run), await publishedBy(undisturbed));
    });
});
