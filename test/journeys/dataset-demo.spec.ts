import assert from 'node:assert/strict';
import { createWriteStream, existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import { DemoFolder, type Done, doneOf, processesNaming } from './support/demo-run';

const SMALL = ['--rounds', '1', '--sites', '1'];
const CASES = 3;

describe('the demonstration on a dataset of its user', () => {
  let folder: DemoFolder;
  let dataset: string;
  let archive: string;
  let done: Done;

  before(async function () {
    this.timeout(180_000);
    folder = await DemoFolder.make();
    dataset = folder.at('phantoms');
    const made = await folder.run('dataset', 'phantom', dataset, '--cases', String(CASES), '--held-out', '0');
    assert.equal(made.code, 0, made.stderr);
    archive = folder.at('Task09_Spleen.tar');
    await archiveAsMacOs(dataset, archive, 'Task09_Spleen');
    const workspace = ['--workspace', folder.at('from-folder')];
    done = doneOf(await folder.run('demo', ...SMALL, '--dataset', dataset, ...workspace, '--json'));
  });
  after(() => folder?.remove());

  it('divides the cases of a folder among the hospitals, and leaves the folder as it was', async () => {
    const file = folder.at('from-folder', 'sites', 'northern', 'dataset', 'dataset.json');
    const { training, validation } = JSON.parse(await readFile(file, 'utf8')) as Record<string, { image: string }[]>;
    const names = [...training!, ...validation!].map(({ image }) => path.basename(image)).sort();
    assert.deepEqual(names, ['phantom_000.nii.gz', 'phantom_001.nii.gz', 'phantom_002.nii.gz']);
    assert.equal(validation!.length, 1);
    assert.deepEqual((await readdir(dataset)).sort(), ['dataset.json', 'imagesTr', 'labelsTr']);
  });

  it('makes no statement on data that it does not know', async () => {
    assert.equal(done.synthetic, false);
    const report = await readFile(done.report, 'utf8');
    assert.doesNotMatch(report, /synthetic|phantoms/i);
    assert.match(report, /Held-out case phantom_00\d of northern/);
    assert.match(report, /<h1>1 hospital, one spleen model<\/h1>/);
  });

  it('trains the same model from an archive with a top folder and resource forks', async () => {
    const workspace = ['--workspace', folder.at('from-archive')];
    const again = doneOf(await folder.run('demo', ...SMALL, '--dataset', archive, ...workspace, '--json'));
    assert.equal(again.modelDigest, done.modelDigest);
    assert.deepEqual(again.dice, done.dice);
    const unpacked = await readdir(folder.at('from-archive'), { recursive: true });
    assert.deepEqual(
      unpacked.filter((name) => path.basename(name).startsWith('._')),
      [],
    );
  }).timeout(180_000);

  it('says in one sentence which numbers of cases do not fit, and leaves the workspace to other settings', async () => {
    const workspace = ['--workspace', folder.at('too-few')];
    const tooMany = await folder.run('demo', '--sites', '4', '--dataset', dataset, ...workspace);
    assert.equal(tooMany.code, 64);
    assert.equal(
      tooMany.stderr,
      'clara-fed: Phantom spleen has 3 labelled cases, but 4 sites with 1 held out each need 8: use fewer sites or more cases\n',
    );
    const other = await folder.run('demo', '--sites', '3', '--dataset', dataset, ...workspace);
    assert.equal(other.code, 64);
    assert.match(other.stderr, /3 labelled cases, but 3 sites/);
    assert.deepEqual(await processesNaming(folder.path), []);
  });

  it('says which dataset is missing', async () => {
    const missing = folder.at('nowhere');
    const { code, stderr } = await folder.run('demo', '--dataset', missing, '--workspace', folder.at('missing'));
    assert.equal(code, 66);
    assert.match(stderr, /^clara-fed: cannot open the dataset [^\n]+\n$/);
    assert.ok(stderr.includes(missing));
    assert.ok(!existsSync(folder.at('missing', 'demo.json')));
  });
});

/** A tar as the tar of macOS writes it: everything under a top folder, and beside every file a `._` file of attributes. */
async function archiveAsMacOs(from: string, to: string, top: string): Promise<void> {
  const entries = pack();
  const writing = pipeline(entries, createWriteStream(to));
  for (const entry of await readdir(from, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const inside = path.posix.join(top, path.relative(from, entry.parentPath).split(path.sep).join('/'));
    entries.entry({ name: `${inside}/._${entry.name}` }, Buffer.from('Mac OS X resource fork'));
    entries.entry({ name: `${inside}/${entry.name}` }, await readFile(path.join(entry.parentPath, entry.name)));
  }
  entries.finalize();
  await writing;
}
