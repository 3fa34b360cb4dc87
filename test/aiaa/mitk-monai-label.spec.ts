import assert from 'node:assert/strict';
import { gunzipSync, gzipSync } from 'node:zlib';
import { niftiBytes, parseNifti } from './support/nifti-bytes';
import { type Dialect, formRequest, plainRequest, sentenceOf } from './support/raw-http';
import { servedSite } from './support/served-site';
import { SPLEEN } from './support/server';

/**
 * What the tools "MONAI Label 2D" and "3D" of MITK send and read (mitkMonaiLabelTool.cpp): models sorted by type and dimension, forms of
 * cpp-httplib, replies taken apart by hand.
 */
const HTTPLIB: Dialect = {
  version: '1.1',
  boundary: '--httplib-multipart-data-a1B2c3D4e5F6g7H8',
  quoted: false,
  epilogue: '',
};
const SIDE = 24;

/** A bright disc in one slice, or a ball, in a volume with voxels of 1 mm, as MITK writes what it shows. */
function ball(slices: number): Buffer {
  const middle = [SIDE >> 1, SIDE >> 1, slices >> 1];
  const voxels = Array.from({ length: SIDE * SIDE * slices }, (_, at) => {
    const voxel = [at % SIDE, Math.floor(at / SIDE) % SIDE, Math.floor(at / (SIDE * SIDE))];
    return Math.hypot(...voxel.map((index, axis) => index - middle[axis])) <= 6 ? 120 : -80;
  });
  const srow = [
    [1, 0, 0, 0],
    [0, 1, 0, 0],
    [0, 0, 1, 0],
  ] as const;
  return gzipSync(niftiBytes({ shape: [SIDE, SIDE, slices], voxels, srow }));
}

describe('AIAA for the MONAI Label tools of MITK', () => {
  const { send, json } = servedSite();

  const infer = (model: string, params: object, volume: Buffer) =>
    send(
      formRequest(HTTPLIB, 'POST', `/infer/${model}`, [
        { name: 'params', content: JSON.stringify(params) },
        { name: 'file', filename: 'post_from_mitk.nii.gz', type: 'application/octet-stream', content: volume },
      ]),
    );

  /** As MITK does: whatever is between boundaries, and in each part whatever follows its content type. */
  async function inferred(model: string, params: object, volume: Buffer) {
    const reply = await infer(model, params, volume);
    assert.equal(reply.status, 200, reply.body.toString('utf8').slice(0, 300));
    const boundary = `--${reply.headers.get('content-type')!.split('boundary=')[1]}`;
    const [told, image] = reply.body
      .toString('latin1')
      .split(boundary)
      .filter((part) => part !== '');
    const behind = (part: string, type: string) =>
      part.slice(part.indexOf(type) + type.length).replace(/^[ \n\r]+/, '');
    // Of the bytes after the end of a gzip file, here the line break before the boundary, zlib's gzread takes no notice.
    const file = Buffer.from(behind(image, 'Content-Type: application/octet-stream').replace(/\r\n$/, ''), 'latin1');
    return {
      told: JSON.parse(behind(told, 'Content-Type: application/json')) as { label_names: Record<string, number> },
      mask: parseNifti(gunzipSync(file)),
    };
  }

  it('offers models by type and dimension', async () => {
    const { models } = await json<{ models: Record<string, { type: string; dimension: number }> }>(
      plainRequest('GET', '/info/'),
    );
    const offered = (type: string, dimension: number) =>
      Object.keys(models).filter((name) => models[name].type === type && models[name].dimension === dimension);
    assert.deepEqual(offered('deepgrow', 2), ['clara_deepgrow_ct_2d']);
    assert.deepEqual(offered('deepgrow', 3), ['clara_deepgrow_ct_3d']);
    assert.deepEqual(offered('segmentation', 3), [SPLEEN]);
  });

  it('answers clicks in the one slice that it sends, and in a volume', async () => {
    const at = SIDE >> 1;
    const rest = { background: [], reset_state: true };
    const flat = await inferred('clara_deepgrow_ct_2d', { foreground: [[at, at, 0]], ...rest }, ball(1));
    assert.deepEqual(flat.mask.shape, [SIDE, SIDE, 1]);
    assert.equal(flat.mask.data[at * SIDE + at], 1);
    assert.equal(flat.mask.data[0], 0);
    const deep = await inferred('clara_deepgrow_ct_3d', { foreground: [[at, at, 8]], ...rest }, ball(16));
    const found = [...deep.mask.data.keys()].filter((voxel) => deep.mask.data[voxel] === 1);
    assert.ok(found.length > 300, `${found.length} voxels of a ball of 925`);
    const distance = (voxel: number) =>
      Math.hypot((voxel % SIDE) - at, (Math.floor(voxel / SIDE) % SIDE) - at, Math.floor(voxel / SIDE ** 2) - 8);
    assert.ok(found.every((voxel) => distance(voxel) < 8));
  });

  it('answers extreme points and models that need none', async () => {
    const points = [0, 1, 2].flatMap((axis) =>
      [-6, 6].map((step) => [12, 12, 8].map((v, a) => v + (a === axis ? step : 0))),
    );
    const { mask } = await inferred('annotation_ct_organ', { points }, ball(16));
    assert.equal(mask.data[(8 * SIDE + 12) * SIDE + 12], 1);
    const { told } = await inferred(SPLEEN, { restore_label_idx: true }, ball(16));
    assert.deepEqual(told.label_names, { spleen: 1 });
  });

  it('says what is missing', async () => {
    const none = await infer('clara_deepgrow_ct_3d', { foreground: [], background: [] }, ball(2));
    assert.match(sentenceOf(none), /was given no foreground click/);
    assert.match(sentenceOf(await infer('annotation_ct_organ', {}, ball(2))), /0 extreme points; send six or more/);
  });
});
