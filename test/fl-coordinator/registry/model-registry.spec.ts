import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { checkPlan } from '../../../federation/plan';
import { type RegisteredCard, registeredCardSchema } from '../../../federation/registered-model';
import { cardKey, ModelRegistry } from '../../../fl-coordinator/registry/model-registry';
import {
  EMPTY_REGISTRY,
  openPromotions,
  reduceRegistry,
  registryEventSchema,
} from '../../../fl-coordinator/registry/registry-state';
import { type DirectoryStore, openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { type ObjectStore, readAll } from '../../../fl-coordinator/storage/object-store';
import { rejectsWith } from '../api/support/rejects';

const DIGEST = `sha256:${'ab'.repeat(32)}`;
const plan = checkPlan({ name: 'spleen', rounds: 2, trainer: { name: 'reference' } });

describe('the registry of models', () => {
  let folder: string;
  let store: DirectoryStore;
  let registry: ModelRegistry;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-registry-'));
    store = await openDirectoryStore(folder);
    registry = await ModelRegistry.open(store);
  });
  afterEach(async () => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  const card =
    (run: string, more: Partial<RegisteredCard> = {}) =>
    (version: number, registeredAt: string): RegisteredCard => ({
      ...{ model: 'spleen', version, digest: DIGEST, bytes: 10, description: '', licence: '', registeredAt },
      ...{ operator: 'ada', run, round: 2, plan, parents: [], initialDigest: DIGEST, sites: [] },
      metrics: { sites: [], mean: {} },
      ...more,
    });
  const register = (run: string) => registry.register('spleen', card(run));
  const stateOf = (site: string) => registry.state.sites.get('spleen')?.get(site);
  const tell = (site: string, state: 'waiting' | 'downloaded' | 'serving' | 'refused', serving = '', reason = '') =>
    registry.told({ promotion: stateOf(site)!.promotion.id, site, state, serving, reason });

  it('counts versions from 1, one for each model of a run, and keeps each card as an object', async () => {
    assert.equal((await register('run-1')).card.version, 1);
    assert.equal((await register('run-2')).card.version, 2);
    assert.equal((await register('run-1')).card.version, 1);
    await rejectsWith(
      'already-exists',
      registry.register('spleen', card('run-1', { description: 'another' })),
      'a version never changes',
    );
    const bytes = await readAll(store, cardKey('spleen', 2), 1 << 20);
    assert.equal(registeredCardSchema.parse(JSON.parse(bytes.toString())).run, 'run-2');
    assert.equal(registry.get('spleen').card.version, 2);
    assert.throws(() => registry.get('spleen', 3), { code: 'not-found' });
    assert.throws(() => registry.get('liver'), { code: 'not-found' });
  });

  it('gives registrations at one time numbers of their own', async () => {
    const all = await Promise.all(['run-1', 'run-2', 'run-3'].map(register));
    assert.deepEqual(all.map(({ card: { version } }) => version).sort(), [1, 2, 3]);
  });

  it('is the same after a replay', async () => {
    await register('run-1');
    await registry.setStage('spleen', 1, 'released', 'ada');
    await registry.promote('spleen', 1, ['a', 'b'], 'ada');
    await tell('a', 'serving', '1');
    const again = await ModelRegistry.open(store);
    assert.deepEqual(again.state, registry.state);
    assert.equal(again.get('spleen', 1).stage, 'released');
  });

  it('writes a card that a crash has left unwritten', async () => {
    let isDead = false;
    const dying: ObjectStore = Object.assign(Object.create(store), {
      putIfAbsent: (key: string, bytes: Uint8Array) => {
        if (isDead || key.endsWith('card.json')) {
          isDead = true;
          return Promise.reject(new Error('killed'));
        }
        return store.putIfAbsent(key, bytes);
      },
    });
    const doomed = await ModelRegistry.open(dying);
    await assert.rejects(doomed.register('spleen', card('run-1')), /killed/);
    await rejectsWith('not-found', store.head(cardKey('spleen', 1)), 'card.json');
    const next = await ModelRegistry.open(store);
    assert.equal(next.get('spleen').card.run, 'run-1');
    await next.settle();
    await store.head(cardKey('spleen', 1));
  });

  it('closes its journal to an earlier leader', async () => {
    await register('run-1');
    await ModelRegistry.open(store, undefined, { epoch: 2, fencedBy: 'other:8443' });
    await rejectsWith('precondition-failed', register('run-2'), 'another coordinator');
    assert.equal((await ModelRegistry.open(store)).get('spleen').card.version, 1);
  });

  it('lets a site go forward only, and forgets what was said of an earlier promotion', async () => {
    await register('run-1');
    await register('run-2');
    await registry.promote('spleen', 1, ['a'], 'ada');
    assert.equal(await tell('a', 'downloaded'), true);
    assert.equal(await tell('a', 'waiting'), false);
    assert.equal(await tell('a', 'downloaded'), false);
    assert.equal(openPromotions(registry.state, 'a').length, 1);
    const first = stateOf('a')!.promotion.id;
    assert.equal(await tell('a', 'serving', '1'), true);
    assert.equal(await tell('a', 'refused', '', 'too late'), false);
    assert.equal(openPromotions(registry.state, 'a').length, 0);
    await registry.promote('spleen', 2, ['a'], 'ada');
    const late = { promotion: first, site: 'a', state: 'refused', serving: '', reason: 'of the first' } as const;
    assert.equal(await registry.told(late), false);
    assert.equal(await registry.told({ ...late, promotion: 99 }), false);
    assert.equal(await registry.told({ ...late, site: 'b', promotion: stateOf('a')!.promotion.id }), false);
    assert.deepEqual([stateOf('a')!.state, stateOf('a')!.serving], ['announced', '1'], 'it serves the first one still');
  });

  it('promotes again only where the model was not taken', async () => {
    await register('run-1');
    assert.equal(await registry.promote('spleen', 1, ['a', 'b'], 'ada'), true);
    assert.equal(await registry.promote('spleen', 1, ['a', 'b'], 'ada'), false);
    await tell('a', 'refused', '', 'not here');
    assert.equal(await registry.promote('spleen', 1, ['b'], 'ada'), false);
    assert.equal(await registry.promote('spleen', 1, ['a', 'b'], 'ada'), true);
    assert.equal(stateOf('a')!.state, 'announced');
    await registry.setStage('spleen', 1, 'retired', 'ada');
    await rejectsWith('precondition-failed', registry.promote('spleen', 1, ['a'], 'ada'), 'is retired');
  });

  it('leaves sites alone that have the version when it is promoted to more, and takes all of them back', async () => {
    await register('run-1');
    await register('run-2');
    await registry.promote('spleen', 1, ['a', 'b', 'c'], 'ada');
    for (const site of ['a', 'b', 'c']) await tell(site, 'serving', '1');
    await registry.promote('spleen', 2, ['a', 'b', 'c'], 'ada');
    await tell('a', 'serving', '2');
    await tell('b', 'waiting');
    await tell('c', 'refused', '', 'not here');
    const before = [stateOf('a'), stateOf('b')];
    assert.equal(await registry.promote('spleen', 2, ['a', 'b', 'c', 'd'], 'ada'), true);
    assert.deepEqual([stateOf('a'), stateOf('b')], before);
    assert.deepEqual([stateOf('c')!.state, stateOf('d')!.state], ['announced', 'announced']);
    assert.deepEqual(openPromotions(registry.state, 'a'), []);
    assert.equal(await tell('b', 'serving', '2'), true, 'it still answers the promotion that it was told of');
    assert.deepEqual((await ModelRegistry.open(store)).state, registry.state);
    assert.deepEqual((await registry.rollBack('spleen', 'ada')).sites, ['a', 'b', 'c', 'd']);
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map((site) => stateOf(site)!.state),
      Array(4).fill('announced'),
    );
  });

  it('replays a promotion of an older release, which asks all its sites', () => {
    const old = { v: 1, seq: 1, at: '2026-01-01T00:00:00Z', type: 'model-promoted', model: 'spleen', version: 1 };
    const event = registryEventSchema.parse({ ...old, sites: ['a', 'b'], rollback: false, operator: 'ada' });
    const sites = reduceRegistry(EMPTY_REGISTRY, event).sites.get('spleen')!;
    assert.deepEqual([...sites.keys()], ['a', 'b']);
  });

  it('promotes no model whose normalisation statistics stayed at the sites', async () => {
    const local = { ...plan, normalisationStatistics: 'keep-local' } as const;
    await registry.register('spleen', card('run-1', { plan: local }));
    const { seq } = registry.state;
    await rejectsWith('precondition-failed', registry.promote('spleen', 1, ['a'], 'ada'), 'keep-local');
    await rejectsWith('precondition-failed', registry.promote('spleen', 1, ['a'], 'ada'), '"average" or "first"');
    assert.equal(registry.state.seq, seq);
    await registry.register('spleen', card('run-2', { plan: { ...plan, normalisationStatistics: 'first' } }));
    assert.equal(await registry.promote('spleen', 2, ['a'], 'ada'), true);
  });

  it('goes back once, to the version before, at the sites that were promoted last', async () => {
    for (const run of ['run-1', 'run-2', 'run-3']) await register(run);
    await rejectsWith('precondition-failed', registry.rollBack('spleen', 'ada'), 'never been promoted');
    await registry.promote('spleen', 1, ['a', 'b'], 'ada');
    await rejectsWith('precondition-failed', registry.rollBack('spleen', 'ada'), 'in one version only');
    await registry.promote('spleen', 3, ['a'], 'ada');
    const back = await registry.rollBack('spleen', 'ada');
    assert.deepEqual([back.version, back.sites, back.rollback], [1, ['a'], true]);
    const { seq } = registry.state;
    assert.deepEqual(await registry.rollBack('spleen', 'ada'), back);
    assert.equal(registry.state.seq, seq);
    await registry.promote('spleen', 2, ['a'], 'ada');
    await registry.setStage('spleen', 1, 'retired', 'ada');
    await rejectsWith('precondition-failed', registry.rollBack('spleen', 'ada'), 'is retired');
    await registry.setStage('spleen', 1, 'released', 'ada');
    assert.equal((await registry.rollBack('spleen', 'ada')).version, 1);
  });
});
