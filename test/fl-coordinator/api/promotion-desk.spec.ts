import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { create } from '@bufbuild/protobuf';
import {
  type CoordinatorMessage,
  SetModelStageRequestSchema,
} from '../../../federation/gen/federation/v1/federation_pb';
import { checkPlan } from '../../../federation/plan';
import { modelOperations } from '../../../fl-coordinator/api/model-operations';
import { PromotionDesk } from '../../../fl-coordinator/api/promotion-desk';
import { SiteConnection } from '../../../fl-coordinator/api/site-hub';
import { ModelRegistry } from '../../../fl-coordinator/registry/model-registry';
import { uploadedModelKey } from '../../../fl-coordinator/runs/object-names';
import { type DirectoryStore, openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { contextOf } from './support/site-line';

const SHA256 = 'ab'.repeat(32);
const OBJECT = uploadedModelKey(SHA256);

describe('what sites are told of promoted models', () => {
  let folder: string;
  let store: DirectoryStore;
  let registry: ModelRegistry;
  let desk: PromotionDesk;
  const present = new Map<string, SiteConnection>();

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-desk-'));
    store = await openDirectoryStore(folder);
    registry = await ModelRegistry.open(store);
    present.clear();
    desk = new PromotionDesk(registry, { get: (site) => present.get(site) });
    const plan = checkPlan({ name: 'spleen', rounds: 2, trainer: { name: 'reference' } });
    for (const run of ['run-1', 'run-2']) {
      await registry.register('spleen', (version, registeredAt) => ({
        ...{ model: 'spleen', version, digest: `sha256:${SHA256}`, bytes: 10, description: '', licence: '' },
        ...{ operator: 'ada', run, round: 2, plan, parents: [], initialDigest: `sha256:${SHA256}`, sites: [] },
        ...{ metrics: { sites: [], mean: {} }, registeredAt },
      }));
    }
  });
  afterEach(async () => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** @returns the versions that the site has been told of, as they come */
  const connects = (site: string): number[] => {
    const told: number[] = [];
    const write = ({ message }: CoordinatorMessage) => {
      if (message.case === 'modelAnnouncement') told.push(message.value.version);
    };
    const connection = new SiteConnection(site, '', { write, end: () => undefined }, 0);
    present.set(site, connection);
    desk.siteConnected(connection);
    return told;
  };

  it('is what they have neither taken nor refused, once a connection', async () => {
    const a = connects('a');
    await registry.promote('spleen', 1, ['a', 'b'], 'ada');
    desk.promoted(['a', 'b']);
    desk.promoted(['a', 'b']);
    assert.deepEqual([a, connects('b')], [[1], [1]]);
    assert.equal(desk.offered('a', OBJECT)?.key, OBJECT);
    assert.equal(desk.offered('c', OBJECT), undefined);
  });

  it('is not a version that was retired meanwhile, and its bytes are not given either', async () => {
    await registry.promote('spleen', 1, ['a', 'b'], 'ada');
    assert.deepEqual(connects('a'), [1]);
    await registry.setStage('spleen', 1, 'retired', 'ada');
    assert.deepEqual([connects('a'), connects('b')], [[], []]);
    assert.equal(desk.offered('a', OBJECT), undefined);
    await registry.promote('spleen', 2, ['a'], 'ada');
    assert.deepEqual(connects('a'), [2]);
  });

  it('is that version again as soon as it has another stage', async () => {
    const runs = { has: () => false, get: (run: string) => assert.fail(run) };
    const onPromoted = (sites: readonly string[]) => desk.promoted(sites);
    const { setModelStage } = modelOperations({ runs, store, registry, enrolledSites: () => ['a'], onPromoted });
    const setStage = (stage: string) =>
      setModelStage(create(SetModelStageRequestSchema, { model: 'spleen', version: 1, stage }), {
        ...contextOf('a'),
        caller: { kind: 'operator', federation: 'test', name: 'ada' },
      });
    await registry.promote('spleen', 1, ['a'], 'ada');
    await setStage('retired');
    const a = connects('a');
    assert.deepEqual(a, []);
    await setStage('released');
    assert.deepEqual(a, [1]);
  });
});
