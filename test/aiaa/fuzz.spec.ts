import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { sliceBytes } from '../imaging/dicom-bytes';
import { DEAF, ORDER } from './support/fake-engine';
import { niftiBytes, volumeThat } from './support/nifti-bytes';
import { CPP, formBody, formRequest, PYTHON, type RawReply, sentenceOf } from './support/raw-http';
import { servedSite } from './support/served-site';
import { eventually, figure, SPLEEN } from './support/server';

const PARTS = [
  { name: 'params', content: '{"result_dtype":"uint16"}' },
  {
    name: 'image',
    filename: 'C:\\Doe;"^John.nii.gz',
    type: 'application/octet-stream',
    content: volumeThat(ORDER.threshold),
  },
];
const TARGETS = [
  ['POST', `/v1/inference?model=${SPLEEN}`],
  ['PUT', '/session/?expiry=1'],
  ['POST', `/infer/${SPLEEN}?output=json`],
  ['PUT', '/datastore/?image=a'],
] as const;
/** What parsers of forms trip over. */
const SPICES = [
  '\r\n',
  '\r\n\r\n',
  '--',
  '"',
  ';',
  '=',
  '\0',
  '\u00ff',
  'Content-Disposition: form-data',
  "filename*=UTF-8''%00",
  'name=',
];

/** One edit of a body. */
const edits = fc.oneof(
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat(1000), count: fc.integer({ min: 1, max: 60 }) }),
  fc.record({ kind: fc.constant('insert' as const), at: fc.nat(1000), text: fc.constantFrom(...SPICES) }),
  fc.record({ kind: fc.constant('repeat' as const), at: fc.nat(1000), count: fc.integer({ min: 1, max: 200 }) }),
  fc.record({ kind: fc.constant('change' as const), at: fc.nat(1000), byte: fc.nat(255) }),
);

function edited(body: Buffer, edit: typeof edits extends fc.Arbitrary<infer T> ? T : never): Buffer {
  const at = edit.at % body.length;
  const [before, after] = [body.subarray(0, at), body.subarray(at)];
  if (edit.kind === 'cut') return Buffer.concat([before, after.subarray(edit.count)]);
  if (edit.kind === 'insert') return Buffer.concat([before, Buffer.from(edit.text, 'latin1'), after]);
  if (edit.kind === 'repeat') return Buffer.concat([before, after.subarray(0, edit.count), after]);
  return Buffer.concat([before, Buffer.from([edit.byte]), after.subarray(1)]);
}

describe('AIAA forms that are broken in every way', () => {
  const log: string[] = [];
  const served = servedSite({ logTo: { write: (line) => void log.push(line) }, logLevel: 'trace' });

  it('are answered, with a sentence when they are refused, and leave nothing behind', async () => {
    const dialects = fc.constantFrom(PYTHON, CPP);
    const bodies = fc.array(edits, { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...TARGETS), dialects, bodies, async ([method, target], dialect, changes) => {
        const body = changes.reduce(edited, formBody(dialect, PARTS));
        const boundary = dialect.quoted ? `"${dialect.boundary}"` : dialect.boundary;
        const head = [
          `${method} ${target} HTTP/${dialect.version}`,
          'Host: 127.0.0.1:5000',
          `Content-Type: multipart/form-data; boundary=${boundary}`,
          `Content-Length: ${body.length}`,
          'Connection: close',
        ];
        const reply = await served.send(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]));
        assertAnswered(reply);
      }),
      { numRuns: 80 },
    );
    await eventually('nothing is left', async () => (await served.site.leftovers()).length === 0);
    assert.match(log.join(''), /"msg":"request"/);
    assert.doesNotMatch(log.join(''), /Doe/, 'the log repeats nothing of what clients sent');
  });

  it('do not keep others from their answers', async () => {
    const good = formRequest(PYTHON, 'POST', `/infer/${SPLEEN}?output=json`, PARTS);
    assert.deepEqual(Object.keys(await served.json<object>(good)), ['label_names', 'centroids']);
  });
});

function assertAnswered(reply: RawReply): void {
  if (reply.status === 200) return;
  assert.ok(reply.status >= 400 && reply.status < 500, `${reply.status}: ${reply.body.toString('utf8')}`);
  assert.ok(sentenceOf(reply).length > 10);
}

const SHAPE = [4, 3, 2] as const;
const VOXELS = Int16Array.from({ length: 24 }, (_, at) => 10 * at);
const NRRD = Buffer.concat([
  Buffer.from(
    'NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 4 3 2\nspace directions: (2,0,0) (0,2,0) (0,0,3)\n' +
      'kinds: domain domain domain\nendian: little\nencoding: raw\nspace origin: (1,2,3)\n\n',
  ),
  Buffer.from(VOXELS.buffer),
]);
const slice = (n: number) =>
  sliceBytes({
    rows: 3,
    columns: 4,
    position: [0, 0, 5 * n],
    pixels: VOXELS.subarray(12 * n, 12 * n + 12),
    uid: `1.2.3.9.${n}`,
  });
/** What is broken, up to the end of its header, and what is sent whole beside it. */
const VOLUMES = {
  nifti: { content: niftiBytes({ shape: SHAPE, voxels: VOXELS }), header: 352, beside: [] },
  nrrd: { content: NRRD, header: NRRD.length - VOXELS.byteLength, beside: [] },
  dicom: { content: slice(0), header: slice(0).length - 24, beside: [slice(1)] },
} as const;
/** Bytes that make sizes, offsets and types extreme. */
const EXTREMES = [0, 1, 2, 0x20, 0x2d, 0x39, 0x40, 0x7f, 0x80, 0xff];
const MAX_VOLUME = 2 ** 22;
/** What a process keeps of some dozen volumes that may have 2^22 bytes each; broken headers ask for gigabytes and more. */
const MAX_GROWTH = 2 ** 26;

describe('AIAA volumes with headers that are broken in every way', function () {
  this.timeout(120_000);
  const limits = { volumeBytes: MAX_VOLUME, inferenceMs: 20_000 };
  const served = servedSite({ limits }, (site) => site.publish('1', DEAF));
  const segment = (...files: readonly Buffer[]) =>
    served.send(
      formRequest(PYTHON, 'POST', `/v1/inference?model=${SPLEEN}`, [
        { name: 'params', content: '{}' },
        ...files.map((content, at) => ({ name: `image${at}`, filename: 'a', content })),
      ]),
    );
  const residentBytes = () => figure(served.server, 'clara_aiaa_worker_resident_bytes');

  for (const [format, { content, header, beside }] of Object.entries(VOLUMES)) {
    it(`are answered, by the same process and within its memory: ${format}`, async () => {
      assert.equal((await segment(content, ...beside)).status, 200, 'it is good before it is broken');
      const [worker] = served.server.workers;
      // A process says what it holds behind its answer.
      await eventually('the process is idle', async () => (await residentBytes()) > 0);
      const before = await residentBytes();
      const changes = fc.array(
        fc.record({ at: fc.nat(header - 1), to: fc.constantFrom(...EXTREMES), long: fc.boolean() }),
        { minLength: 1, maxLength: 5 },
      );
      await fc.assert(
        fc.asyncProperty(changes, fc.boolean(), async (edits, zip) => {
          const broken = Buffer.from(content);
          for (const { at, to, long } of edits) broken.fill(to, at, long ? at + 4 : at + 1);
          const gzipped = zip && format === 'nifti';
          assertAnswered(await segment(gzipped ? gzipSync(broken) : broken, ...beside));
        }),
        { numRuns: 60 },
      );
      assert.equal((await segment(content, ...beside)).status, 200);
      assert.deepEqual(served.server.workers, [worker], 'no process died of it');
      const grown = (await residentBytes()) - before;
      assert.ok(grown < MAX_GROWTH, `grown by ${Math.round(grown / 2 ** 20)} MiB`);
    });
  }
});
