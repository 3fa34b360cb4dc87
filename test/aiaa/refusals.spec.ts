import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import type { AnnotationServer } from '../../aiaa/server';
import { SessionStore } from '../../aiaa/sessions/session-store';
import { ORDER } from './support/fake-engine';
import { niftiBytes, volumeThat } from './support/nifti-bytes';
import {
  exchange,
  formRequest,
  jsonOf,
  type Part,
  PYTHON,
  plainRequest,
  type RawReply,
  sentenceOf,
} from './support/raw-http';
import { eventually, Site, SPLEEN } from './support/server';

const MIB = 2 ** 20;

describe('AIAA refusals', () => {
  let site: Site;
  let server: AnnotationServer;
  let clock = 1_700_000_000;
  before(async () => {
    site = await Site.make();
    await site.publish();
    server = await site.serve({ limits: { uploadBytes: 3 * MIB, volumeBytes: 8 * MIB }, now: () => clock });
  });
  after(() => site.clear());
  afterEach(() => eventually('no short-lived file is left', async () => (await site.leftovers()).length === 0));

  const post = (target: string, parts: readonly Part[], method = 'POST') =>
    exchange(server.port, formRequest(PYTHON, method, target, parts));
  const segment = (content: Buffer, params = '{}') =>
    post(`/v1/inference?model=${SPLEEN}`, [
      { name: 'params', content: params },
      { name: 'datapoint', filename: 'a.nii.gz', content },
    ]);
  const good = volumeThat(ORDER.threshold);

  it('reads an upload over the cap to its end and answers 413 with a sentence', async () => {
    for (const bytes of [3 * MIB + 1, 40 * MIB]) {
      const reply = await segment(Buffer.alloc(bytes));
      assertRefused(reply, 413, /larger than the 3\.0 MiB/);
    }
    assert.equal((await segment(Buffer.alloc(3 * MIB))).status, 400, 'exactly the cap is not too large, only no NIfTI');
    assert.equal((await segment(good)).status, 200);
  });

  it('refuses an unknown model before anything else', async () => {
    for (const name of ['nobody', '../../etc', SPLEEN.toUpperCase()]) {
      const reply = await post(`/v1/segmentation?model=${encodeURIComponent(name)}`, [
        { name: 'image', filename: 'a', content: good },
      ]);
      assertRefused(reply, 404, /There is no model/);
    }
    assertRefused(
      await exchange(server.port, plainRequest('GET', '/v1/models?model=nobody')),
      404,
      /There is no model "nobody"/,
    );
    assertRefused(await post('/v1/segmentation', []), 400, /has no model; add \?model=NAME/);
  });

  it('answers 440 for a session that is unknown, malformed, expired or closed', async () => {
    const opened = await post('/session/?expiry=60', [{ name: 'image', filename: 'a', content: good }], 'PUT');
    const { session_id: id } = jsonOf(opened) as { session_id: string };
    const use = () => post(`/v1/inference?model=${SPLEEN}&session_id=${id}`, [{ name: 'params', content: '{}' }]);
    clock += 50;
    assert.equal((await use()).status, 200);
    clock += 50;
    assert.equal((await use()).status, 200, 'each use prolongs it');
    clock += 61;
    assertRefused(await use(), 440, /expired; send the volume again/);
    for (const unknown of ['4b8a3e52-5c43-4c58-9f5a-3a0c7b1d0e11', '..%2f..', 'x']) {
      assertRefused(await exchange(server.port, plainRequest('GET', `/session/${unknown}`)), 440, /expired/);
      assertRefused(await exchange(server.port, plainRequest('DELETE', `/session/${unknown}`)), 440, /expired/);
    }
  });

  it('names what an upload is when it is no volume', async () => {
    const cases: [string, Buffer, RegExp][] = [
      ['empty', Buffer.alloc(0), /is empty/],
      ['MetaImage', Buffer.from(`ObjectType = Image\n${' '.repeat(400)}`), /a MetaImage file/],
      ['gzipped NRRD', gzipSync(`NRRD0004\n${' '.repeat(400)}`), /a gzipped NRRD file/],
      ['text', Buffer.from('hello '.repeat(100)), /something else/],
      ['cut gzip', good.subarray(0, 15), /too short|empty/],
      ['broken gzip', Buffer.concat([Buffer.from([0x1f, 0x8b, 8]), Buffer.alloc(500, 7)]), /empty|too short/],
    ];
    for (const [name, content, sentence] of cases) {
      const reply = await segment(content);
      assertRefused(reply, 400, sentence, name);
      assert.match(sentenceOf(reply), /send a NIfTI-1 volume/);
    }
  });

  it('refuses a header that promises more than the file has', async () => {
    const volume = niftiBytes({ shape: [4, 3, 2], voxels: new Int16Array(24) });
    volume.writeInt16LE(30_000, 42);
    const reply = await segment(volume);
    assert.equal(Math.floor(reply.status / 100), 4);
    assertNoPaths(sentenceOf(reply));
  });

  it('bounds a gzip bomb', async () => {
    const shape = [200, 200, 200] as const;
    const bomb = gzipSync(niftiBytes({ shape, voxels: new Int16Array(200 ** 3) }));
    assert.ok(bomb.length < 100_000, 'small as sent, 16 MB as meant');
    const reply = await segment(bomb);
    assert.ok([400, 413].includes(reply.status), `${reply.status}`);
    assertNoPaths(sentenceOf(reply));
    assert.equal((await segment(good)).status, 200);
  });

  it('explains every fault of params', async () => {
    assertRefused(await segment(good, '{points: 1}'), 400, /"params" is not JSON.*send a JSON object/);
    assertRefused(await segment(good, '[1]'), 400, /params/);
    assertRefused(
      await segment(good, '{"result_extension":".mha"}'),
      400,
      /not written as ".mha".*".nii.gz", ".nii", ".nrrd" or ".dcm"/,
    );
    const several = sentenceOf(await segment(good, '{"result_dtype":"bfloat16","result_compress":"perhaps"}'));
    assert.match(several, /result_dtype/);
    assert.match(several, /result_compress/);
  });

  it('explains a form without a volume, with several, in a wrong field, or broken', async () => {
    const target = `/v1/segmentation?model=${SPLEEN}`;
    assertRefused(
      await post(target, [{ name: 'params', content: '{}' }]),
      400,
      /has no file; send one volume in the field/,
    );
    const slice = (at: number) => ({ name: `image${at}`, filename: `${at}.dcm`, content: good });
    assertRefused(await post(target, [slice(0), slice(1)]), 400, /has 2 files/);
    assertRefused(
      await post('/session/', [slice(0), slice(1)], 'PUT'),
      400,
      /has 2 files; .*the slices of one DICOM series/,
    );
    assertRefused(
      await post(target, [{ name: 'evil', filename: 'a', content: good }]),
      400,
      /in the field "evil"; use "datapoint"/,
    );
    const cut = formRequest(PYTHON, 'POST', target, [{ name: 'image', filename: 'a', content: good }]).subarray(0, -40);
    const length = cut.length - (cut.indexOf('\r\n\r\n') + 4);
    const shortened = Buffer.from(
      cut.toString('latin1').replace(/content-length: \d+/, `content-length: ${length}`),
      'latin1',
    );
    assertRefused(await exchange(server.port, shortened), 400, /form cannot be read/);
    const json = plainRequest('POST', target, ['Content-Type: application/json', 'Content-Length: 2']);
    assertRefused(
      await exchange(server.port, Buffer.concat([json, Buffer.from('{}')])),
      400,
      /send multipart\/form-data/,
    );
  });

  it('refuses session options that it cannot keep', async () => {
    const volume = [{ name: 'image', filename: 'a', content: good }];
    assertRefused(await post('/session/?expiry=soon', volume, 'PUT'), 400, /expiry is "soon"/);
    assertRefused(await post('/session/?expiry=-1', volume, 'PUT'), 400, /expiry is "-1"/);
    assertRefused(await post('/session/?save_as=.mha', volume, 'PUT'), 400, /not kept as ".mha"/);
    assertRefused(
      await post('/session/', [{ ...volume[0], content: Buffer.from('no volume') }], 'PUT'),
      400,
      /too short/,
    );
    const opened = jsonOf(await post('/session/?expiry=999999&save_as=.nii', volume, 'PUT')) as { expiry: number };
    assert.equal(opened.expiry, 3600, 'the server has the last word');
  });

  it('answers addresses and methods that do not exist in JSON, with a hint', async () => {
    for (const target of ['/nothing', '/v1', '/v1/nothing', '/admin/nothing']) {
      const method = target === '/v1' ? 'POST' : 'GET';
      assertRefused(
        await exchange(server.port, plainRequest(method, target, ['Content-Length: 0'])),
        404,
        /server address ends before \/v1/,
        target,
      );
    }
    assertRefused(
      await post('/v1/dextr3d?model=x', [{ name: 'datapoint', filename: 'a', content: good }]),
      404,
      /There is no model "?x"?/,
    );
  });

  it('answers what is not HTTP, or too much of it, in JSON', async () => {
    assertRefused(
      await exchange(server.port, Buffer.from('\u0016\u0003\u0001 TLS to a plain port\r\n\r\n')),
      400,
      /not HTTP/,
    );
    assertRefused(
      await exchange(server.port, plainRequest('GET', '/', [`X-Long: ${'x'.repeat(20_000)}`])),
      431,
      /too large/,
    );
    assertRefused(await exchange(server.port, Buffer.from('GET / HTTP/1.1\r\nHost: a b/c\r\n\r\n')), 400, /malformed/);
  });

  it('leaves a broken model out of the list and says so when it is asked for', async () => {
    const folder = path.join(site.workspace, 'models', 'damaged');
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, 'current.json'), '{"version":');
    const list = jsonOf(await exchange(server.port, plainRequest('GET', '/v1/models?type=segmentation'))) as {
      name: string;
    }[];
    assert.deepEqual(
      list.map(({ name }) => name),
      [SPLEEN],
    );
    assert.match(
      sentenceOf(await exchange(server.port, plainRequest('GET', '/v1/models?model=damaged'))),
      /publish the model again/,
    );
  });

  it('does not tell a client what the system said about its own files', async () => {
    const opened = jsonOf(await post('/session/', [{ name: 'image', filename: 'a', content: good }], 'PUT')) as {
      name: string;
    };
    const file = path.join(site.workspace, 'sessions', opened.name, 'session.json');
    await rm(file);
    await symlink(file, file); // reading it fails with ELOOP
    const reply = await exchange(server.port, plainRequest('GET', `/session/${opened.name}`));
    assertRefused(
      reply,
      500,
      /^The server failed; its administrator finds the reason in the log under [0-9a-f-]{36}\.$/,
    );
    await rm(path.dirname(file), { recursive: true });
  });

  it('forgets the upload of a client that leaves in the middle of it', async () => {
    const request = formRequest(PYTHON, 'POST', `/v1/inference?model=${SPLEEN}`, [
      { name: 'datapoint', filename: 'a', content: Buffer.alloc(2 * MIB) },
    ]);
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(request.subarray(0, MIB));
    await eventually('the upload has begun', async () =>
      (await site.leftovers()).some((name) => name.startsWith('upload')),
    );
    socket.destroy();
    await eventually('it is gone', async () => (await site.leftovers()).length === 0);
  });

  it('lets go of a file whose reader takes nothing any more', async function () {
    if (!existsSync('/proc/self/fd')) {
      console.log('      skipped: open files are counted in /proc, which this system does not have');
      this.skip();
    }
    const impatient = await site.serve({ limits: { replyStallMs: 2500 } });
    const file = path.join(site.workspace, 'large');
    await writeFile(file, Buffer.alloc(64 * MIB));
    const { name, path: volume } = await new SessionStore(site.workspace, { maxExpirySeconds: 60 }).create(
      file,
      '.nii',
      0,
    );
    const isOpen = async () => {
      const links = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''));
      return (await Promise.all(links)).includes(path.join(site.workspace, volume));
    };
    const socket = connect(impatient.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.pause();
    socket.write(`GET /session/${name}?image=true HTTP/1.1\r\nHost: a\r\n\r\n`);
    await eventually('the reply has begun', isOpen);
    await eventually('it was cut', async () => !(await isOpen()));
    socket.destroy();
  });

  it('keeps nothing of a patient once the masks are sent', async () => {
    const kept = await readdir(site.workspace, { recursive: true, withFileTypes: true });
    const files = kept.filter(
      (item) => item.isFile() && !item.parentPath.includes('models') && !item.parentPath.includes('sessions'),
    );
    assert.deepEqual(
      files.map(({ name }) => name),
      [],
    );
  });
});

function assertRefused(reply: RawReply, status: number, sentence: RegExp, what = ''): void {
  const found = sentenceOf(reply);
  assert.equal(reply.status, status, `${what}: ${found}`);
  assert.match(reply.headers.get('content-type') ?? '', /^application\/json/);
  assert.match(found, sentence);
  assertNoPaths(found);
}

function assertNoPaths(sentence: string): void {
  assert.doesNotMatch(sentence, /scratch|\/tmp|upload-\d/);
}
