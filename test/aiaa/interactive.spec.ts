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
  PYTHON,
  plainRequest,
  type RawReply,
  replyParts,
  sentenceOf,
} from './support/raw-http';
import { eventually, Site } from './support/server';

const POINTS_MODEL = 'annotation_ct_organ';
const SHAPE = [24, 22, 16] as const;
const CENTRE = [12, 11, 8] as const;
const RADII = [6, 5, 4] as const;
const POINTS = [0, 1, 2].flatMap((axis) =>
  [-1, 1].map((side) => CENTRE.map((index, at) => (at === axis ? index + side * RADII[axis] : index))),
);

const insideBall = (at: number): boolean => {
  const index = [at % SHAPE[0], Math.floor(at / SHAPE[0]) % SHAPE[1], Math.floor(at / (SHAPE[0] * SHAPE[1]))];
  return index.reduce((sum, value, axis) => sum + ((value - CENTRE[axis]) / (RADII[axis] + 0.5)) ** 2, 0) <= 1;
};
const VOXELS = Int16Array.from({ length: SHAPE[0] * SHAPE[1] * SHAPE[2] }, (_, at) =>
  Math.round((insideBall(at) ? 120 : 0) + 6 * Math.sin(at * 12.9898)),
);
const VOLUME = niftiBytes({ shape: SHAPE, voxels: VOXELS });

describe('AIAA models that a person points for', () => {
  let site: Site;
  let server: AnnotationServer;
  before(async () => {
    site = await Site.make();
    server = await site.serve({ limits: { healthCacheMs: 0 } });
  });
  after(() => site.clear());
  afterEach(() => eventually('no short-lived file is left', async () => (await site.leftovers()).length === 0));

  const get = async (target: string) => jsonOf(await exchange(server.port, plainRequest('GET', target)));

  const ask = (target: string, params: object, dialect: Dialect = PYTHON, volume: Buffer | undefined = VOLUME) =>
    exchange(
      server.port,
      formRequest(dialect, 'POST', target, [
        { name: 'params', content: JSON.stringify(params) },
        ...(volume === undefined ? [] : [{ name: 'datapoint', filename: 'C:\\scans\\a.nii', content: volume }]),
      ]),
    );

  function maskOf(reply: RawReply): Uint8Array {
    assert.equal(reply.status, 200, reply.body.toString('latin1', 0, 300));
    return parseNifti(gunzipSync(replyParts(reply).file)).data;
  }

  function assertBall(mask: Uint8Array, most = 0.1): void {
    const wrong = mask.reduce((sum, value, at) => sum + (value === (insideBall(at) ? 1 : 0) ? 0 : 1), 0);
    const size = VOXELS.reduce((sum, _, at) => sum + (insideBall(at) ? 1 : 0), 0);
    assert.ok(wrong < most * size, `${wrong} of ${size} voxels are wrong`);
  }

  it('lists them, without any published model, as Slicer reads them', async () => {
    const models = (await get('/v1/models')) as Record<string, unknown>[];
    assert.deepEqual(
      models.map(({ name, type, deepgrow }) => [name, type, deepgrow]),
      [
        [POINTS_MODEL, 'annotation', undefined],
        ['clara_deepgrow_ct_2d', 'deepgrow', '2D'],
        ['clara_deepgrow_ct_3d', 'deepgrow', '3D'],
      ],
    );
    for (const { labels, description, version } of models) {
      assert.ok(Array.isArray(labels) && labels.length === 1);
      assert.ok(typeof description === 'string' && description.length > 0);
      assert.equal(typeof version, 'string');
    }
    const { padding, roi } = (await get(`/v1/models?model=${POINTS_MODEL}`)) as Record<string, unknown>;
    assert.deepEqual({ padding, roi }, { padding: 20, roi: [128, 128, 128] });
    assert.equal(((await get('/health')) as { status: string }).status, 'ok');
  });

  it('answers extreme points on every endpoint that clients use, slash or not, as text of JSON too', async () => {
    const mask = maskOf(await ask(`/v1/dextr3d?model=${POINTS_MODEL}`, { points: POINTS }));
    assertBall(mask);
    for (const [target, params, dialect] of [
      [`/v1/dextr3d/?model=${POINTS_MODEL}`, { points: JSON.stringify(POINTS) }, CPP],
      [`/v1/inference?model=${POINTS_MODEL}`, { points: POINTS }, OHIF],
    ] as const) {
      assert.deepEqual(maskOf(await ask(target, params, dialect)), mask, target);
    }
    const alone = await ask(`/v1/dextr3d?model=${POINTS_MODEL}&output=image`, { points: POINTS });
    assert.deepEqual(parseNifti(gunzipSync(alone.body)).data, mask);
  });

  it('answers them for the volume of a session', async () => {
    const kept = await exchange(
      server.port,
      formRequest(PYTHON, 'PUT', '/session/?expiry=0', [{ name: 'image', filename: 'a.nii', content: VOLUME }]),
    );
    const { session_id: id } = jsonOf(kept) as { session_id: string };
    const reply = await ask(
      `/v1/dextr3d?model=${POINTS_MODEL}&session_id=${id}`,
      { points: POINTS },
      PYTHON,
      undefined,
    );
    assertBall(maskOf(reply));
    const clicked = { foreground: [CENTRE], background: [], current_point: CENTRE };
    maskOf(await ask(`/v1/deepgrow?model=clara_deepgrow_ct_3d&session_id=${id}`, clicked, PYTHON, undefined));
  });

  it('answers clicks in 3D with a full volume and the part that was looked at', async () => {
    const clicks = { foreground: [CENTRE], background: [[1, 1, 1]], current_point: [CENTRE], spatial_size: [128, 128] };
    const reply = await ask('/v1/deepgrow?model=clara_deepgrow_ct_3d', clicks);
    const mask = maskOf(reply);
    assertBall(mask, 0.25); // of one click
    assert.deepEqual(
      (JSON.parse(replyParts(reply).params) as { crop: unknown }).crop,
      SHAPE.map((size) => [0, size]),
    );
    assert.deepEqual(maskOf(await ask('/v1/inference/?model=clara_deepgrow_ct_3d', clicks)), mask);
  });

  it('answers clicks in 2D with the slice of the last click, written either way', async () => {
    const plane = SHAPE[0] * SHAPE[1];
    const clicks = { foreground: [[12, 11, 5], CENTRE], background: [] };
    const mask = maskOf(await ask('/v1/deepgrow?model=clara_deepgrow_ct_2d', { ...clicks, current_point: CENTRE }));
    const filled = new Set(
      [...mask.entries()].filter(([, value]) => value !== 0).map(([at]) => Math.floor(at / plane)),
    );
    assert.deepEqual([...filled], [CENTRE[2]]);
    assert.equal(mask.length, VOXELS.length);
    for (const current_point of [[CENTRE], JSON.stringify(CENTRE)]) {
      const again = await ask('/v1/inference?model=clara_deepgrow_ct_2d', { ...clicks, current_point });
      assert.deepEqual(maskOf(again), mask);
    }
    const beyond = { foreground: [[12, 11, SHAPE[2]]] }; // as the python client has it after cropping
    const last = maskOf(await ask('/v1/deepgrow?model=clara_deepgrow_ct_2d', beyond));
    assert.ok(last.slice(-plane).some((value) => value !== 0));
  });

  it('refuses what cannot be answered, with one sentence', async () => {
    const bad = async (target: string, params: object, sentence: RegExp) => {
      const reply = await ask(target, params);
      assert.equal(reply.status, 400, reply.body.toString());
      assert.match(sentenceOf(reply), sentence);
    };
    const dextr3d = `/v1/dextr3d?model=${POINTS_MODEL}`;
    await bad(dextr3d, { points: POINTS.slice(1) }, /5 extreme points; send six or more/);
    await bad(dextr3d, {}, /0 extreme points/);
    await bad(dextr3d, { points: [...POINTS, [99, 1, 1]] }, /\[99, 1, 1\] lies outside the volume of 24 x 22 x 16/);
    await bad(dextr3d, { points: [...POINTS, [1, 2]] }, /points/);
    await bad(dextr3d, { points: [...POINTS, [-1, 2, 2]] }, /whole number of 0 or more/);
    const deepgrow = '/v1/deepgrow?model=clara_deepgrow_ct_3d';
    await bad(deepgrow, { foreground: [], background: [CENTRE] }, /no foreground click/);
    await bad(deepgrow, { foreground: [[24, 99, 0]] }, /foreground click \[24, 99, 0\] lies outside/);
    await bad(deepgrow, { foreground: 'here' }, /foreground/);
    await bad('/v1/dextr3d?model=clara_deepgrow_ct_3d', { points: POINTS }, /of type deepgrow; extreme points are/);
    await bad(`/v1/deepgrow?model=${POINTS_MODEL}`, { foreground: [CENTRE] }, /of type annotation; clicks are/);
    await bad(`/v1/segmentation?model=${POINTS_MODEL}`, { points: POINTS }, /a volume alone is segmented/);
  });
});
