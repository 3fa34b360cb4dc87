import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import type { ClaraError } from '../../base/errors';
import { divideCases, imagePath, labelPath, openDecathlon, writeSiteDataset } from '../../imaging/decathlon';
import type { DecathlonList } from '../../imaging/decathlon-list';
import { readNifti } from '../../imaging/nifti';
import { writePhantomDataset } from '../../imaging/phantom-dataset';
import { temporaryFolder } from './temporary-folder';

const SMALL = { shape: [8, 8, 6] } as const;

const LIST = {
  name: 'Spleen',
  modality: { '0': 'CT' },
  labels: { '0': 'background', '1': 'spleen' },
  numTraining: 2,
  training: [
    { image: './imagesTr/spleen_2.nii.gz', label: './labelsTr/spleen_2.nii.gz' },
    { image: './imagesTr/spleen_3.nii.gz', label: './labelsTr/spleen_3.nii.gz' },
    { image: './imagesTr/._spleen_2.nii.gz', label: './labelsTr/._spleen_2.nii.gz' },
  ],
  test: ['./imagesTs/spleen_1.nii.gz'],
};
const FILES = ['imagesTr/spleen_2', 'imagesTr/spleen_3', 'labelsTr/spleen_2', 'labelsTr/spleen_3', 'imagesTs/spleen_1'];

async function makeFolder(folder: string, list: unknown, files: readonly string[] = FILES): Promise<void> {
  for (const file of files) {
    const target = path.join(folder, `${file}.nii.gz`);
    await mkdir(path.dirname(target), { recursive: true });
    await writeFile(target, file);
  }
  await writeFile(path.join(folder, 'dataset.json'), typeof list === 'string' ? list : JSON.stringify(list));
}

function faultsOf(folder: string): Promise<string[]> {
  return openDecathlon(folder).then(
    () => [],
    (error: ClaraError) => error.faults.map((fault) => fault.path),
  );
}

describe('a Decathlon folder', () => {
  const folder = temporaryFolder();

  it('opens with its cases, without the files that macOS leaves', async () => {
    await makeFolder(folder(), LIST);
    const dataset = await openDecathlon(folder());
    assert.equal(dataset.name, 'Spleen');
    assert.deepEqual(dataset.labels, { '0': 'background', '1': 'spleen' });
    assert.deepEqual(
      dataset.training.map(({ id }) => id),
      ['spleen_2', 'spleen_3'],
    );
    assert.deepEqual(dataset.validation, []);
    assert.deepEqual(dataset.test, [{ id: 'spleen_1', image: 'imagesTs/spleen_1.nii.gz' }]);
    assert.equal(imagePath(dataset, dataset.training[0]), path.join(folder(), 'imagesTr/spleen_2.nii.gz'));
    assert.equal(labelPath(dataset, dataset.training[0]), path.join(folder(), 'labelsTr/spleen_2.nii.gz'));
  });

  it('opens with a validation list and with test images given as objects, as Clara writes them', async () => {
    const [first, second] = LIST.training;
    await makeFolder(folder(), { ...LIST, training: [first], validation: [second], test: [{ image: LIST.test[0] }] });
    const dataset = await openDecathlon(folder());
    assert.deepEqual(
      dataset.validation.map(({ id }) => id),
      ['spleen_3'],
    );
    assert.deepEqual(
      dataset.test.map(({ id }) => id),
      ['spleen_1'],
    );
  });

  it('is refused with all faults of its list', async () => {
    await makeFolder(folder(), { training: [{ image: 3, label: '' }], labels: { spleen: 1 } });
    const faults = await faultsOf(folder());
    for (const fault of ['name', 'training.0.image', 'training.0.label', 'labels.spleen']) {
      assert.ok(faults.includes(fault), `${fault} in ${faults}`);
    }
  });

  it('is refused for paths that lead out of it and cases named twice', async () => {
    const pair = (image: string, label = './labelsTr/spleen_2.nii.gz') => ({ image, label });
    const training = [
      pair('../other/a.nii.gz'),
      pair('/etc/passwd'),
      pair('imagesTr/../../b.nii.gz'),
      pair('C:\\scan.nii'),
      pair('./imagesTr/spleen_2.nii.gz', '..'),
      pair('./imagesTr/spleen_3.nii.gz'),
      pair('./imagesTs/spleen_3.nii.gz'),
    ];
    await makeFolder(folder(), { ...LIST, training, test: [] });
    assert.deepEqual(await faultsOf(folder()), [
      'training.0.image',
      'training.1.image',
      'training.2.image',
      'training.3.image',
      'training.4.label',
      'training.6.image',
    ]);
  });

  it('is refused with every file that is missing', async () => {
    await makeFolder(folder(), LIST, FILES.slice(2));
    assert.deepEqual(await faultsOf(folder()), ['imagesTr/spleen_2.nii.gz', 'imagesTr/spleen_3.nii.gz']);
  });

  it('is refused in one sentence when it is no dataset at all', async () => {
    await assert.rejects(openDecathlon(path.join(folder(), 'nowhere')), { code: 'not-found' });
    await assert.rejects(openDecathlon(folder()), { code: 'not-found', message: /no Decathlon dataset/ });
    await makeFolder(folder(), '{ "name": ');
    await assert.rejects(openDecathlon(folder()), { code: 'invalid-input', message: /no JSON/ });
    await makeFolder(folder(), { ...LIST, training: [], test: [] });
    await assert.rejects(openDecathlon(folder()), { code: 'invalid-input', message: /at least one case/ });
  });
});

describe('a phantom dataset', () => {
  const folder = temporaryFolder();

  it('is a Decathlon folder with held-out cases, the same bytes for the same seed', async () => {
    const [a, b, c] = ['a', 'b', 'c'].map((name) => path.join(folder(), name));
    const dataset = await writePhantomDataset(a, { ...SMALL, cases: 2, heldOut: 1, seed: 4, noise: 10 });
    assert.deepEqual(await openDecathlon(a), dataset);
    assert.deepEqual(
      dataset.training.map(({ id }) => id),
      ['phantom_000', 'phantom_001'],
    );
    assert.deepEqual(
      dataset.validation.map(({ id }) => id),
      ['phantom_002'],
    );
    await writePhantomDataset(b, { ...SMALL, cases: 2, heldOut: 1, seed: 4, noise: 10 });
    await writePhantomDataset(c, { ...SMALL, cases: 2, heldOut: 1, seed: 5, noise: 10 });
    const bytes = (root: string) => readFile(path.join(root, 'imagesTr/phantom_002.nii.gz'));
    assert.deepEqual(await bytes(a), await bytes(b));
    assert.notDeepEqual(await bytes(a), await bytes(c));
    const [image, label] = [
      await readNifti(imagePath(dataset, dataset.training[0])),
      await readNifti(labelPath(dataset, dataset.training[0])),
    ];
    assert.ok(image.data instanceof Int16Array && label.data instanceof Uint8Array);
    assert.deepEqual(image.geometry, label.geometry);
  });

  it('is refused without a case to train on', async () => {
    await assert.rejects(writePhantomDataset(folder(), { cases: 0, seed: 1 }), { code: 'invalid-input' });
    assert.deepEqual(await readdir(folder()), []);
  });
});

function listOf(count: number, validation = 0): DecathlonList {
  const cases = Array.from({ length: count }, (_, index) => ({
    id: `case_${index}`,
    image: `imagesTr/case_${index}.nii.gz`,
    label: `labelsTr/case_${index}.nii.gz`,
  }));
  const rest = { name: 'List', description: '', modality: {}, labels: {}, test: [] };
  return { ...rest, training: cases.slice(validation), validation: cases.slice(0, validation) };
}

describe('dividing cases among sites', () => {
  it('gives each case to one site once, in shares that differ by one at most', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 0, max: 3 }),
        fc.nat(20),
        fc.nat(),
        (sites, heldOut, extra, seed) => {
          const count = sites * (heldOut + 1) + extra;
          const names = Array.from({ length: sites }, (_, index) => `site-${index}`);
          const shares = divideCases(listOf(count, Math.min(2, count)), names, seed, heldOut);
          const ids = shares.flatMap((share) => [...share.training, ...share.heldOut].map(({ id }) => id));
          assert.deepEqual(
            [...ids].sort(),
            listOf(count)
              .training.map(({ id }) => id)
              .sort(),
          );
          const sizes = shares.map((share) => share.training.length + share.heldOut.length);
          assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1);
          assert.ok(shares.every((share) => share.heldOut.length === heldOut && share.training.length >= 1));
          assert.deepEqual(
            shares.map(({ site }) => site),
            names,
          );
        },
      ),
    );
  });

  it('repeats for a seed and differs for another', () => {
    const divide = (seed: number) => divideCases(listOf(20), ['a', 'b'], seed, 2);
    assert.deepEqual(divide(1), divide(1));
    assert.notDeepEqual(divide(1), divide(2));
  });

  it('refuses more sites than cases allow', () => {
    assert.throws(() => divideCases(listOf(5), ['a', 'b', 'c'], 1, 1), { code: 'invalid-input', message: /need 6/ });
    assert.throws(() => divideCases(listOf(5), [], 1, 1), { code: 'invalid-input' });
  });
});

describe("a site's dataset", () => {
  const folder = temporaryFolder();

  it('holds the share of the site, linked or copied, and can be made again', async () => {
    const source = await writePhantomDataset(path.join(folder(), 'all'), { ...SMALL, cases: 5, seed: 1 });
    const [share] = divideCases(source, ['a', 'b'], 1, 1);
    for (const how of ['link', 'copy'] as const) {
      const target = path.join(folder(), how);
      for (let turn = 0; turn < 2; turn += 1) await writeSiteDataset(source, share, target, { how, name: 'Site a' });
      const site = await openDecathlon(target);
      assert.equal(site.name, 'Site a');
      assert.deepEqual([site.training, site.validation], [share.training, share.heldOut]);
      const [from, to] = await Promise.all([
        stat(imagePath(source, share.training[0])),
        stat(imagePath(site, share.training[0])),
      ]);
      assert.equal(from.ino === to.ino, how === 'link');
      assert.deepEqual(
        await readFile(imagePath(site, share.heldOut[0])),
        await readFile(imagePath(source, share.heldOut[0])),
      );
    }
  });
});
