import assert from 'node:assert/strict';
import fc from 'fast-check';
import { meantPath, parsePrefix } from '../../aiaa/http/request-path';
import { parseParams, resultFormatOf } from '../../aiaa/http/result-format';
import { BoundedQueue } from '../../aiaa/inference/bounded-queue';
import { extremePointsOf } from '../../aiaa/inference/extreme-points';

const routeOf = (path: string, prefix?: readonly string[]) => meantPath(path, prefix && [prefix]).route;

describe('AIAA request paths', () => {
  it('mean the same with /v1 doubled, slashes doubled or a slash at the end', () => {
    const slashes = fc.integer({ min: 1, max: 3 }).map((count) => '/'.repeat(count));
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.constantFrom('models', 'inference'),
        slashes,
        fc.boolean(),
        (times, name, slash, end) => {
          const path =
            slash + Array.from({ length: times }, () => 'v1').join(slash) + slash + name + (end ? slash : '');
          assert.equal(routeOf(path), `/v1/${name}`);
        },
      ),
    );
    assert.equal(routeOf('/v1/session/abc/'), '/session/abc');
    assert.equal(routeOf('/models'), '/models');
    assert.equal(routeOf(''), '/');
  });

  it('are answered below the prefix and nowhere else', () => {
    const segment = fc.stringMatching(/^[A-Za-z0-9_-]{1,8}$/).filter((text) => text !== 'v1');
    fc.assert(
      fc.property(
        fc.array(segment, { minLength: 1, maxLength: 3 }),
        fc.array(segment, { minLength: 0, maxLength: 4 }),
        (prefix, other) => {
          const parsed = parsePrefix(`/${prefix.join('/')}/`);
          assert.equal(routeOf(`/${prefix.join('/')}/v1/models`, parsed), '/v1/models');
          const below = prefix.every((part, at) => other[at] === part);
          if (below || other.join() === 'health') return;
          assert.equal(routeOf(`/${other.join('/')}`, parsed), '/outside-the-prefix');
        },
      ),
    );
  });
});

describe('AIAA result formats', () => {
  it('follow the extension, and compression where the extension leaves it open', () => {
    const extension = (params: string) => resultFormatOf(parseParams(params)).extension;
    assert.equal(extension(''), '.nii.gz');
    assert.equal(extension('{"result_compress":false}'), '.nii');
    assert.equal(extension('{"result_extension":".nii"}'), '.nii');
    assert.equal(extension('{"result_extension":"NII","result_compress":"true"}'), '.nii.gz');
    assert.equal(extension('{"result_extension":".nii.gz","result_compress":false}'), '.nii.gz');
    assert.equal(extension('{"result_extension":".nrrd"}'), '.nrrd');
    assert.equal(extension('{"result_extension":"dcm","result_compress":true}'), '.dcm');
    assert.throws(() => extension('{"result_extension":".mha"}'), { code: 'unsupported', message: /"\.mha"/ });
    assert.equal(resultFormatOf(parseParams('{"foreground":[[1,2,3]]}')).dtype, 'uint8');
  });
});

describe('AIAA extreme points', () => {
  it('bound the foreground and lie in it', () => {
    const size = fc.integer({ min: 1, max: 5 });
    const masks = fc.tuple(size, size, size).chain((shape) =>
      fc.tuple(
        fc.constant(shape),
        fc.uint8Array({
          minLength: shape[0] * shape[1] * shape[2],
          maxLength: shape[0] * shape[1] * shape[2],
          max: 2,
        }),
      ),
    );
    fc.assert(
      fc.property(masks, ([shape, data]) => {
        const points = extremePointsOf({ geometry: { shape, affine: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0] }, data });
        const voxels = [...data.entries()]
          .filter(([, value]) => value > 0)
          .map(([at]) => [at % shape[0], Math.floor(at / shape[0]) % shape[1], Math.floor(at / (shape[0] * shape[1]))]);
        assert.equal(points.length, voxels.length === 0 ? 0 : 6);
        points.forEach((point, side) => {
          const axis = side >> 1;
          const along = voxels.map((voxel) => voxel[axis]);
          assert.equal(point[axis], side % 2 === 0 ? Math.min(...along) : Math.max(...along));
          assert.ok(voxels.some((voxel) => voxel.join() === point.join()));
        });
      }),
    );
  });
});

describe('AIAA queue', () => {
  const never = new AbortController().signal;

  it('runs one at a time, in order, and refuses only beyond its bound', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 1, max: 8 }), async (capacity, tasks) => {
        const queue = new BoundedQueue(capacity);
        const order: number[] = [];
        let running = 0;
        const outcomes = await Promise.allSettled(
          Array.from({ length: tasks }, (_, at) =>
            queue.run(never, async () => {
              running += 1;
              assert.equal(running, 1);
              await new Promise(setImmediate);
              order.push(at);
              running -= 1;
            }),
          ),
        );
        const accepted = Math.min(tasks, capacity + 1);
        assert.deepEqual(
          order,
          Array.from({ length: accepted }, (_, at) => at),
        );
        assert.equal(outcomes.filter(({ status }) => status === 'rejected').length, tasks - accepted);
        assert.equal(queue.busy, false);
      }),
      { numRuns: 30 },
    );
  });

  it('lets those behind a failure and behind one that leaves go on', async () => {
    const queue = new BoundedQueue(3);
    const leaver = new AbortController();
    let fail = () => {};
    const first = queue.run(never, () => new Promise((_, reject) => (fail = () => reject(new Error('broken')))));
    const second = queue.run(leaver.signal, async () => 'second');
    const third = queue.run(never, async () => 'third');
    leaver.abort();
    await assert.rejects(second, { code: 'cancelled' });
    assert.equal(queue.waiting, 1);
    fail();
    await assert.rejects(first, /broken/);
    assert.equal(await third, 'third');
  });
});
