import assert from 'node:assert/strict';
import { type DataSet, parseDicom } from 'dicom-parser';
import fc from 'fast-check';
import { encodeSegmentation, readDicomSeries, seriesReferenceSchema } from '../../imaging/dicom';
import { SECRET, sliceBytes } from './dicom-bytes';

/** Read back with a library that shares nothing with the writer. */
const ROWS = 3;
const COLUMNS = 5;
const SLICES = 4;
const PIXELS = ROWS * COLUMNS;

function items(dataSet: DataSet | undefined, tag: string): DataSet[] {
  return (dataSet?.elements[tag]?.items ?? []).map((item) => item.dataSet!);
}

async function seriesOf() {
  const files = Array.from({ length: SLICES }, (_, n) =>
    sliceBytes({
      rows: ROWS,
      columns: COLUMNS,
      position: [1.5, -2.25, 4 * n],
      pixels: new Array(PIXELS).fill(n),
      uid: `1.2.3.9.${n}`,
    }),
  );
  return readDicomSeries([files[3], files[1], files[0], files[2]]);
}

/** The mask, put together again from the frames and what they say of themselves. */
function maskOf(seg: DataSet): Uint8Array {
  const bits = seg.elements.x7fe00010;
  const mask = new Uint8Array(PIXELS * SLICES);
  for (const [frame, groups] of items(seg, 'x52009230').entries()) {
    const [place] = items(groups, 'x00209113');
    const k = Number(place.string('x00200032', 2)) / 4;
    const segment = items(groups, 'x0062000a')[0].uint16('x0062000b')!;
    for (let at = 0; at < PIXELS; at += 1) {
      const bit = frame * PIXELS + at;
      if ((seg.byteArray[bits.dataOffset + (bit >> 3)] >> (bit & 7)) & 1) mask[k * PIXELS + at] = segment;
    }
  }
  return mask;
}

describe('a DICOM segmentation', () => {
  it('gives back any mask, slice by slice', async () => {
    const { geometry, series } = await seriesOf();
    const masks = fc.array(fc.nat({ max: 2 }), { minLength: PIXELS * SLICES, maxLength: PIXELS * SLICES });
    fc.assert(
      fc.property(masks, (voxels) => {
        const data = Uint8Array.from(voxels);
        const file = encodeSegmentation({ geometry, data }, series, { labels: ['spleen', 'liver'], algorithm: 'test' });
        assert.deepEqual(maskOf(parseDicom(file)), data);
      }),
    );
  });

  it('belongs to the patient, the study, the frame of reference and the slices of its series', async () => {
    const { geometry, series } = await seriesOf();
    const data = new Uint8Array(PIXELS * SLICES).fill(1, PIXELS, 2 * PIXELS);
    // The reference is kept as JSON between upload and answer.
    const kept = seriesReferenceSchema.parse(JSON.parse(JSON.stringify(series)));
    const seg = parseDicom(
      encodeSegmentation({ geometry, data }, kept, { labels: ['left_kidney'], algorithm: 'clara_ct_seg' }),
    );
    assert.equal(seg.string('x00080016'), '1.2.840.10008.5.1.4.1.1.66.4');
    assert.equal(seg.string('x00100010'), SECRET);
    assert.deepEqual(
      ['x0020000d', 'x00200052', 'x00080060', 'x00620001', 'x00280008'].map((tag) => seg.string(tag)),
      ['1.2.3.1', '1.2.3.3', 'SEG', 'BINARY', '1'],
    );
    assert.notEqual(seg.string('x0020000e'), '1.2.3.2', 'a series of its own');
    const [referenced] = items(seg, 'x00081115');
    assert.equal(referenced.string('x0020000e'), '1.2.3.2');
    assert.deepEqual(
      items(referenced, 'x0008114a').map((instance) => instance.string('x00081155')),
      [0, 1, 2, 3].map((n) => `1.2.3.9.${n}`),
    );
    const [frame] = items(seg, 'x52009230');
    const [source] = items(items(frame, 'x00089124')[0], 'x00082112');
    assert.equal(source.string('x00081155'), '1.2.3.9.1');
    const [shared] = items(seg, 'x52009229');
    assert.equal(items(shared, 'x00289110')[0].string('x00280030'), '2\\3');
    assert.equal(items(shared, 'x00209116')[0].string('x00200037'), '1\\0\\0\\0\\1\\0');
    const [segment] = items(seg, 'x00620002');
    assert.equal(segment.string('x00620005'), 'left_kidney');
    const [type] = items(segment, 'x0062000f');
    assert.equal(type.string('x00080100'), '64033007');
    assert.equal(items(type, 'x00620011')[0].string('x00080104'), 'Left');
  });

  it('of an empty mask has one empty frame, as the standard knows none without frames', async () => {
    const { geometry, series } = await seriesOf();
    const mask = { geometry, data: new Uint8Array(PIXELS * SLICES) };
    const seg = parseDicom(encodeSegmentation(mask, series, { labels: ['spleen'], algorithm: 'test' }));
    assert.equal(seg.string('x00280008'), '1');
    assert.deepEqual(maskOf(seg), mask.data);
  });

  it('is refused for another grid and for a value without a label', async () => {
    const { geometry, series } = await seriesOf();
    const options = { labels: ['spleen'], algorithm: 'test' };
    const other = { geometry: { ...geometry, shape: [5, 3, 2] as const }, data: new Uint8Array(30) };
    assert.throws(() => encodeSegmentation(other, series, options), { code: 'invalid-input', message: /5 x 3 x 2/ });
    const two = { geometry, data: new Uint8Array(PIXELS * SLICES).fill(2) };
    assert.throws(() => encodeSegmentation(two, series, options), {
      code: 'invalid-input',
      message: /value 2.*1 label/,
    });
  });
});
