import assert from 'node:assert/strict';
import { gunzipSync } from 'node:zlib';
import type { AnnotationServer } from '../../aiaa/server';
import { niftiBytes, parseNifti } from './support/nifti-bytes';
import {
  exchange,
  formBody,
  jsonOf,
  type Part,
  PYTHON,
  plainRequest,
  type RawReply,
  replyParts,
} from './support/raw-http';
import { eventually, Site, SPLEEN } from './support/server';

const VOXELS = Int16Array.from({ length: 60 }, (_, at) => (at === 7 || at === 33 ? 80 : -100));
const VOLUME = niftiBytes({ shape: [5, 4, 3], voxels: VOXELS });
const VIEWER = 'https://viewer.example.org';

/**
 * Whole conversations, request by request as each client's code writes them, and replies judged by what that code reads of them. The fourth
 * client, MONAI Label's, is in monai-label.spec.ts.
 */
describe('AIAA conversations', () => {
  let site: Site;
  let server: AnnotationServer;
  before(async () => {
    site = await Site.make();
    await site.publish();
    server = await site.serve({ corsOrigins: [VIEWER], pathPrefix: '/reading-room/5e3c' });
  });
  after(() => site.clear());
  afterEach(() => eventually('no short-lived file is left', async () => (await site.leftovers()).length === 0));

  const send = (request: Buffer | string) => exchange(server.port, Buffer.from(request));

  it('with 3D Slicer: models, a session, masks out of it, its end, and a new one', async () => {
    // http.client: Host, Accept-Encoding, then the headers given, in lower case as the client writes them.
    const form = (method: string, selector: string, parts: readonly Part[]) => {
      const body = formBody(PYTHON, parts);
      const head = `${method} /reading-room/5e3c${selector} HTTP/1.1\r\nHost: localhost:5000\r\nAccept-Encoding: identity\r\ncontent-type: multipart/form-data; boundary=${PYTHON.boundary}\r\ncontent-length: ${body.length}\r\n\r\n`;
      return Buffer.concat([Buffer.from(head), body]);
    };
    const get = (method: string, selector: string) =>
      `${method} /reading-room/5e3c${selector} HTTP/1.1\r\nHost: localhost:5000\r\nAccept-Encoding: identity\r\n\r\n`;
    const open = async () => {
      const opened = await send(
        form('PUT', '/session/?expiry=0', [
          { name: 'params', content: '{}' },
          {
            name: 'image',
            filename: '/tmp/Slicer-jane/__nvidia/tmp8x.nii',
            type: 'application/octet-stream',
            content: VOLUME,
          },
        ]),
      );
      return (jsonOf(opened) as { session_id: string }).session_id;
    };

    const models = jsonOf(await send(get('GET', '/v1/models'))) as Record<string, unknown>[];
    for (const model of models) {
      for (const field of ['name', 'type', 'description', 'version'])
        assert.equal(typeof model[field], 'string', field);
      assert.ok(Array.isArray(model.labels));
    }
    const auto = models.filter(({ type }) => ['segmentation', 'others', 'pipeline'].includes(String(type)));
    assert.deepEqual(
      auto.map(({ name }) => name),
      [SPLEEN],
    );

    let session = await open();
    const infer = () =>
      send(form('POST', `/v1/inference?model=${SPLEEN}&session_id=${session}`, [{ name: 'params', content: '{}' }]));
    const first = replyParts(await infer());
    assert.equal((JSON.parse(first.params) as { points: number[][] }).points.length, 6);
    assert.deepEqual(parseNifti(gunzipSync(first.file)).shape, [5, 4, 3]);
    assert.deepEqual(replyParts(await infer()).file, first.file);
    assert.equal((await send(get('DELETE', `/session/${session}`))).status, 200);
    const gone = await infer();
    assert.equal(gone.status, 440, 'the plug-in opens a new session for this status alone');
    session = await open();
    assert.deepEqual(replyParts(await infer()).file, first.file);
  });

  it('with MITK: models over HTTP/1.1, then a form over HTTP/1.0 on a kept connection', async () => {
    const listed = await send(
      'GET /reading-room/5e3c/v1/models?label=spleen&type=segmentation HTTP/1.1\r\nHost: localhost:5000\r\nConnection: Keep-Alive\r\n\r\n',
    );
    assert.deepEqual(
      (jsonOf(listed) as { name: string }[]).map(({ name }) => name),
      [SPLEEN],
    );

    // Poco: the field first, then the file by its name alone; type after disposition; a quoted boundary; length, since 1.0 has no chunks.
    const boundary = 'MIME_boundary_0A1B2C3D4E5F';
    const body = Buffer.concat([
      Buffer.from(
        `--${boundary}\r\nContent-Disposition: form-data; name="params"\r\n\r\n{"sigma":3,"points":"[]"}\r\n`,
      ),
      Buffer.from(
        `--${boundary}\r\nContent-Disposition: form-data; name="image"; filename="vol 1;a.nii"\r\nContent-Type: application/octet-stream\r\n\r\n`,
      ),
      VOLUME,
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ]);
    const head = `POST /reading-room/5e3c/v1/segmentation?model=${SPLEEN} HTTP/1.0\r\nHost: localhost:5000\r\nContent-Type: multipart/form-data; boundary="${boundary}"\r\nContent-Length: ${body.length}\r\nConnection: Keep-Alive\r\n\r\n`;
    const reply = await send(Buffer.concat([Buffer.from(head), body]));
    assertWhole(reply);
    const { text, file } = pocoReads(reply);
    assert.equal((JSON.parse(text) as { points: number[][] }).points.length, 6);
    assert.equal(parseNifti(gunzipSync(file)).data[7], 1);
  });

  it('with OHIF: from another origin, with a preflight, the mask alone as an array buffer', async () => {
    const asked = await send(
      plainRequest('OPTIONS', `/reading-room/5e3c/v1/segmentation?model=${SPLEEN}&output=image`, [
        `Origin: ${VIEWER}`,
        'Access-Control-Request-Method: POST',
        'Access-Control-Request-Headers: accept,content-type',
        'Connection: close',
      ]),
    );
    assert.equal(asked.headers.get('access-control-allow-origin'), VIEWER);
    assert.match(asked.headers.get('access-control-allow-headers') ?? '', /accept,content-type/);
    const boundary = '----WebKitFormBoundaryXb7kQeRtY2uIoPaS';
    const body = Buffer.concat([
      Buffer.from(
        `--${boundary}\r\nContent-Disposition: form-data; name="params"\r\n\r\n{"result_extension":".nii","result_dtype":"uint16","result_compress":false}\r\n`,
      ),
      Buffer.from(
        `--${boundary}\r\nContent-Disposition: form-data; name="image"; filename="image.nii"\r\nContent-Type: application/octet-stream\r\n\r\n`,
      ),
      VOLUME,
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ]);
    const head = `POST /reading-room/5e3c/v1/segmentation?model=${SPLEEN}&output=image HTTP/1.1\r\nHost: localhost:5000\r\nOrigin: ${VIEWER}\r\nAccept: application/json,multipart/form-data\r\nAccept-Encoding: gzip, deflate, br\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\nContent-Type: multipart/form-data; boundary=${boundary}\r\nContent-Length: ${body.length}\r\n\r\n`;
    const reply = await send(Buffer.concat([Buffer.from(head), body]));
    assertWhole(reply);
    assert.equal(reply.headers.get('access-control-allow-origin'), VIEWER);
    assert.match(reply.headers.get('access-control-expose-headers') ?? '', /Content-Disposition/);
    assert.equal(parseNifti(reply.body).data.readUInt16LE(14), 1);
  });
});

/** Neither chunked nor compressed, whatever the client says that it takes. */
function assertWhole(reply: RawReply): void {
  assert.equal(reply.status, 200, reply.body.toString('utf8').slice(0, 300));
  assert.equal(Number(reply.headers.get('content-length')), reply.body.length);
  assert.equal(reply.headers.get('transfer-encoding'), undefined);
  assert.equal(reply.headers.get('content-encoding'), undefined);
}

/** As the C++ client does: a part with filename=" or octet-stream among its headers is the file, others are the text. */
function pocoReads({ headers, body }: RawReply): { readonly text: string; readonly file: Buffer } {
  const type = headers.get('content-type') ?? '';
  assert.ok(type.includes('multipart/form-data'), type);
  const boundary = /boundary="?([^";]+)"?/.exec(type)![1];
  let text = '';
  let file = Buffer.alloc(0);
  for (const part of body.toString('latin1').split(`--${boundary}`).slice(1, -1)) {
    const end = part.indexOf('\r\n\r\n');
    const content = Buffer.from(part.slice(end + 4, -2), 'latin1');
    if (/filename="|octet-stream/.test(part.slice(0, end))) file = content;
    else text = content.toString('utf8');
  }
  return { text, file };
}
