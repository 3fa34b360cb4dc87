import assert from 'node:assert/strict';
import fc from 'fast-check';
import { editSlice, editVolume, type Polygons, paint, polygonsOfSlice, type Raster } from '../../imaging/polygons';

/** A drawing as a mask: every character but a dot is inside. */
function drawn(...rows: readonly string[]): Raster<Uint8Array> {
  return {
    width: rows[0].length,
    height: rows.length,
    data: Uint8Array.from([...rows.join('')], (c) => (c === '.' ? 0 : 1)),
  };
}

function dice(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [both, sum] = [0, 0];
  for (let at = 0; at < a.length; at += 1) {
    both += a[at] !== 0 && b[at] !== 0 ? 1 : 0;
    sum += (a[at] !== 0 ? 1 : 0) + (b[at] !== 0 ? 1 : 0);
  }
  return sum === 0 ? 1 : (2 * both) / sum;
}

const again = (mask: Raster, every: number) => paint(polygonsOfSlice(mask, every), mask.width, mask.height);

/** Discs and rings over each other, anywhere, also beyond the edge of the slice. */
const blobs = fc
  .array(
    fc.record({
      x: fc.integer({ min: 0, max: 79 }),
      y: fc.integer({ min: 0, max: 59 }),
      radius: fc.integer({ min: 4, max: 25 }),
      hole: fc.double({ min: 0, max: 0.7, noNaN: true }),
      flat: fc.double({ min: 0.5, max: 2, noNaN: true }),
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map((shapes) => {
    const data = new Uint8Array(80 * 60);
    for (const { x, y, radius, hole, flat } of shapes) {
      for (let at = 0; at < data.length; at += 1) {
        const distance = Math.hypot((at % 80) - x, (Math.floor(at / 80) - y) * flat);
        if (distance <= radius && distance >= radius * hole) data[at] = 1;
      }
    }
    return { width: 80, height: 60, data };
  });

describe('polygons round a mask', () => {
  it('with a vertex for every pixel give back any mask exactly', () => {
    const masks = fc.array(fc.nat({ max: 1 }), { minLength: 63, maxLength: 63 });
    fc.assert(
      fc.property(masks, (pixels) => {
        const mask = { width: 9, height: 7, data: Uint8Array.from(pixels) };
        assert.deepEqual(again(mask, 1).data, mask.data);
      }),
      { numRuns: 300 },
    );
  });

  it('keep what reaches into a hole through a corner', () => {
    const mask = drawn('..####...', '.#....#..', '.#.#.#...', '#...#....', '.###.....');
    assert.deepEqual(again(mask, 1).data, mask.data);
  });

  it('keep a structure of ten pixels exactly, however few vertices were asked for', () => {
    const mask = drawn('#####.', '####..', '#.....');
    for (const every of [5, 10, 50]) assert.deepEqual(again(mask, every).data, mask.data);
  });

  it('give back any blob with Dice 0.95 or more, however few vertices were asked for', () => {
    fc.assert(
      fc.property(blobs, fc.constantFrom(1, 5, 10, 50, 1000), (mask, every) => {
        const found = dice(again(mask, every).data, mask.data);
        assert.ok(found >= 0.95, `Dice ${found}`);
      }),
    );
  });

  it('are fewer and farther apart the larger the distance, which no two vertices exceed', () => {
    fc.assert(
      fc.property(blobs, (mask) => {
        const vertices = (every: number) => polygonsOfSlice(mask, every).flat().length;
        assert.ok(vertices(10) < vertices(1));
        for (const polygon of polygonsOfSlice(mask, 10)) {
          for (const [at, [x, y]] of polygon.entries()) {
            const [nx, ny] = polygon[(at + 1) % polygon.length];
            assert.ok(Math.max(Math.abs(nx - x), Math.abs(ny - y)) <= 10);
          }
        }
      }),
    );
  });

  it('are one for each structure and each hole, islands in holes too', () => {
    const mask = drawn(
      '#######..#',
      '#.....#...',
      '#.###.#..#',
      '#.#.#.#..#',
      '#.###.#...',
      '#.....#...',
      '#######...',
    );
    assert.equal(polygonsOfSlice(mask, 10).length, 6);
    assert.deepEqual(again(mask, 10).data, mask.data);
    assert.deepEqual(polygonsOfSlice(drawn('...', '..#'), 10), [[[2, 1]]]);
    assert.deepEqual(polygonsOfSlice(drawn('...'), 10), []);
  });
});

describe('a dragged vertex', () => {
  const flat = (size: number): Raster => ({ width: size, height: size, data: new Uint8Array(size * size) });
  const circle: Polygons = [
    Array.from({ length: 16 }, (_, at): [number, number] => [
      Math.round(32 + 20 * Math.cos((at * Math.PI) / 8)),
      Math.round(32 + 20 * Math.sin((at * Math.PI) / 8)),
    ]),
    [[2, 2]],
  ];
  const shift = (before: number[], after: number[]) => after[0] - before[0];

  it('goes where it was put, and takes its neighbours along, ever less', () => {
    const edit = { dimension: 2, polygons: circle, polygon: 0, vertex: 0, offset: [8, 0], neighbours: 2 } as const;
    const [edited, other] = editSlice({ ...edit, offset: [8, 0] }, flat(64));
    const moved = edited.map((point, at) => shift(circle[0][at], point));
    assert.equal(moved[0], 8);
    assert.equal(moved[1], moved[15]);
    assert.ok(8 > moved[1] && moved[1] > moved[2] && moved[2] > 0, moved.join());
    assert.ok(
      moved.slice(3, 14).every((step) => step === 0),
      moved.join(),
    );
    assert.deepEqual(other, circle[1]);
    const [alone] = editSlice({ ...edit, offset: [8, 0], neighbours: 0 }, flat(64));
    assert.deepEqual(alone.slice(1), circle[0].slice(1));
  });

  it('stays in the image', () => {
    const [edited] = editSlice(
      { dimension: 2, polygons: circle, polygon: 0, vertex: 0, offset: [500, -500], neighbours: 0 },
      flat(64),
    );
    assert.deepEqual(edited[0], [63, 0]);
  });

  it('draws its neighbours to an edge of the image, but stays itself where a person has put it', () => {
    // Bright left of x = 30; all vertices stand two pixels beside that.
    const image = {
      width: 64,
      height: 64,
      data: Uint8Array.from({ length: 4096 }, (_, at) => (at % 64 < 30 ? 200 : 0)),
    };
    const line: Polygons = [
      [
        [32, 10],
        [32, 20],
        [32, 30],
        [32, 40],
        [32, 50],
        [60, 30],
      ],
    ];
    const [edited] = editSlice(
      { dimension: 2, polygons: line, polygon: 0, vertex: 2, offset: [0, 1], neighbours: 1 },
      image,
    );
    assert.deepEqual(edited[2], [32, 31]);
    for (const at of [1, 3]) assert.ok(Math.abs(edited[at][0] - 29.5) <= 1, `vertex ${at} at ${edited[at]}`);
    assert.deepEqual(edited[0], [32, 10], 'beyond the neighbours nothing moves');
  });

  it('takes along what lies nearest in slices nearby, ever less, and leaves other slices and structures alone', () => {
    const far: Polygons = [
      [
        [2, 60],
        [6, 60],
        [4, 63],
      ],
    ];
    const slices = [circle, circle, circle, circle, far, []];
    const edited = editVolume(
      { dimension: 3, slices, slice: 2, polygon: 0, vertex: 0, offset: [8, 0], neighbours: 1, neighbourSlices: 2 },
      () => flat(64),
    );
    const moved = edited.slice(0, 4).map((polygons) => shift(circle[0][0], polygons[0][0]));
    assert.equal(moved[2], 8);
    assert.equal(moved[1], moved[3]);
    assert.ok(8 > moved[1] && moved[1] > moved[0] && moved[0] > 0, moved.join());
    assert.deepEqual(edited.slice(4), [far, []]);
  });

  it('must be there', () => {
    const edit = { dimension: 2, polygons: circle, offset: [0, 0] as [number, number], neighbours: 0 } as const;
    assert.throws(() => editSlice({ ...edit, polygon: 2, vertex: 0 }, flat(64)), {
      message: /no polygon 2 among 2 polygons/,
    });
    assert.throws(() => editSlice({ ...edit, polygon: 1, vertex: 1 }, flat(64)), {
      message: /no vertex 1 among 1 vertices/,
    });
  });
});
