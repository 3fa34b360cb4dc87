import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { inspect } from 'node:util';
import { Datastore } from '../../aiaa/monai-label/datastore';
import { endingAt } from './support/ending-at';
import { Site } from './support/server';

describe('AIAA datastore', () => {
  let site: Site;
  let now = 1000;
  beforeEach(async () => {
    site = await Site.make();
    now = 1000;
  });
  afterEach(() => site.clear());

  const open = (limits: { readonly maxImages?: number; readonly maxBytes?: number } = {}) =>
    new Datastore(site.workspace, { maxImages: 10, maxBytes: 1000, ...limits, now: () => now });
  async function given(content = 'voxels') {
    const file = path.join(site.workspace, 'given');
    await writeFile(file, content);
    return { file, extension: '.nii' } as const;
  }

  it('is the same for every server, survives a restart, and names no patient in its folders', async () => {
    await open().putImage('Doe^John/../../etc', await given());
    await open().putLabel('Doe^John/../../etc', 'final', await given('mask'));
    const [{ image, labels }] = await open().list();
    assert.equal(image.id, 'Doe^John/../../etc');
    assert.deepEqual([...labels.keys()], ['final']);
    assert.ok((await site.everything()).every((file) => !file.includes('Doe')));
  });

  it('replaces an image with its labels, and a label by itself', async () => {
    const store = open();
    await store.putImage('a', await given('old'));
    await store.putLabel('a', 'final', await given('first'));
    await store.putLabel('a', 'final', await given('second'));
    assert.equal((await store.findLabel('a', 'final')).bytes, 6);
    assert.equal((await site.everything()).length, 4);
    await store.putImage('a', await given('newer'));
    assert.equal((await store.find('a')).image.bytes, 5);
    assert.equal((await store.find('a')).labels.size, 0);
    assert.equal((await site.everything()).length, 2);
  });

  it('says no word of a damaged card, and lets its image be removed or replaced', async () => {
    const store = open();
    for (const mend of [
      () => store.removeImage('a'),
      async () => void (await store.putImage('a', await given('newer'))),
    ]) {
      await store.putImage('a', await given());
      await damage('image.json');
      await assert.rejects(store.find('a'), (error: Error) => {
        assert.match(error.message, /An entry of the datastore is damaged; remove its image/);
        return !/DOE/.test(inspect(error, { depth: 9 }));
      });
      assert.deepEqual(await store.list(), []);
      await mend();
      assert.equal(store.damaged, 1, 'of when it was looked last');
      await store.list();
      assert.deepEqual(store.damaged, 0);
      await store.removeImage('a').catch(() => {});
    }
  });

  it('leaves out a damaged label alone, tells of it once, and lets it be sent again or removed', async () => {
    const told: string[] = [];
    const store = new Datastore(site.workspace, {
      maxImages: 10,
      maxBytes: 1000,
      onDamaged: ({ message }, what) => told.push(`${what}: ${message}`),
    });
    await store.putImage('a', await given());
    await store.putLabel('a', 'original', await given('by a model'));
    for (const mend of [
      async () => void (await store.putLabel('a', 'final', await given('again'))),
      () => store.removeLabel('a', 'final'),
      () => store.removeTag('final'),
      async () => void (await store.putImage('a', await given('another'))),
    ]) {
      await store.putLabel('a', 'final', await given('by a person'));
      await damage('label.final.json');
      for (let times = 0; times < 3; times += 1) {
        const [stored] = await store.list();
        assert.deepEqual([[...stored.labels.keys()], stored.damaged], [['original'], ['final']]);
      }
      await store.sweep();
      assert.deepEqual(told.splice(0), ['label: A label of the datastore is damaged; send it again, or delete it.']);
      assert.equal(store.damaged, 1);
      await assert.rejects(store.findLabel('a', 'final'), (error: Error) => {
        assert.match(error.message, /A label of the datastore is damaged; send it again/);
        return !/DOE/.test(inspect(error, { depth: 9 }));
      });
      await mend();
      const [mended] = await store.list();
      assert.deepEqual([mended.damaged, store.damaged], [[], 0]);
    }
    assert.equal((await site.everything()).filter((file) => /label/.test(path.basename(file))).length, 0);
  });

  /** Overwrites what is known of an image or label. */
  async function damage(card: string): Promise<void> {
    const files = (await site.everything()).filter((file) => file.endsWith(card));
    assert.equal(files.length, 1, files.join());
    await writeFile(files[0], 'JOHN_DOE 1970');
  }

  /** What is there, as another server finds it. */
  async function found(): Promise<{ image: string; labels: string[] }> {
    const store = open();
    const [{ image, labels }, ...others] = await store.list();
    assert.equal(others.length, 0);
    for (const label of labels.values()) assert.equal(await readFile(store.pathOf(label), 'utf8'), 'mask');
    return { image: await readFile(store.pathOf(image), 'utf8'), labels: [...labels.keys()].sort() };
  }

  for (const [title, ending] of [
    ['its server is killed', 'killed'],
    ['the disk is full', 'failed'],
  ] as const) {
    it(`has the old image with its labels, or the new one without, wherever ${title} in a replacement`, async () => {
      const outcomes: string[] = [];
      for (let step = 0; outcomes.at(-1) !== 'done'; step += 1) {
        const store = open();
        await store.putImage('a', await given('old'));
        for (const tag of ['final', 'original']) await store.putLabel('a', tag, await given('mask'));
        const file = await given('newer');
        const came = await endingAt(step, ending, () => store.putImage('a', file));
        const { image, labels } = await found();
        const isNew = image === 'newer';
        assert.deepEqual(labels, isNew ? [] : ['final', 'original'], `step ${step}: ${image}`);
        assert.ok(isNew || image === 'old');
        outcomes.push(came ? 'done' : isNew ? 'new' : 'old');
        now = Date.now() / 1000 + 4000;
        await open().sweep();
        now = 1000;
        const kept = (await site.everything()).filter((name) => name.includes('datastore'));
        assert.equal(kept.length, isNew ? 2 : 6, `nothing else is left: ${kept}`);
        await store.removeImage('a');
        await rm(file.file, { force: true });
      }
      assert.ok(outcomes.includes('old') && outcomes.includes('new'), outcomes.join());
    });
  }

  it('keeps the labels of an image that is sent again as it was, and knows when one is of another content', async () => {
    const store = open();
    const { sha256 } = await store.putImage('a', await given('old'));
    await store.putLabel('a', 'final', await given('mask'), sha256);
    await store.putImage('a', await given('old'));
    assert.deepEqual(await found(), { image: 'old', labels: ['final'] });
    await store.putImage('a', await given('newer'));
    await assert.rejects(store.putLabel('a', 'final', await given('mask'), sha256), {
      code: 'precondition-failed',
      message: /Image "a" was replaced meanwhile/,
    });
    assert.deepEqual(await found(), { image: 'newer', labels: [] });
  });

  it('gives labels of earlier servers, which did not say of what, to the image that is there', async () => {
    const store = open();
    await store.putImage('a', await given('old'));
    await store.putLabel('a', 'final', await given('mask'));
    const card = (await site.everything()).find((file) => file.endsWith('label.final.json'))!;
    await rename(card, path.join(path.dirname(card), 'label.final.json'));
    await store.sweep();
    assert.deepEqual(await found(), { image: 'old', labels: ['final'] });
    await store.putImage('a', await given('newer'));
    assert.deepEqual(await found(), { image: 'newer', labels: [] });
  });

  it('keeps what each of some models thinks of a content, until the model or the content is gone', async () => {
    const store = open();
    const image = await store.putImage('a', await given('old'));
    const assessed = async () =>
      (await store.find('a')).assessments.map(({ model, uncertainty }) => `${model} ${uncertainty}`);
    for (const [model, uncertainty] of [
      ['m 1', 0.1],
      ['m 2', 0.2],
      ['m 1', 0.3],
    ] as const)
      await store.putAssessment(image, { model, uncertainty });
    assert.deepEqual(await assessed(), ['m 2 0.2', 'm 1 0.3']);
    await store.sweep((model) => model !== 'm 2');
    assert.deepEqual(await assessed(), ['m 1 0.3']);
    for (let n = 0; n < 20; n += 1) await store.putAssessment(image, { model: `many ${n}`, uncertainty: 0.5 });
    assert.equal((await assessed()).length, 16);
    assert.equal((await assessed()).at(-1), 'many 19 0.5');
    await store.putImage('a', await given('newer'));
    await store.putAssessment(image, { model: 'm 1', uncertainty: 0.3 });
    assert.deepEqual(await assessed(), []);
    assert.equal((await site.everything()).length, 2);
  });

  it('keeps both of two labels that come at the same time', async () => {
    const store = open();
    await store.putImage('a', await given());
    const files = ['one', 'two'].map((name) => path.join(site.workspace, name));
    for (const file of files) await writeFile(file, file);
    await Promise.all(files.map((file, at) => open().putLabel('a', `tag-${at}`, { file, extension: '.nii' })));
    assert.deepEqual([...(await store.find('a')).labels.keys()], ['tag-0', 'tag-1']);
  });

  it('is bounded in images and in bytes, and takes more when some have gone', async () => {
    const store = open({ maxImages: 2, maxBytes: 20 });
    for (const id of ['a', 'b']) await store.putImage(id, await given());
    await assert.rejects(store.putImage('c', await given()), { status: 507, message: /2 images with 12 B/ });
    await store.putImage('b', await given());
    await assert.rejects(store.putLabel('a', 'final', await given('x'.repeat(9))), { status: 507 });
    await store.removeImage('a');
    await store.putImage('c', await given());
  });

  it('sweeps what nothing names once its maker must have died, and nothing else', async () => {
    const store = open();
    await store.putImage('a', await given());
    const [folder] = await readdir(path.join(site.workspace, 'datastore'));
    const orphan = path.join(site.workspace, 'datastore', folder, 'image-00.nii');
    await writeFile(orphan, 'patient');
    await utimes(orphan, 900, 900);
    await mkdir(path.join(site.workspace, 'datastore', 'half'));
    const headless = path.join(site.workspace, 'datastore', 'half', 'label.final.json');
    await writeFile(headless, '{}');
    await utimes(headless, 900, 900);
    await store.sweep();
    assert.equal((await site.everything()).length, 4, 'they may be about to be named');
    now = 4600;
    await store.sweep();
    assert.equal((await site.everything()).length, 2);
    assert.equal((await store.list()).length, 1);
  });
});
