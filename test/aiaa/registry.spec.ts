import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { SourceOf } from '../../aiaa/inference/model-source';
import { inspectWith } from '../../aiaa/inference/probe';
import { listModels, openPublished } from '../../aiaa/registry/model-registry';
import { publishModel } from '../../aiaa/registry/publish-model';
import { engines } from './support/fake-engine';
import { Site, SPLEEN } from './support/server';

/** Without those that every server has. */
const listPublished = async (...of: Parameters<typeof listModels>) =>
  (await listModels(...of)).filter((entry) => 'publishedAt' in entry);

describe('model registry', () => {
  let site: Site;
  let home: string;
  beforeEach(async () => {
    site = await Site.make();
    home = path.join(site.workspace, 'models', SPLEEN);
  });
  afterEach(() => site.clear());

  it('is empty before the first model', async () => {
    assert.deepEqual(await listPublished(site.workspace), []);
    await assert.rejects(openPublished(site.workspace, SPLEEN), { code: 'not-found' });
  });

  it('keeps every version and points to the one published last', async () => {
    await site.publish('1', 'old weights');
    await site.publish('2', 'new weights');
    const { entry, file } = await openPublished(site.workspace, SPLEEN);
    assert.equal(entry.version, '2');
    assert.equal(await readFile(file, 'utf8'), 'new weights');
    assert.deepEqual((await readdir(home)).sort(), ['1', '2', 'current.json']);
    await site.publish('1', 'old weights');
    assert.equal((await openPublished(site.workspace, SPLEEN)).entry.version, '1', 'publishing again goes back to it');
    assert.equal((await listPublished(site.workspace)).length, 1);
  });

  it('changes nothing when the same is published again, also by two at once', async () => {
    const outcomes = await Promise.all([
      site.publish('1', 'w', 'a'),
      publish({ name: 'b' }),
      publish({ name: 'b' }),
      publish({ name: 'b' }),
    ]);
    assert.equal(outcomes.slice(1).filter(({ isNew }) => isNew).length, 1);
    const before = await openPublished(site.workspace, 'b');
    assert.equal((await publish({ name: 'b' })).isNew, false);
    assert.deepEqual(await openPublished(site.workspace, 'b'), before);
    assert.deepEqual((await readdir(path.join(site.workspace, 'models', 'b'))).sort(), ['1', 'current.json']);
  });

  it('never gives one version two contents', async () => {
    await site.publish('1', 'weights');
    await assert.rejects(site.publish('1', 'other weights'), {
      code: 'already-exists',
      message: /under a new version/,
    });
    assert.equal(await readFile((await openPublished(site.workspace, SPLEEN)).file, 'utf8'), 'weights');
  });

  it('refuses a model that does not work, a wrong digest and a missing file, and leaves nothing behind', async () => {
    await assert.rejects(site.publish('1', 'broken'), {
      code: 'corrupt',
      message: /not a working model.*weights are broken/,
    });
    await assert.rejects(publish({ sha256: `sha256:${'0'.repeat(64)}` }), { code: 'corrupt', message: /digest/ });
    await assert.rejects(publish({ file: path.join(site.workspace, 'absent') }), { code: 'not-found' });
    assert.deepEqual(await readdir(home), []);
    assert.deepEqual(await listPublished(site.workspace), []);
  });

  it('takes what the publisher does not say from the model, and a version from its content', async () => {
    const speaking = {
      reference: {
        load: async (source: SourceOf<'reference'>) => ({
          ...(await engines.reference.load(source)),
          description: { labels: ['spleen', 'liver'], description: 'Two organs' },
        }),
      },
    };
    const options = { inspect: inspectWith(speaking) };
    const first = await publishModel(site.workspace, { file: __filename, name: SPLEEN }, options);
    assert.deepEqual(first.entry.labels, ['spleen', 'liver']);
    assert.equal(first.entry.description, 'Two organs');
    assert.equal(first.entry.version, `sha256-${first.entry.sha256.slice(7, 19)}`);
    const again = await publishModel(site.workspace, { file: __filename, name: SPLEEN }, options);
    assert.equal(again.isNew, false);
    await assert.rejects(publish({ name: 'mute', labels: undefined }), { code: 'invalid-input', message: /labels/ });
  });

  it('tells every fault of a description at once', async () => {
    const bad = { name: '../up', version: '', labels: [] };
    await assert.rejects(publish(bad), (error: Error & { faults: { path: string }[] }) => {
      assert.deepEqual(error.faults.map(({ path: where }) => where).sort(), ['labels', 'name', 'version']);
      return true;
    });
  });

  it('removes what a killed publisher left, but not the work of another one', async () => {
    const old = path.join(home, '.publishing-1-old');
    const young = path.join(home, '.publishing-2-young');
    for (const folder of [old, young]) await mkdir(folder, { recursive: true });
    await utimes(old, 1, 1);
    await site.publish();
    assert.deepEqual((await readdir(home)).sort(), ['.publishing-2-young', '1', 'current.json']);
  });

  it('reads entries of models that were published before there was more than one engine', async () => {
    const { entry } = await site.publish();
    assert.equal(entry.engine, 'reference');
    const { engine: _left, ...old } = entry;
    await writeFile(path.join(home, '1', 'entry.json'), JSON.stringify(old));
    assert.deepEqual((await openPublished(site.workspace, SPLEEN)).entry, entry);
    assert.equal((await site.publish()).isNew, false);
  });

  it('says what is wrong with a damaged entry', async () => {
    await site.publish();
    await writeFile(path.join(home, '1', 'entry.json'), '{}');
    await assert.rejects(openPublished(site.workspace, SPLEEN), { code: 'corrupt', message: /entry.json is damaged/ });
    const broken: string[] = [];
    assert.deepEqual(await listPublished(site.workspace, { onBroken: (name) => broken.push(name) }), []);
    assert.deepEqual(broken, [SPLEEN]);
  });

  function publish(change: object) {
    const model = { file: __filename, name: SPLEEN, version: '1', labels: ['spleen'], description: '', ...change };
    return publishModel(site.workspace, model, { inspect: inspectWith(engines) });
  }
});
