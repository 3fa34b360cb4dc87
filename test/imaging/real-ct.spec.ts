import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { gridWithSpacing, orientationOf, restoreOrientation, spacingOf, toCanonical } from '../../imaging/geometry';
import { dice, surfaceDistances } from '../../imaging/metrics';
import { type NiftiVolume, readNifti, writeNifti } from '../../imaging/nifti';
import { resampleMaskTo, resampleTo } from '../../imaging/resample';
import { chooseSlices, renderSlice } from '../../imaging/slice-image';
import type { Mask } from '../../imaging/volume';
import { temporaryFolder } from './temporary-folder';

/** A CT of the upper abdomen with a map of many labels, kept beside the repository. */
const CT_FOLDER = path.resolve(__dirname, '../../../shared/data/ct');
const SPLEEN = 1;

describe('a real CT', () => {
  const folder = temporaryFolder();
  let ct: NiftiVolume;
  let labels: NiftiVolume;
  let spleen: Mask;

  before(async function () {
    if (!existsSync(CT_FOLDER)) {
      console.log(`    skipped: there is no real CT in ${path.relative(process.cwd(), CT_FOLDER)}`);
      this.skip();
    }
    ct = await readNifti(path.join(CT_FOLDER, 'ct.nii.gz'));
    labels = await readNifti(path.join(CT_FOLDER, 'labels.nii.gz'));
    spleen = { geometry: labels.geometry, data: Uint8Array.from(labels.data, (label) => (label === SPLEEN ? 1 : 0)) };
  });

  it('is read with its grid, its orientation and its spleen', () => {
    assert.deepEqual(ct.geometry.shape, [122, 101, 30]);
    assert.deepEqual(spacingOf(ct.geometry), [3, 3, 3]);
    assert.equal(orientationOf(ct.geometry), 'RAS');
    assert.deepEqual(labels.geometry, ct.geometry);
    assert.equal(
      spleen.data.reduce((sum, value) => sum + value, 0),
      9452,
    );
  });

  it('is in Hounsfield units: soft tissue in the spleen, air at the corner', () => {
    const inSpleen = ct.data.filter((_, at) => spleen.data[at] === 1).sort();
    const median = inSpleen[inSpleen.length >> 1];
    assert.ok(median > 30 && median < 180, `the median spleen voxel has ${median} HU`);
    assert.ok(ct.data[0] < -900, `the corner has ${ct.data[0]} HU`);
  });

  it('keeps its spleen on the way to a working grid and back', () => {
    const working = gridWithSpacing(ct.geometry, [4, 4, 4]);
    const image = resampleTo(ct, working);
    assert.deepEqual(image.geometry.shape, [92, 76, 23]);
    for (const [method, least] of [
      ['nearest', 0.88],
      ['linear', 0.94],
    ] as const) {
      const back = resampleMaskTo(resampleMaskTo(spleen, working, method), ct.geometry, method);
      const overlap = dice(spleen.data, back.data);
      assert.ok(overlap > least, `${method}: Dice ${overlap}`);
      assert.ok(surfaceDistances(spleen, back)!.hausdorff95 <= 4, method);
    }
  });

  it('gives its grid to a mask to the bit, on disk too', async () => {
    const target = path.join(folder(), 'mask.nii.gz');
    const upright = toCanonical(spleen);
    const mask = restoreOrientation(upright, ct.geometry);
    await writeNifti(target, mask, { like: ct.header });
    const written = await readNifti(target);
    assert.deepEqual(written.geometry, ct.geometry);
    assert.deepEqual(written.data, spleen.data);
    const bytes = gunzipSync(await readFile(target));
    const original = gunzipSync(await readFile(path.join(CT_FOLDER, 'ct.nii.gz')));
    // Voxel sizes; units; qform and sform with their codes.
    for (const [from, to] of [
      [76, 108],
      [123, 124],
      [252, 328],
    ]) {
      assert.deepEqual(bytes.subarray(from, to), original.subarray(from, to));
    }
  });

  it("is drawn with the spleen on the right of the picture, at the patient's left and back", () => {
    const { axial } = chooseSlices(spleen);
    const colour = [255, 0, 0] as const;
    const { width, height, data } = renderSlice(ct, {
      plane: 'axial',
      index: axial,
      overlays: [{ mask: spleen, colour, fill: 1 }],
    });
    const sum = [0, 0, 0];
    for (let at = 0; at < width * height; at += 1) {
      if (data[at * 4] !== 255 || data[at * 4 + 1] !== 0) continue;
      sum[0] += 1;
      sum[1] += at % width;
      sum[2] += Math.floor(at / width);
    }
    assert.ok(sum[0] > 100, `${sum[0]} pixels`);
    assert.ok(sum[1] / sum[0] > width * 0.7, `column ${sum[1] / sum[0]} of ${width}`);
    assert.ok(sum[2] / sum[0] > height * 0.5, `row ${sum[2] / sum[0]} of ${height}`);
  });
});
