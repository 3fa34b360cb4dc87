import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Writable } from 'node:stream';
import { createContext, runInContext, Script } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { DOCS_PREVIEW } from '../../aiaa/http/docs-preview';
import { ORDER } from './support/fake-engine';
import { niftiBytes, volumeThat } from './support/nifti-bytes';
import { exchange, formRequest, PYTHON, plainRequest, sentenceOf } from './support/raw-http';
import { eventually, Site, SPLEEN } from './support/server';

describe('AIAA server address', () => {
  let site: Site;
  beforeEach(async () => {
    site = await Site.make();
    await site.publish();
  });
  afterEach(() => site.clear());

  it('shows a self-contained page with the models at / and /docs/', async () => {
    const server = await site.serve();
    for (const target of ['/', '/docs', '/docs/', '/v1/', '/v1/docs/']) {
      const reply = await exchange(server.port, plainRequest('GET', target));
      assert.equal(reply.status, 200, target);
      assert.match(reply.headers.get('content-type') ?? '', /^text\/html/);
      const page = reply.body.toString('utf8');
      assert.match(page, /clara_ct_seg_spleen/);
      assert.match(page, /\/v1\/segmentation/);
      assert.doesNotMatch(page, /<link[^>]+href="(?!data:)|\bsrc=|@import|url\(/, 'nothing is fetched from anywhere');
      assert.match(page, /<html lang="en">/);
    }
  });

  it('runs its own script and no other, and calls nobody but this server', async () => {
    const server = await site.serve();
    const reply = await exchange(server.port, plainRequest('GET', '/docs/'));
    const scripts = [
      ...reply.body.toString('utf8').matchAll(/<script( type="application\/json"[^>]*)?>([\s\S]*?)<\/script>/g),
    ];
    const [script, ...others] = scripts.filter(([, isData]) => isData === undefined).map(([, , code]) => code);
    assert.equal(others.length, 0);
    const policy = reply.headers.get('content-security-policy') ?? '';
    assert.ok(policy.includes(`script-src 'sha256-${createHash('sha256').update(script).digest('base64')}'`));
    assert.match(policy, /default-src 'none'.*connect-src 'self'/);
    assert.doesNotMatch(script, /https?:/);
    new Script(script); // it can be parsed
  });

  it('counts the voxels of a mask in the browser, from the bytes that the server sends', async () => {
    const voxels = Int16Array.from({ length: 60 }, (_, at) => (at === 25 || at === 26 ? 2 : at === 3 ? 1 : 0));
    const file = gzipSync(niftiBytes({ shape: [5, 4, 3], voxels }));
    const page = createContext({ Blob, DecompressionStream, DataView, Uint8Array, Map, Math });
    runInContext(DOCS_PREVIEW, page);
    const read = runInContext('async (blob) => parseNifti(await unpacked(blob))', page) as (
      blob: Blob,
    ) => Promise<{ shape: number[]; spacing: number[] } | undefined>;
    const mask = await read(new Blob([file]));
    assert.deepEqual([...mask!.shape], [5, 4, 3]);
    assert.deepEqual([...mask!.spacing], [2, 2, 3]);
    const count = runInContext('countLabels', page) as (mask: unknown) => {
      counts: Map<number, number>;
      slice: number;
    };
    const { counts, slice } = count(mask);
    assert.deepEqual([...counts].sort(), [
      [1, 1],
      [2, 2],
    ]);
    assert.equal(slice, 1);
    for (const foreign of [new Blob([]), new Blob(['NRRD0004'.repeat(60)]), new Blob([file.subarray(0, 2)])]) {
      assert.equal(await read(foreign).catch(() => undefined), undefined);
    }
  });

  it('does not let a model description become markup', async () => {
    const server = await site.serve();
    await site.publish('9', 'weights', 'other');
    const { publishModel } = await import('../../aiaa/registry/publish-model');
    const { engines } = await import('./support/fake-engine');
    const { inspectWith } = await import('../../aiaa/inference/probe');
    const description = '<img onerror=alert(1)>';
    await publishModel(
      site.workspace,
      { file: __filename, name: 'odd', version: '1', labels: ['"a"'], description },
      { inspect: inspectWith(engines) },
    );
    const page = (await exchange(server.port, plainRequest('GET', '/'))).body.toString('utf8');
    assert.match(page, /&lt;img onerror=alert\(1\)&gt;/);
    assert.doesNotMatch(page, /<img/);
  });

  it('answers only below a secret prefix, apart from the health check', async () => {
    const server = await site.serve({ pathPrefix: '/hospital-a/t0ken/' });
    assert.match(server.url, /^http:\/\/127\.0\.0\.1:\d+\/hospital-a\/t0ken\/$/);
    const status = async (target: string) => (await exchange(server.port, plainRequest('GET', target))).status;
    for (const target of ['', '/', '/v1/models', '/docs/', '/v1/v1/models/', '/health']) {
      assert.equal(await status(`/hospital-a/t0ken${target}`), 200, target);
    }
    for (const target of [
      '/',
      '/v1/models',
      '/docs/',
      '/hospital-a/',
      '/hospital-a/t0ken2/v1/models',
      '/outside-the-prefix',
    ]) {
      assert.equal(await status(target), 404, target);
    }
    assert.equal(await status('/health'), 200);
  });

  it('refuses a prefix that cannot be a path', async () => {
    await assert.rejects(site.serve({ pathPrefix: '/a b/' }), { code: 'invalid-input', message: /segment "a b"/ });
    for (const nothing of ['/', '', '//']) {
      const served = site.serve({ pathPrefix: ['/st-marys/t0ken', nothing] });
      await assert.rejects(served, { code: 'invalid-input', message: /hides nothing; name a secret path/ });
    }
  });

  it('refuses a port that is taken with one sentence', async () => {
    const { port } = await site.serve();
    await assert.rejects(site.serve({ port }), { code: 'unavailable', message: new RegExp(`127.0.0.1:${port}`) });
  });

  it('logs routes and times, never addresses, tokens, sessions or file names', async () => {
    let text = '';
    const sink = new Writable({
      write(chunk, _encoding, done) {
        text += chunk;
        done();
      },
    });
    const server = await site.serve({ pathPrefix: '/hospital-a/t0ken', logTo: sink, logLevel: 'trace' });
    const send = (target: string, method = 'POST') =>
      exchange(
        server.port,
        formRequest(PYTHON, method, `/hospital-a/t0ken${target}`, [
          { name: 'datapoint', filename: '/home/Doe^John.nii', content: volumeThat(ORDER.threshold) },
        ]),
      );
    const opened = await send('/session/', 'PUT');
    const { session_id: id } = JSON.parse(opened.body.toString('utf8')) as { session_id: string };
    await exchange(server.port, plainRequest('GET', `/hospital-a/t0ken/session/${id}`));
    await send(`/v1/inference?model=${SPLEEN}`);
    sentenceOf(await send('/v1/nothing'));
    await eventually('all are logged', async () => text.split('"msg":"request"').length === 5);
    assert.match(text, /"route":"\/v1\/inference","status":200,"ms":\d+/);
    assert.match(text, /"route":"\/session\/:id"/);
    for (const secret of [/t0ken/, /Doe/, new RegExp(id), /scratch/]) assert.doesNotMatch(text, secret);
  });
});
