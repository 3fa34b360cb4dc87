import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { parseDicom } from 'dicom-parser';
import { encodeGreyPng } from '../../imaging/png';
import { decodePng } from '../../imaging/png-reader';
import { SECRET, sliceBytes } from '../imaging/dicom-bytes';
import { niftiBytes, parseNifti } from './support/nifti-bytes';
import { CPP, formRequest, jsonOf, type Part, PYTHON, plainRequest, replyParts, sentenceOf } from './support/raw-http';
import { servedSite } from './support/served-site';
import { SPLEEN } from './support/server';
import { zipOf } from './support/zip';

const ROWS = 3;
const COLUMNS = 4;
const PIXELS = ROWS * COLUMNS;

/** Three slices, 5 mm apart; the organ (50 and more) is the last pixel of each, and all of slice 1. */
const slices = [2, 0, 1].map((n) =>
  sliceBytes({
    rows: ROWS,
    columns: COLUMNS,
    position: [-10, -20, 5 * n],
    pixels: Array.from({ length: PIXELS }, (_, at) => (n === 1 || at === PIXELS - 1 ? 100 : 0)),
    uid: `1.2.3.9.${n}`,
  }),
);
const MASK = Uint8Array.from({ length: 3 * PIXELS }, (_, at) =>
  Math.floor(at / PIXELS) === 1 || at % PIXELS === PIXELS - 1 ? 1 : 0,
);

describe('the annotation server takes and gives', () => {
  const served = servedSite();

  const asSeries = (): Part[] =>
    slices.map((content, n) => ({ name: `image${n}`, filename: `C:\\x\\${n}.dcm`, content }));
  const send = (target: string, parts: readonly Part[], method = 'POST', dialect = PYTHON) =>
    served.send(formRequest(dialect, method, target, parts));
  const inference = (params: object, parts: readonly Part[], more = '') =>
    send(`/v1/inference?model=${SPLEEN}&output=image${more}`, [
      { name: 'params', content: JSON.stringify(params) },
      ...parts,
    ]);

  it('a DICOM series, file by file or zipped, and a mask on its grid', async () => {
    const archive = await zipOf({
      'a/1.dcm': slices[0],
      'a/2': slices[1],
      'readme.txt': 'x',
      'a/3': slices[2],
      DICOMDIR: 'x',
    });
    for (const parts of [asSeries(), [{ name: 'datapoint', filename: 'series.zip', content: archive }]]) {
      const reply = await inference({}, parts);
      assert.equal(reply.status, 200, reply.body.toString('latin1', 0, 300));
      const mask = parseNifti(gunzipSync(reply.body));
      assert.deepEqual(mask.shape, [COLUMNS, ROWS, 3]);
      assert.deepEqual(Uint8Array.from(mask.data), MASK);
      const rows = Array.from({ length: 12 }, (_, at) => mask.sform.readFloatLE(4 * at) + 0);
      assert.deepEqual(rows, [-3, 0, 0, 10, 0, -2, 0, 20, 0, 0, 5, 0]);
    }
  });

  it('a DICOM segmentation of a series, also one that is kept in a session, whose end takes all of it away', async () => {
    const opened = await send('/session/', asSeries(), 'PUT');
    assert.equal(opened.status, 200, opened.body.toString());
    const { session_id: id } = jsonOf(opened) as { session_id: string };
    const sent = await inference({ result_extension: '.dcm' }, asSeries());
    const kept = await inference({ result_extension: '.dcm' }, [], `&session_id=${id}`);
    for (const reply of [sent, kept]) {
      assert.equal(reply.status, 200, reply.body.toString('latin1', 0, 300));
      const seg = parseDicom(reply.body);
      assert.equal(seg.string('x00080060'), 'SEG');
      assert.equal(seg.string('x00280008'), '3');
      assert.equal(seg.string('x0020000d'), '1.2.3.1');
      const segment = seg.elements.x00620002.items![0].dataSet!;
      assert.deepEqual([segment.string('x00620005'), segment.string('x00620009')], ['spleen', SPLEEN]);
    }
    await served.send(Buffer.from(`DELETE /session/${id} HTTP/1.1\r\nHost: x\r\n\r\n`));
    assert.deepEqual(await readdir(path.join(served.site.workspace, 'sessions')), []);
  });

  it('a DICOM segmentation of a series that the datastore keeps, and of one that is sent to MONAI Label', async () => {
    const archive = { filename: 'series.zip', content: await zipOf({ a: slices[0], b: slices[1], c: slices[2] }) };
    const put = await send('/datastore/?image=ct', [{ name: 'file', ...archive }], 'PUT');
    assert.equal(put.status, 200, put.body.toString());
    const params = { name: 'params', content: '{}' };
    for (const [target, parts] of [
      [`/infer/${SPLEEN}?output=dicom_seg&image=ct`, [params]],
      [`/infer/${SPLEEN}?output=dicom_seg`, [params, { name: 'file', ...archive }]],
    ] as const) {
      const reply = await send(target, parts);
      assert.equal(reply.status, 200, reply.body.toString('latin1', 0, 300));
      assert.equal(reply.headers.get('content-type'), 'application/dicom');
      assert.equal(parseDicom(reply.body).string('x00080060'), 'SEG');
    }
    await served.send(plainRequest('DELETE', '/datastore/?id=ct&type=image'));
    assert.deepEqual(await readdir(path.join(served.site.workspace, 'datastore')), []);
  });

  it('a DICOM segmentation only of a series', async () => {
    const volume = niftiBytes({ shape: [2, 2, 2], voxels: [0, 0, 0, 0, 100, 0, 0, 0] });
    const reply = await inference({ result_extension: '.dcm' }, [
      { name: 'image', filename: 'a.nii', content: volume },
    ]);
    assert.equal(reply.status, 400);
    assert.match(sentenceOf(reply), /send the DICOM series itself/);
  });

  it('the largest piece alone, when that is asked for', async () => {
    const pieces = {
      name: 'image',
      filename: 'a.nii',
      content: niftiBytes({ shape: [6, 1, 1], voxels: [0, 90, 0, 90, 90, 0] }),
    };
    for (const [params, expected] of [
      [{}, [0, 1, 0, 1, 1, 0]],
      [{ largest_cc: true }, [0, 0, 0, 1, 1, 0]],
      [{ largest_cc: 1 }, [0, 0, 0, 1, 1, 0]],
    ] as const) {
      assert.deepEqual([...parseNifti(gunzipSync((await inference(params, [pieces])).body)).data], expected);
    }
  });

  it('one sentence about a series that is none, without the names of files or patients', async () => {
    const other = sliceBytes({
      rows: ROWS,
      columns: COLUMNS,
      position: [-10, -20, 40],
      pixels: new Array(PIXELS).fill(0),
    });
    const reply = await inference({}, [...asSeries(), { name: 'image3', filename: 'jones.dcm', content: other }]);
    assert.equal(reply.status, 400);
    assert.match(sentenceOf(reply), /slices are missing between file 1 and file 4/);
    assert.ok(!reply.body.includes(SECRET.slice(0, 6)) && !reply.body.includes('jones'));
  });

  it('NRRD, as OHIF asks for it', async () => {
    const header = [
      'NRRD0004',
      'type: short',
      'dimension: 3',
      'space: left-posterior-superior',
      'sizes: 2 1 2',
      'space directions: (0.5,0,0) (0,0.25,0.125) (0,-0.5,1)',
      'endian: little',
      'encoding: raw',
      'space origin: (1,2,3)',
      '',
      '',
    ].join('\n');
    const content = Buffer.concat([Buffer.from(header), Buffer.from(Int16Array.of(0, 60, 70, 0).buffer)]);
    const params = { result_extension: '.nrrd', result_dtype: 'uint16', result_compress: true };
    const reply = await inference(params, [{ name: 'image', filename: 'a.nrrd', content }]);
    assert.equal(reply.status, 200, reply.body.toString('latin1', 0, 300));
    const end = reply.body.indexOf('\n\n') + 2;
    const lines = reply.body.toString('latin1', 0, end).split('\n');
    for (const line of [
      'type: unsigned short',
      'sizes: 2 1 2',
      'space: left-posterior-superior',
      'space directions: (0.5,0,0) (0,0.25,0.125) (0,-0.5,1)',
      'space origin: (1,2,3)',
      'encoding: gzip',
    ]) {
      assert.ok(lines.includes(line), `${line}: ${lines.join(' | ')}`);
    }
    const voxels = gunzipSync(reply.body.subarray(end));
    assert.deepEqual(
      [0, 2, 4, 6].map((at) => voxels.readUInt16LE(at)),
      [0, 1, 1, 0],
    );
  });

  describe('polygons', () => {
    /** 1 in columns 2 to 5 and rows 3 to 8 of slice 1. */
    const voxels = Array.from({ length: 3 * 120 }, (_, at) => {
      const [i, j, k] = [at % 10, Math.floor(at / 10) % 12, Math.floor(at / 120)];
      return k === 1 && i >= 2 && i <= 5 && j >= 3 && j <= 8 ? 1 : 0;
    });
    const mask = niftiBytes({ shape: [10, 12, 3], voxels });
    const params = (value: object): Part => ({ name: 'params', content: JSON.stringify(value) });
    const BOX = [
      [],
      [
        [
          [2, 3],
          [5, 3],
          [5, 8],
          [2, 8],
        ],
      ],
      [],
    ];

    it('of a mask, slice by slice', async () => {
      const parts = [params({ more_points: 100 }), { name: 'datapoint', filename: 'm.nii', content: mask }];
      assert.deepEqual(sorted(jsonOf(await send('/v1/mask2polygon', parts))), sorted(BOX));
    });

    it('as the C++ client reads them: rows first in volumes', async () => {
      const parts = [params({ more_points: 100 }), { name: 'image', filename: 'm.nii', content: mask }];
      const turned = BOX.map((polygons) => polygons.map((polygon) => polygon.map(([x, y]) => [y, x])));
      assert.deepEqual(sorted(jsonOf(await send('/v1/mask2polygon', parts, 'POST', CPP))), sorted(turned));
    });

    it('moved in a volume, with the mask that they then enclose', async () => {
      const edit = {
        poly: BOX,
        vertex_offset: [2, -1],
        dimension: 3,
        slice_index: 1,
        polygon_index: 0,
        vertex_index: 1,
        propagate_neighbor: 0,
        propagate_neighbor_3d: 1,
      };
      const reply = replyParts(
        await send('/v1/fixpolygon', [params(edit), { name: 'datapoint', filename: 'm.nii', content: mask }]),
      );
      assert.deepEqual(JSON.parse(reply.params), {
        poly: [
          [],
          [
            [
              [2, 3],
              [7, 2],
              [5, 8],
              [2, 8],
            ],
          ],
          [],
        ],
      });
      const found = parseNifti(gunzipSync(reply.file));
      assert.deepEqual(found.shape, [10, 12, 3]);
      assert.equal(found.data[120 + 2 * 10 + 7], 1);
      assert.equal(found.data.subarray(0, 120).indexOf(1), -1);
    });

    it('moved in a picture, as MITK sends one, in the words of older clients too', async () => {
      const picture = encodeGreyPng({ width: 10, height: 12, data: new Uint8Array(120) });
      const before = BOX[1];
      const after = [
        [
          [2, 3],
          [7, 2],
          [5, 8],
          [2, 8],
        ],
      ];
      const current = {
        poly: before,
        vertex_offset: [2, -1],
        dimension: 2,
        polygon_index: 0,
        vertex_index: 1,
        propagate_neighbor: 0,
      };
      const older = {
        prev_poly: before,
        vertexOffset: [2, -1],
        dimension: 2,
        polygonIndex: 0,
        vertexIndex: 1,
        propagate_neighbor: 0,
      };
      const oldest = { prev_poly: before, poly: after, polygonIndex: 0, vertexIndex: 1, propagate_neighbor: 0 };
      for (const edit of [current, older, oldest]) {
        const parts = [params(edit), { name: 'image', filename: 's.png', content: picture }];
        const reply = replyParts(await send('/v1/fixpolygon', parts, 'POST', CPP));
        assert.deepEqual(JSON.parse(reply.params), { poly: after });
        const found = decodePng(reply.file, 'reply');
        assert.deepEqual([found.width, found.height], [10, 12]);
        assert.equal(found.data[2 * 10 + 7], 1);
        assert.equal(found.data[0], 0);
      }
    });

    it('refused with every fault, or with what does not fit', async () => {
      const bad = await send('/v1/fixpolygon', [
        params({ poly: 7, dimension: 2 }),
        { name: 'image', filename: 'm.nii', content: mask },
      ]);
      assert.equal(bad.status, 400);
      assert.match(sentenceOf(bad), /poly .*polygon_index.*vertex_index/);
      const edit = {
        poly: [[]],
        vertex_offset: [1, 1],
        dimension: 3,
        slice_index: 0,
        polygon_index: 0,
        vertex_index: 0,
      };
      const short = await send('/v1/fixpolygon', [params(edit), { name: 'image', filename: 'm.nii', content: mask }]);
      assert.match(sentenceOf(short), /polygons of 1 slices, and the volume has 3/);
    });
  });
});

/** Polygons that start anywhere and go round either way. */
function sorted(slices: unknown): string[][][] {
  return (slices as number[][][][]).map((polygons) => polygons.map((polygon) => polygon.map(String).sort()));
}
