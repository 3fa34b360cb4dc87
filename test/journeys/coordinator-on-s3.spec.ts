import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { FAULT_POINT_VARIABLE } from '../../fl-coordinator/fault-points';
import { readAll } from '../../fl-coordinator/storage/object-store';
import { openStore } from '../../fl-coordinator/storage/open-store';
import { parseS3Address } from '../../fl-coordinator/storage/store-address';
import { fault } from '../support/faults';
import { Federation } from '../support/federation';
import { S3Server } from '../support/s3-server';
import { shiftModel } from '../support/shift-model';
import { until } from '../support/until';

const SITES = ['a', 'b'];
/** Two blocks of the aggregation, two chunks of an upload. */
const ELEMENTS = 270_000;
const STORE = 's3://federation/spleen';

describe('a coordinator whose store is in S3', function () {
  this.timeout(300_000);

  let server: S3Server | undefined;
  let federation: Federation | undefined;

  before(async function () {
    server = await S3Server.start(this, 'versitygw');
    await server.bucket('federation');
    federation = await Federation.start(SITES, {}, ['--store', STORE, '--store-endpoint', server.endpoint]);
  });
  after(async () => {
    await federation?.stop();
    await server?.stop();
  });

  fault({
    area: 'The coordinator is killed or paused',
    fault: 'kill -9 in upload, aggregation and journal, with the store in S3',
    where:
      '`journal.before-append`, `journal.after-append`, `upload.before-complete`, `aggregate.before-finish`, `store.committed`',
    ends: 'the next start goes on; the bytes are those of any other store',
    needs: 'an S3 server (`npm run s3-servers`)',
  }).it('runs rounds through kill -9 in upload, aggregation and journal to the bytes of any other store', async () => {
    const { folder } = federation!;
    const plan = {
      strategy: 'fedavgm',
      rounds: 2,
      trainer: { name: 'shift', parameters: { elements: ELEMENTS } },
    } as const;
    await Promise.all([...SITES.map((site) => federation!.stopSite(site)), federation!.coordinator.stop()]);

    const deaths = [
      'journal.after-append:4',
      'upload.before-complete:2',
      'aggregate.before-finish:1',
      'store.committed:4',
    ];
    for (const point of deaths) {
      const doomed = federation!.launchCoordinator({ [FAULT_POINT_VARIABLE]: point });
      await doomed.record(({ event }) => event === 'ready', 'it is ready').catch(() => doomed.ended);
      for (const site of SITES) federation!.launchSite(site);
      await federation!.submit(plan, 'one-run-on-s3').catch(() => undefined);
      assert.equal((await doomed.ended).signal, 'SIGKILL', point);
      await Promise.all(SITES.map((site) => federation!.stopSite(site)));
    }

    await federation!.startCoordinator();
    for (const site of SITES) federation!.launchSite(site);
    const run = await federation!.submit(plan, 'one-run-on-s3');
    const { summary } = await federation!.outcomeOf(run);
    assert.equal(summary!.state, 'completed', summary!.reason);
    const model = shiftModel({ strategy: 'fedavgm', elements: ELEMENTS, rounds: [SITES, SITES] });
    assert.equal(summary!.modelDigest, model.digest);

    assert.ok(!existsSync(path.join(folder, 'coordinator', 'store')), 'nothing is in the workspace');
    const store = await openStore(parseS3Address(STORE, { endpoint: server!.endpoint }));
    const stored = await readAll(store, `runs/${run}/rounds/0002/model.safetensors`, 1 << 30);
    assert.ok(stored.equals(model.bytes));
    // Every update was combined into a model and deleted, whatever died when: the last ones behind the end of the run.
    const models = ['0000', '0001', '0002'].map((round) => `${round}/model.safetensors`);
    const kept = async (): Promise<string[]> => {
      const keys = [];
      for await (const { key } of store.list(`runs/${run}/rounds/`)) keys.push(key.replace(`runs/${run}/rounds/`, ''));
      return keys;
    };
    await until(async () => (await kept()).length <= models.length, 'no update is left');
    assert.deepEqual(await kept(), models);

    const verify = () =>
      federation!.cli('store', 'verify', '--store', STORE, '--store-endpoint', server!.endpoint, '--json');
    const whole = await verify();
    assert.equal(whole.code, 0, whole.stderr);
    const [{ objects, deleted, broken }] = whole.program.records as [Record<string, unknown>];
    assert.deepEqual({ objects, deleted, broken }, { objects: 3, deleted: 5, broken: 0 });
    await store.put(`runs/${run}/rounds/0001/model.safetensors`, 'something else');
    const damaged = await verify();
    assert.equal(damaged.code, 65);
    assert.equal(damaged.program.records[0]!.what, `runs/${run}/rounds/0001/model.safetensors`);
    await store.close();
  });

  fault({
    area: 'The coordinator is killed or paused',
    fault: 'kill -9 of the leader in a round, with a standby on the same bucket',
    where: 'the process of the leader',
    ends: 'the standby leads; the same bytes',
    needs: 'an S3 server (`npm run s3-servers`)',
  }).it('is led by a standby on the same bucket when the leader dies in a round', async () => {
    const gate = path.join(federation!.folder, 'gate');
    await mkdir(gate);
    await federation!.startStandby();
    for (const site of SITES) await federation!.stopSite(site);
    await federation!.configureSite('a');
    await federation!.configureSite('b', { trainer: { GATE: gate } });
    for (const site of SITES) await federation!.startSite(site);
    const run = await federation!.submit({ strategy: 'fedavg', rounds: 1 });
    await federation!.seen(run, ({ stage, sites }) => stage === 'train' && sites[0]!.state === 'done');
    federation!.coordinator.kill('SIGKILL');
    await federation!.standby!.record(({ event }) => event === 'leading', 'the standby leads');
    await writeFile(path.join(gate, 'open'), '');
    const { summary } = await federation!.outcomeOf(run);
    assert.equal(summary!.state, 'completed', summary!.reason);
    assert.equal(summary!.modelDigest, shiftModel({ strategy: 'fedavg', elements: 1000, rounds: [SITES] }).digest);
  });
});
