import assert from 'node:assert/strict';
import { access, mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { extractDecathlon, openDecathlon } from '../../imaging/decathlon';
import { temporaryFolder } from './temporary-folder';

interface Member {
  readonly name: string;
  readonly body?: string;
  readonly type?: 'file' | 'directory' | 'symlink' | 'link' | 'fifo';
  readonly linkname?: string;
}

async function tarOf(members: readonly Member[]): Promise<Buffer> {
  const archive = pack();
  for (const { name, body = '', type = 'file', linkname = '' } of members)
    archive.entry({ name, type, linkname }, body);
  archive.finalize();
  return buffer(archive as unknown as AsyncIterable<Uint8Array>);
}

const LIST = JSON.stringify({
  name: 'Spleen',
  labels: { '0': 'background', '1': 'spleen' },
  training: [{ image: './imagesTr/spleen_2.nii.gz', label: './labelsTr/spleen_2.nii.gz' }],
});

function spleen(top: string): Member[] {
  return [
    { name: `${top}imagesTr/`, type: 'directory' },
    { name: `${top}imagesTr/spleen_2.nii.gz`, body: 'image '.repeat(2000) },
    { name: `${top}imagesTr/._spleen_2.nii.gz`, body: 'resource fork' },
    { name: `${top}labelsTr/spleen_2.nii.gz`, body: 'label' },
    { name: `${top}dataset.json`, body: LIST },
  ];
}

describe('a Decathlon archive', () => {
  const folder = temporaryFolder();
  const at = (name: string): string => path.join(folder(), name);

  async function archive(
    members: readonly Member[],
    change: (bytes: Buffer) => Buffer = (bytes) => bytes,
  ): Promise<string> {
    await writeFile(at('task.tar'), change(await tarOf(members)));
    return at('task.tar');
  }

  for (const [title, top, change] of [
    ['with a top folder', 'Task09_Spleen/', (bytes: Buffer) => bytes],
    ['without a top folder', '', (bytes: Buffer) => bytes],
    ['with names that begin with ./', './', (bytes: Buffer) => bytes],
    ['that is gzipped as a whole', 'Task09_Spleen/', (bytes: Buffer) => gzipSync(bytes)],
  ] as const) {
    it(`opens ${title}`, async () => {
      const dataset = await openDecathlon(await archive(spleen(top), change), { extractTo: at('data') });
      assert.equal(dataset.folder, at('data'));
      assert.deepEqual(
        dataset.training.map(({ id }) => id),
        ['spleen_2'],
      );
      assert.equal(await readFile(at('data/labelsTr/spleen_2.nii.gz'), 'utf8'), 'label');
      assert.deepEqual(await readdir(at('data/imagesTr')), ['spleen_2.nii.gz']);
      assert.deepEqual((await readdir(folder())).sort(), ['data', 'task.tar']);
    });
  }

  it('may hold files larger than any buffer', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error): unknown => warnings.push(warning);
    process.on('warning', note);
    const large = 'voxels of one slice '.repeat(400_000);
    await extractDecathlon(await archive([...spleen(''), { name: 'imagesTs/large.nii', body: large }]), at('data'));
    assert.equal(await readFile(at('data/imagesTs/large.nii'), 'utf8'), large);
    process.off('warning', note);
    assert.deepEqual(warnings, []);
  });

  it('is unpacked once', async () => {
    const tar = await archive(spleen(''));
    await openDecathlon(tar, { extractTo: at('data') });
    await writeFile(tar, 'no longer an archive');
    assert.equal((await openDecathlon(tar, { extractTo: at('data') })).name, 'Spleen');
  });

  it('goes on after an interruption without writing finished files again', async () => {
    const tar = await archive(spleen(''));
    const finished = at('data.partial/imagesTr/spleen_2.nii.gz');
    await mkdir(path.dirname(finished), { recursive: true });
    await writeFile(finished, 'image '.repeat(2000));
    const past = new Date(1e12);
    await utimes(finished, past, past);
    await extractDecathlon(tar, at('data'));
    assert.equal((await stat(at('data/imagesTr/spleen_2.nii.gz'))).mtimeMs, 1e12);
  });

  it('needs a folder to be unpacked to', async () => {
    await assert.rejects(openDecathlon(await archive(spleen(''))), { code: 'invalid-input', message: /name a folder/ });
  });

  for (const [title, member] of [
    ['a name that climbs', { name: '../evil', body: 'x' }],
    ['a name that climbs from within', { name: 'Task/../../evil', body: 'x' }],
    ['an absolute name', { name: '/tmp/clara-evil', body: 'x' }],
    ['a name with a backslash', { name: '..\\evil', body: 'x' }],
    ['a symbolic link', { name: 'imagesTr', type: 'symlink', linkname: '/' }],
    ['a hard link', { name: 'passwd', type: 'link', linkname: '/etc/passwd' }],
    ['a pipe', { name: 'pipe', type: 'fifo' }],
  ] as const satisfies readonly (readonly [string, Member])[]) {
    it(`is refused for ${title}`, async () => {
      const tar = await archive([member, ...spleen('')]);
      await assert.rejects(extractDecathlon(tar, at('data')), { code: 'corrupt' });
      await assert.rejects(access(at('data')));
      await assert.rejects(access(at('evil')));
      await assert.rejects(access('/tmp/clara-evil'));
    });
  }

  it('is refused beyond its limits of bytes and files', async () => {
    const tar = await archive(spleen(''));
    await assert.rejects(extractDecathlon(tar, at('data'), { maxBytes: 10_000 }), { code: 'resource-exhausted' });
    await assert.rejects(extractDecathlon(tar, at('data'), { maxFiles: 2 }), { code: 'resource-exhausted' });
    await extractDecathlon(tar, at('data'), { maxBytes: 20_000, maxFiles: 10 });
  });

  it('is refused when it is cut, wherever the cut is', async () => {
    const whole = await tarOf(spleen('Task09_Spleen/'));
    const tar = at('cut.tar');
    // The last member is dataset.json; what follows it is padding and the end mark.
    const end = whole.lastIndexOf('}') + 1;
    for (let length = 100; length < end; length += 997) {
      await writeFile(tar, whole.subarray(0, length));
      await assert.rejects(extractDecathlon(tar, at('data')), (error: { code: string }) =>
        ['corrupt', 'invalid-input'].includes(error.code),
      );
      await assert.rejects(access(at('data')));
    }
  });

  it('is refused when it lacks the list or files of it, is no archive, or is absent', async () => {
    await assert.rejects(extractDecathlon(await archive([{ name: 'a/b/dataset.json', body: LIST }]), at('data')), {
      code: 'invalid-input',
      message: /no Decathlon archive/,
    });
    await assert.rejects(extractDecathlon(await archive([{ name: 'dataset.json', body: LIST }]), at('lone')), {
      code: 'invalid-input',
      message: /2 faults/,
    });
    await writeFile(at('text.tar'), 'this is text '.repeat(100));
    await assert.rejects(extractDecathlon(at('text.tar'), at('data')), { code: 'corrupt' });
    await assert.rejects(extractDecathlon(at('absent.tar'), at('data')), { code: 'not-found' });
  });

  it('stops when its signal is aborted', async () => {
    const tar = await archive(spleen(''));
    await assert.rejects(extractDecathlon(tar, at('data'), { signal: AbortSignal.abort() }), { code: 'cancelled' });
  });
});
