import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { AnnotationServer } from '../../aiaa/server';
import { niftiBytes, parseNifti } from './support/nifti-bytes';
import { aboveLevel, levelConfig } from './support/onnx-models';
import {
  exchange,
  formRequest,
  jsonOf,
  type Part,
  PYTHON,
  plainRequest,
  type RawReply,
  replyParts,
  sentenceOf,
} from './support/raw-http';
import { writeTinyModel } from './support/reference-model';
import { eventually, Site } from './support/server';
import { renamed, zipOf } from './support/zip';

const MODEL = 'clara_ct_level';
const SHAPE = [5, 4, 3] as const;
const VOXELS = Int16Array.from({ length: 60 }, (_, at) => at * 2);

interface Details {
  readonly version: string;
  readonly served: boolean;
  readonly engine: string;
  readonly labels: readonly string[];
  readonly padding?: number;
  readonly versions: readonly { version: string; served: boolean }[];
}

describe('AIAA administration', () => {
  let site: Site;
  let server: AnnotationServer;
  let other: AnnotationServer;
  let ngc: Server;
  let archive: Buffer;
  const asked: string[] = [];
  before(async () => {
    site = await Site.make();
    archive = await zipOf({
      'spleen/config/config_aiaa.json': JSON.stringify(levelConfig({ version: 'mmar' })),
      'spleen/config/environment.json': '{}',
      'spleen/models/model.onnx': aboveLevel(70),
    });
    ngc = createServer((request, response) => {
      asked.push(request.url ?? '');
      response.writeHead(request.url?.includes('/versions/1/') ? 200 : 404).end(archive);
    });
    await new Promise<void>((resolve) => ngc.listen(0, '127.0.0.1', resolve));
    const ngcUrl = `http://127.0.0.1:${(ngc.address() as AddressInfo).port}`;
    server = await site.serve({ engineModule: undefined, ngcUrl, limits: { healthCacheMs: 0 } });
    other = await site.serve({ engineModule: undefined, ngcUrl: 'http://127.0.0.1:1' });
  });
  after(async () => {
    ngc.close();
    await site.clear();
  });
  afterEach(() => eventually('no short-lived file is left', async () => (await site.leftovers()).length === 0));

  const config = (change: object = {}): Part => ({
    name: 'config',
    filename: 'config_aiaa.json',
    type: 'application/json',
    content: JSON.stringify(levelConfig(change)),
  });
  const data = (content: Buffer | string, filename = 'model.onnx'): Part => ({ name: 'data', filename, content });
  const send = (method: string, target: string, parts: readonly Part[], to = server) =>
    exchange(to.port, formRequest(PYTHON, method, target, parts));
  const put = (parts: readonly Part[], model = MODEL, to = server) => send('PUT', `/admin/model/${model}/`, parts, to);
  const ask = (method: string, target: string, to = server) => exchange(to.port, plainRequest(method, target));
  const json = (method: string, target: string, body: object, to = server) => {
    const text = JSON.stringify(body);
    const headers = ['Content-Type: application/json', `Content-Length: ${text.length}`];
    return exchange(to.port, Buffer.concat([plainRequest(method, target, headers), Buffer.from(text)]));
  };
  const detailsOf = (reply: RawReply): Details => {
    assert.equal(reply.status, 200, reply.status === 200 ? '' : sentenceOf(reply));
    return jsonOf(reply) as Details;
  };

  /** Above which value a server sees the organ. */
  async function levelSeenBy(to: AnnotationServer, model = MODEL): Promise<number> {
    const volume = niftiBytes({ shape: SHAPE, voxels: VOXELS });
    const reply = await send(
      'POST',
      `/v1/inference?model=${model}`,
      [{ name: 'datapoint', filename: 'a.nii', content: volume }],
      to,
    );
    assert.equal(reply.status, 200, reply.status === 200 ? '' : sentenceOf(reply));
    const mask = parseNifti(gunzipSync(replyParts(reply).file)).data;
    const organ = [...VOXELS].filter((_, at) => mask[at] === 1);
    assert.equal(organ.length, VOXELS.filter((value) => value >= Math.min(...organ)).length);
    return Math.min(...organ) - 2;
  }

  it('serves a network of others after PUT of config and data, through every server of the workspace', async () => {
    const details = detailsOf(await put([config(), data(aboveLevel(50))]));
    assert.equal(details.engine, 'onnx');
    assert.equal(details.version, '1');
    assert.equal(details.padding, 20, 'meta_data of the configuration is shown with the model');
    for (const to of [server, other]) {
      assert.equal(await levelSeenBy(to), 50);
      const [shown] = jsonOf(await ask('GET', '/v1/models', to)) as Details[];
      assert.equal(shown.padding, 20);
      assert.equal(shown.version, '1');
    }
    const reply = await send('POST', `/v1/inference?model=${MODEL}`, [
      { name: 'image', filename: 'a', content: niftiBytes({ shape: SHAPE, voxels: VOXELS }) },
    ]);
    const { bbox } = JSON.parse(replyParts(reply).params) as { bbox: number[][] };
    assert.deepEqual(
      bbox,
      [
        [0, 0, 1],
        [5, 4, 3],
      ],
      'what BoundingBoxd of the configuration asks for',
    );
  });

  it('makes a new version of a changed model or configuration, and goes back to an earlier one', async () => {
    const second = detailsOf(await put([config(), data(aboveLevel(90))], MODEL, other));
    assert.match(second.version, /^1-[0-9a-f]{12}$/, 'a version names one content for ever');
    assert.equal(await levelSeenBy(server), 90, 'put through the other server');
    const same = detailsOf(await put([config(), data(aboveLevel(90))]));
    assert.deepEqual(same.versions, second.versions, 'the same again changes nothing');

    const third = detailsOf(
      await json('PATCH', `/admin/model/${MODEL}`, levelConfig({ version: '3', labels: ['liver'] })),
    );
    assert.deepEqual([third.version, third.labels], ['3', ['liver']]);
    assert.equal(await levelSeenBy(other), 90, 'the network is the same');

    for (let times = 0; times < 2; times += 1) {
      const back = detailsOf(await json('PUT', `/admin/model/${MODEL}/version/`, { version: '1' }, other));
      assert.deepEqual([back.version, back.labels], ['1', ['spleen']]);
    }
    assert.equal(await levelSeenBy(server), 50);
    assert.deepEqual(
      detailsOf(await ask('GET', `/admin/model/${MODEL}`)).versions.map(({ version, served }) => [version, served]),
      [
        ['3', false],
        [second.version, false],
        ['1', true],
      ],
    );
    const none = await json('PUT', `/admin/model/${MODEL}/version`, { version: '7' });
    assert.equal(none.status, 404);
    assert.match(sentenceOf(none), /has no version "7"/);
  });

  it('deletes versions that are not served, unloads the model, and serves it again', async () => {
    const served = await ask('DELETE', `/admin/model/${MODEL}?version=1`);
    assert.equal(served.status, 412);
    assert.equal((await ask('DELETE', `/admin/model/${MODEL}?version=3`)).status, 200);
    assert.ok(!(await readdir(path.join(site.workspace, 'models', MODEL))).includes('3'));

    assert.equal((await ask('DELETE', `/admin/model/${MODEL}/`)).status, 200);
    assert.deepEqual(jsonOf(await ask('GET', '/v1/models?type=segmentation', other)), []);
    assert.equal((await ask('DELETE', `/admin/model/${MODEL}/`)).status, 404);
    assert.equal(detailsOf(await ask('GET', `/admin/model/${MODEL}`)).served, false);
    detailsOf(await json('PUT', `/admin/model/${MODEL}/version`, { version: '1' }));
    assert.equal(await levelSeenBy(other), 50);
  });

  it('takes a zip of an MMAR, with its configuration or another one', async () => {
    const details = detailsOf(await put([data(archive, 'mmar.zip')], 'from_mmar'));
    assert.equal(details.version, 'mmar');
    assert.equal(await levelSeenBy(server, 'from_mmar'), 70);
    const renamedLabel = detailsOf(
      await put([config({ version: '2', labels: ['lung'] }), data(archive, 'mmar.zip')], 'from_mmar'),
    );
    assert.deepEqual(renamedLabel.labels, ['lung']);
  });

  it('takes a model of the reference trainer, with or without a configuration', async () => {
    const file = path.join(site.workspace, 'reference.safetensors');
    await writeTinyModel(file);
    const bytes = await readFile(file);
    const plain = detailsOf(await put([data(bytes, 'model.safetensors')], 'tiny'));
    assert.deepEqual([plain.engine, plain.labels], ['reference', ['spleen']]);
    const keepLargest = [{ name: 'KeepLargestConnectedComponentd', args: { keys: 'pred' } }];
    const change = {
      version: 'named',
      labels: ['organ'],
      pre_transforms: [],
      inference: { output: 'pred' },
      post_transforms: keepLargest,
    };
    const named = detailsOf(await put([config(change), data(bytes, 'model.safetensors')], 'tiny'));
    assert.deepEqual([named.version, named.labels], ['named', ['organ']]);
    const refused = await put([config(), data(bytes, 'model.safetensors')], 'tiny');
    assert.equal(refused.status, 400);
    assert.match(sentenceOf(refused), /is in the model's own file/);
  });

  it('fetches a model of NGC, asked for in either way, and says so when there is no network', async () => {
    const wanted = { path: 'nvidia/med/clara_pt_spleen', version: '1' };
    detailsOf(await json('PUT', '/admin/model/from_ngc', wanted));
    detailsOf(await put([{ name: 'ngc', content: JSON.stringify(wanted) }], 'from_ngc'));
    assert.deepEqual(asked, Array(2).fill('/v2/models/nvidia/med/clara_pt_spleen/versions/1/zip'));
    assert.equal(await levelSeenBy(server, 'from_ngc'), 70);
    const absent = await json('PUT', '/admin/model/from_ngc', { ...wanted, version: '9' });
    assert.equal(absent.status, 404);
    const offline = await json('PUT', '/admin/model/from_ngc', wanted, other);
    assert.equal(offline.status, 503);
    assert.match(
      sentenceOf(offline),
      /127\.0\.0\.1:1 cannot be reached from this server .*; download .* elsewhere and send its zip/,
    );
    const climbing = await json('PUT', '/admin/model/from_ngc', { ...wanted, path: '../../secrets' });
    assert.equal(climbing.status, 400);
  });

  it('refuses what it cannot serve, says what to do, and goes on serving what it served', async () => {
    const script = await zipOf({ 'model/data.pkl': 'x', 'model/code/net.py': 'x' });
    const refusals: [string, readonly Part[], RegExp][] = [
      ['TorchScript', [config(), data(script, 'model.ts')], /PyTorch model.*export the network to ONNX/],
      ['an MMAR with TorchScript', [data(await zipOf({ 'a/models/model.ts': 'x' }))], /export the network to ONNX/],
      ['an archive without a model', [data(await zipOf({ 'a/readme.txt': 'x' }))], /no models\/model\.onnx/],
      ['something else', [config(), data('hello, world')], /none of the files that can be served/],
      [
        'a broken network',
        [config(), data(Buffer.concat([Buffer.of(8), Buffer.from('broken')]))],
        /not a working model.*ONNX file cannot be loaded/,
      ],
      ['no data', [config()], /Send the form with data/],
      ['ONNX without configuration', [data(aboveLevel(1))], /needs its config_aiaa\.json/],
      ['broken JSON', [{ ...config(), content: '{' }, data(aboveLevel(1))], /config_aiaa\.json is not JSON/],
      [
        'unknown transforms',
        [config({ pre_transforms: [{ name: 'Wobbled' }, { name: 'Shakend' }] }), data(aboveLevel(1))],
        /Wobbled.*Shakend/,
      ],
      ['another field', [{ name: 'model', filename: 'm', content: 'x' }], /in the field "model"; use one that fits/],
    ];
    for (const [what, parts, sentence] of refusals) {
      const reply = await put(parts);
      assert.equal(reply.status, 400, what);
      assert.match(sentenceOf(reply), sentence, what);
    }
    assert.equal((await put([config(), data(aboveLevel(1))], '..%2Fup')).status, 404);
    assert.equal(await levelSeenBy(server), 50);
    const home = await readdir(path.join(site.workspace, 'models', MODEL));
    assert.ok(
      home.every((name) => !name.startsWith('.')),
      home.join(),
    );
  });

  it('unpacks no archive that climbs out of itself or holds more than it says', async () => {
    const climbing = renamed(await zipOf({ 'xx/up/models/model.onnx': aboveLevel(1) }), 'xx/up/', '../up/');
    assert.match(sentenceOf(await put([config(), data(climbing)])), /invalid relative path|lies outside of it/);
    const padded = await zipOf({ 'models/model.onnx': Buffer.concat([aboveLevel(1), Buffer.alloc(3_000_000)]) });
    const small = await site.serve({ limits: { modelBytes: 100_000 } });
    assert.ok(padded.length < 100_000, 'compressed, it passes');
    const bomb = await put([config(), data(padded)], MODEL, small);
    assert.equal(bomb.status, 413);
    assert.match(sentenceOf(bomb), /model\.onnx in the archive is larger than the/);
    const large = await put([config(), data(Buffer.alloc(200_000))], MODEL, small);
    assert.equal(large.status, 413);
  });

  it('is not for clients with a secret prefix, and not for web pages', async () => {
    const hidden = await site.serve({ pathPrefix: '/st-marys/t0ken' });
    for (const target of ['/admin/model/x', '/logs/', '/v1/admin/model/x']) {
      assert.equal((await ask('GET', `/st-marys/t0ken${target}`, hidden)).status, 404, target);
    }
    assert.equal((await ask('GET', `/admin/model/${MODEL}`, hidden)).status, 200, 'the administrator of this machine');
    const page = await exchange(
      server.port,
      plainRequest('DELETE', `/admin/model/${MODEL}`, ['Origin: https://elsewhere.example']),
    );
    assert.equal(page.status, 403);
  });
});
