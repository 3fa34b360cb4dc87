import assert from 'node:assert/strict';
import { gunzipSync } from 'node:zlib';
import type { AnnotationServer } from '../../aiaa/server';
import { niftiBytes, parseNifti } from './support/nifti-bytes';
import {
  CPP,
  type Dialect,
  exchange,
  formRequest,
  jsonOf,
  OHIF,
  type Part,
  PYTHON,
  plainRequest,
  type RawReply,
  replyParts,
} from './support/raw-http';
import { eventually, Site, SPLEEN } from './support/server';

/** An oblique grid, so that a mask which only has the right shape does not pass. */
const SROW = [
  [-1.6, 0, 0.9, 91.25],
  [0, 1.9, 0, -120.5],
  [1.2, 0, 1.2, 33.125],
] as const;
const SHAPE = [5, 4, 3] as const;
const VOXELS = Int16Array.from({ length: 60 }, (_, at) => (at === 7 || at === 33 ? 80 : -100));
const VOLUME = niftiBytes({ shape: SHAPE, voxels: VOXELS, srow: SROW });

describe('AIAA clients', () => {
  let site: Site;
  let server: AnnotationServer;
  before(async () => {
    site = await Site.make();
    await site.publish();
    server = await site.serve({ corsOrigins: ['https://viewer.example.org'] });
  });
  after(() => site.clear());
  afterEach(() => eventually('no short-lived file is left', async () => (await site.leftovers()).length === 0));

  const send = (dialect: Dialect, target: string, parts: readonly Part[], method = 'POST') =>
    exchange(server.port, formRequest(dialect, method, target, parts));

  it('answers the python client: params and a mask on the grid of the volume', async () => {
    const reply = await send(PYTHON, `/v1/inference?model=${SPLEEN}`, [
      { name: 'params', content: '{}' },
      {
        name: 'datapoint',
        filename: '/home/jane/Doe^John 1970.nii',
        type: 'application/octet-stream',
        content: VOLUME,
      },
    ]);
    assertPlainLength(reply);
    const { params, file } = replyParts(reply);
    assert.deepEqual(JSON.parse(params), {
      points: [
        [2, 1, 0],
        [3, 2, 1],
        [2, 1, 0],
        [3, 2, 1],
        [2, 1, 0],
        [3, 2, 1],
      ],
    });
    const mask = parseNifti(gunzipSync(file));
    const volume = parseNifti(VOLUME);
    assert.deepEqual(mask.shape, SHAPE);
    assert.equal(mask.datatype, 2);
    for (const field of ['sform', 'qform', 'pixdim', 'formCodes', 'units'] as const) {
      assert.deepEqual(mask[field], volume[field], field);
    }
    assert.deepEqual(
      [...mask.data.entries()].filter(([, value]) => value !== 0),
      [
        [7, 1],
        [33, 1],
      ],
    );
  });

  it('answers the C++ client: HTTP/1.0, quoted boundary, field image, Windows path', async () => {
    const reply = await send(CPP, `/v1/segmentation?model=${SPLEEN}`, [
      { name: 'params', content: '{}' },
      {
        name: 'image',
        filename: 'C:\\Users\\jane\\AppData\\Local\\Temp\\vol;1.nii',
        type: 'application/octet-stream',
        content: VOLUME,
      },
    ]);
    assertPlainLength(reply);
    assert.match(replyParts(reply).filename, /^clara_ct_seg_spleen\.nii\.gz$/);
  });

  it('answers an HTTP/1.0 client that sends no Host', async () => {
    const reply = await exchange(server.port, Buffer.from('GET /v1/models HTTP/1.0\r\n\r\n'));
    assert.equal(reply.status, 200);
    assert.equal(Number(reply.headers.get('content-length')), reply.body.length);
  });

  it('answers the OHIF extension: the bare mask in the number type it asks for, readable across origins', async () => {
    const params = JSON.stringify({ result_extension: '.nii', result_dtype: 'uint16', result_compress: false });
    const request = formRequest(OHIF, 'POST', `/v1/segmentation?model=${SPLEEN}&output=image`, [
      { name: 'params', content: params },
      { name: 'image', filename: 'blob', type: 'application/octet-stream', content: VOLUME },
    ]);
    const origin = 'Accept-Encoding: identity\r\nOrigin: https://viewer.example.org';
    const reply = await exchange(server.port, withHeader(request, origin));
    assertPlainLength(reply);
    assert.equal(reply.headers.get('access-control-allow-origin'), 'https://viewer.example.org');
    const mask = parseNifti(reply.body);
    assert.equal(mask.datatype, 512);
    assert.equal(mask.data.readUInt16LE(14), 1);
  });

  it('does not tell other origins anything', async () => {
    const reply = await exchange(server.port, plainRequest('GET', '/v1/models', ['Origin: https://elsewhere.example']));
    assert.equal(reply.headers.get('access-control-allow-origin'), undefined);
  });

  it('takes every field name in which a volume may come', async () => {
    for (const name of ['datapoint', 'image', 'image0', 'file', 'files']) {
      const reply = await send(PYTHON, `/v1/segmentation/?model=${SPLEEN}`, [{ name, filename: 'a', content: VOLUME }]);
      assert.equal(reply.status, 200, name);
    }
  });

  it('keeps a volume in a session for several requests', async () => {
    const opened = await send(
      PYTHON,
      '/session/?expiry=0',
      [{ name: 'image', filename: 'a.nii', content: VOLUME }],
      'PUT',
    );
    const { session_id: id } = jsonOf(opened) as { session_id: string };
    for (const path of ['/v1/inference', '/v1/segmentation/']) {
      const reply = await send(PYTHON, `${path}?model=${SPLEEN}&session_id=${id}`, [{ name: 'params', content: '{}' }]);
      assertPlainLength(reply);
      replyParts(reply);
    }
    const details = jsonOf(await exchange(server.port, plainRequest('GET', `/session/${id}`))) as Record<
      string,
      unknown
    >;
    assert.deepEqual(Object.keys(details).sort(), ['create_ts', 'expiry', 'last_access_ts', 'name', 'path']);
    assert.equal(details.expiry, 3600);
    assert.equal(details.path, `sessions/${id}/image.nii`);
    const image = await exchange(server.port, plainRequest('GET', `/session/${id}?image=true`));
    assertPlainLength(image);
    assert.deepEqual(image.body, VOLUME);
    assert.equal((await exchange(server.port, plainRequest('DELETE', `/session/${id}`))).status, 200);
    assert.equal((await exchange(server.port, plainRequest('GET', `/session/${id}/`))).status, 440);
  });

  it('lists models with everything that Slicer reads, the version as a string', async () => {
    const expected = {
      name: SPLEEN,
      type: 'segmentation',
      labels: ['spleen'],
      description: 'A double for tests',
      version: '1',
    };
    const get = async (target: string) => jsonOf(await exchange(server.port, plainRequest('GET', target)));
    for (const target of [
      '/v1/models?label=spleen',
      '/v1/models/?type=segmentation',
      '/v1/v1/models?type=segmentation',
      '//v1/models?label=&type=segmentation',
      '/v1/models?label=spleen&type=segmentation',
    ]) {
      assert.deepEqual(await get(target), [expected], target);
    }
    assert.deepEqual(await get('/v1/models?label=liver'), []);
    assert.deepEqual(await get('/v1/models?type=pipeline'), []);
    assert.deepEqual(await get(`/v1/models?model=${SPLEEN}`), expected);
  });

  it('shows a newly published version to the very next request', async () => {
    await site.publish('2');
    const reply = await exchange(server.port, plainRequest('GET', `/v1/models?model=${SPLEEN}`));
    assert.equal((jsonOf(reply) as { version: string }).version, '2');
    const segmented = await send(PYTHON, `/v1/inference?model=${SPLEEN}`, [
      { name: 'datapoint', filename: 'a', content: VOLUME },
    ]);
    assert.equal(segmented.status, 200);
  });
});

function assertPlainLength(reply: RawReply): void {
  assert.equal(reply.status, 200, reply.body.toString('utf8').slice(0, 300));
  assert.equal(Number(reply.headers.get('content-length')), reply.body.length);
  assert.equal(reply.headers.get('transfer-encoding'), undefined);
  assert.equal(reply.headers.get('content-encoding'), undefined);
}

function withHeader(request: Buffer, replacement: string): Buffer {
  const at = request.indexOf('Accept-Encoding: identity');
  return Buffer.concat([
    request.subarray(0, at),
    Buffer.from(replacement),
    request.subarray(at + 'Accept-Encoding: identity'.length),
  ]);
}
