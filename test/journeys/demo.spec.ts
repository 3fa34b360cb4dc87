import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { DemoFolder, type Done, doneOf, PLACES_TO_LEAVE_ALONE, processesNaming } from './support/demo-run';

const SITES = ['northern', 'riverside'];
const SMALL = ['--rounds', '1', '--sites', '2'];
const PROJECT = path.resolve(__dirname, '../..');

describe('the demonstration', () => {
  let folder: DemoFolder;
  let done: Done;
  let report: string;
  let newInProject: readonly string[];

  before(async function () {
    this.timeout(180_000);
    folder = await DemoFolder.make();
    const before = await namesInProject();
    const end = await folder.run('demo', ...SMALL, '--workspace', folder.at('first'), '--json');
    done = doneOf(end);
    assert.equal(end.stderr, '');
    newInProject = (await namesInProject()).filter((name) => !before.includes(name));
    report = await readFile(done.report, 'utf8');
  });
  after(() => folder?.remove());

  it('ends with absolute paths of files that exist, and a Dice for every hospital', () => {
    for (const file of [done.report, done.mask, done.aiaaWorkspace]) {
      assert.ok(path.isAbsolute(file) && file.startsWith(folder.at('first')), file);
      assert.ok(existsSync(file), file);
    }
    assert.deepEqual(Object.keys(done.dice.sites), SITES);
    const [a, b] = Object.values(done.dice.sites);
    assert.ok(Math.abs(done.dice.mean - (a! + b!) / 2) < 1e-9);
    assert.ok(done.dice.mean > 0.3, `one round of training gave a Dice of ${done.dice.mean}`);
    assert.equal(done.synthetic, true);
    assert.equal(done.slicerUrl, undefined, 'no server is left up to name');
  });

  it('leaves nothing running and writes nothing outside its workspace', async () => {
    assert.deepEqual(await processesNaming(folder.path), []);
    assert.deepEqual(newInProject, []);
    assert.deepEqual((await readdir(folder.path)).sort(), ['first', ...PLACES_TO_LEAVE_ALONE]);
    for (const place of PLACES_TO_LEAVE_ALONE) assert.deepEqual(await readdir(folder.at(place)), []);
  });

  it('writes a report that needs nothing from elsewhere', () => {
    const loads = [...report.matchAll(/\b(?:src|href|srcset|poster|data)\s*=\s*"([^"]*)"|url\(([^)]*)\)|@import/gi)];
    assert.deepEqual(
      loads.filter(([, value]) => !value?.startsWith('data:image/png;base64,')).map(([whole]) => whole),
      [],
    );
    assert.equal(loads.length, 3);
    assert.doesNotMatch(report, /<(script|link|iframe|object|embed)\b/i);
  });

  it('shows the curve, the matrix, three slices and that the data are synthetic', () => {
    assert.match(report, /<svg [^>]*role="img"/);
    for (const row of ['northern alone', 'riverside alone', 'federated']) {
      const cells = new RegExp(`<th scope="row">${row}</th>((?:<td[^>]*>\\d\\.\\d{3}</td>){3})`).exec(report);
      assert.ok(cells, `no row of figures for ${row}`);
    }
    const planes = [...report.matchAll(/<figcaption>(\w+)<\/figcaption>/g)].map(([, plane]) => plane);
    assert.deepEqual(planes, ['axial', 'coronal', 'sagittal']);
    assert.match(report, /synthetic data/i);
    assert.match(report, /nothing about\s+clinical quality/);
    assert.ok(report.includes(done.modelDigest));
  });

  it('gives the mask exactly the grid and position of the scan, and marks something', async () => {
    const scan = headerOf(await readFile(folder.at('first', 'scan', 'image.nii.gz')));
    const mask = headerOf(await readFile(done.mask));
    assert.deepEqual(mask.place, scan.place);
    assert.deepEqual([...new Set(mask.voxels)].sort(), [0, 1]);
  });

  it('leaves a workspace from which the annotation server serves the model', async () => {
    const server = folder.start('aiaa', 'start', '--workspace', done.aiaaWorkspace, '--port', '0', '--json');
    const { url } = await server.record(({ event }) => event === 'ready', 'it serves');
    const models = (await (await fetch(new URL('v1/models', String(url)))).json()) as Record<string, unknown>[];
    const published = models.filter((model) => model.type === 'segmentation');
    assert.equal(published.length, 1);
    const { name, type, labels, description, version } = published[0]!;
    assert.equal(name, 'clara_ct_seg_spleen');
    assert.equal(type, 'segmentation');
    assert.deepEqual(labels, ['spleen']);
    assert.ok(typeof description === 'string' && description.length > 0);
    assert.ok(typeof version === 'string' && version.length > 0, 'clients read the version as text');
    assert.equal((await server.stop()).code, 0);
  });

  it('in plain words: the same seed gives the same model in another workspace', async () => {
    const { code, stdout } = await folder.run('demo', ...SMALL, '--workspace', folder.at('second'));
    assert.equal(code, 0);
    assert.ok(stdout.includes(`model   ${done.modelDigest}`), stdout);
    assert.match(stdout, /synthetic phantoms: .*nothing about clinical quality/);
    assert.match(stdout, /^round +northern +riverside +mean +time +weights moved\n1( +0\.\d{3}){3} +\d+\.\d s/m);
    assert.match(stdout, /^model +northern +riverside\nnorthern alone( +0\.\d{3}){2}\n/m);
    assert.ok(!stdout.includes('\u001b'), 'a pipe is no terminal');
  }).timeout(180_000);

  it('with another seed it is another model', async () => {
    const end = await folder.run('demo', ...SMALL, '--seed', '2', '--workspace', folder.at('third'), '--json');
    assert.notEqual(doneOf(end).modelDigest, done.modelDigest);
  }).timeout(180_000);

  for (const [option, value, rule] of [
    ['--sites', '0', 'from 1 to 16'],
    ['--rounds', 'many', 'from 1 to 1000'],
    ['--seed', '-1', 'from 0 to 4294967295'],
  ] as const) {
    it(`refuses ${option} ${value} and makes no workspace`, async () => {
      const { code, stderr } = await folder.run('demo', option, value, '--workspace', folder.at('refused'));
      assert.equal(code, 64);
      assert.equal(stderr, `clara-fed: ${option} "${value}" must be a whole number ${rule}\n`);
      assert.ok(!existsSync(folder.at('refused')));
    });
  }
});

/** What lies in the folder from which the programs of this test are started, that of the default workspace included. */
async function namesInProject(): Promise<string[]> {
  const names = await readdir(PROJECT);
  return [...names, ...(await readdir(path.join(PROJECT, '.clara-fed')).catch(() => []))].sort();
}

/** Fields of NIfTI-1 (nifti1.h) that say where voxels lie, as stored: dim, pixdim, units, qform and sform. */
function headerOf(file: Buffer) {
  const bytes = gunzipSync(file);
  const place = [
    [40, 56],
    [76, 108],
    [123, 124],
    [252, 328],
  ].map(([from, to]) => bytes.subarray(from, to).toString('hex'));
  return { place, voxels: bytes.subarray(bytes.readFloatLE(108)) };
}
