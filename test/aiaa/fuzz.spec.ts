import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { AnnotationServer } from '../../aiaa/server';
import { ORDER } from './support/fake-engine';
import { volumeThat } from './support/nifti-bytes';
import { CPP, exchange, formBody, formRequest, jsonOf, PYTHON, sentenceOf } from './support/raw-http';
import { eventually, Site, SPLEEN } from './support/server';

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
  let site: Site;
  let server: AnnotationServer;
  const log: string[] = [];
  before(async () => {
    site = await Site.make();
    await site.publish();
    server = await site.serve({ logTo: { write: (line) => void log.push(line) }, logLevel: 'trace' });
  });
  after(() => site.clear());

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
        const reply = await exchange(server.port, Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]));
        if (reply.status === 200) return;
        assert.ok(reply.status >= 400 && reply.status < 500, `${reply.status}: ${reply.body.toString('utf8')}`);
        assert.ok(sentenceOf(reply).length > 10);
      }),
      { numRuns: 80 },
    );
    await eventually('nothing is left', async () => (await site.leftovers()).length === 0);
    assert.match(log.join(''), /"msg":"request"/);
    assert.doesNotMatch(log.join(''), /Doe/, 'the log repeats nothing of what clients sent');
  });

  it('do not keep others from their answers', async () => {
    const good = formRequest(PYTHON, 'POST', `/infer/${SPLEEN}?output=json`, PARTS);
    assert.deepEqual(Object.keys(jsonOf(await exchange(server.port, good)) as object), ['label_names', 'centroids']);
  });
});
