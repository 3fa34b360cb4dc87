import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compileConfig, parseAiaaConfig } from '../../aiaa/config/aiaa-config';
import { ClaraError, type Fault } from '../../base/errors';
import { SPLEEN_CONFIG } from './support/spleen-config';

const compile = (change: object, answers: 'scores' | 'mask' = 'scores') =>
  compileConfig(parseAiaaConfig({ ...SPLEEN_CONFIG, ...change }), answers);

function faultsOf(change: object, answers?: 'scores' | 'mask'): string[] {
  let faults: readonly Fault[] = [];
  assert.throws(
    () => compile(change, answers),
    (error: Error & { code: string; faults: readonly Fault[] }) => {
      faults = error.faults;
      return error.code === 'invalid-input';
    },
  );
  return faults.map(({ path, rule }) => `${path}: ${rule}`);
}

describe('config_aiaa.json', () => {
  it('of a Clara 4.x spleen model comes to the steps that it describes', () => {
    const pipeline = compile({});
    assert.deepEqual(pipeline.pre, [
      { kind: 'space', pixdim: [1.5, 1.5, 2] },
      { kind: 'scale-range', aMin: -57, aMax: 164, target: [0, 1], clip: true },
    ]);
    assert.deepEqual(pipeline.window, { roi: [160, 160, 160], overlap: 0.6, blending: 'gaussian' });
    assert.deepEqual(pipeline.post, [
      { kind: 'activate', by: 'softmax' },
      { kind: 'argmax' },
      { kind: 'largest-component', labels: [1], independent: true, connectivity: 3 },
      { kind: 'restore', method: 'nearest' },
    ]);
    assert.deepEqual(pipeline.told, { points: 'points', boundingBox: 'bbox' });
  });

  it('may write names of transforms with their package, with D or Dict, and switch one off', () => {
    const names = [
      'monai.transforms.Orientationd',
      'OrientationD',
      'monai.transforms.OrientationDict',
      'medl.Orientationd',
    ];
    for (const name of names) {
      const pipeline = compile({ pre_transforms: [{ name, args: { keys: ['image'], axcodes: 'LPS' } }] });
      assert.deepEqual(pipeline.pre, [{ kind: 'orient', axcodes: 'LPS' }], name);
    }
    const off = { name: 'Whatever', args: {}, disabled: true };
    assert.deepEqual(compile({ pre_transforms: [off] }).pre, []);
  });

  it('is refused with every unknown transform and argument by name, all at once', () => {
    const faults = faultsOf({
      pre_transforms: [
        { name: 'LoadImaged', args: { keys: 'image', wobble: 1 } },
        { name: 'RandFlipd', args: { keys: 'image' } },
        { name: 'custom_transforms.BoundingBoxd', args: { keys: 'image' } },
        { name: 'ScaleIntensityRanged', args: { keys: 'label', a_min: 0, a_max: 1 } },
        { name: 'Spacingd', args: { keys: 'image', pixdim: [1, 0, 1], mode: 'nearest' } },
      ],
      inference: { AIAA: { name: 'mine.Inferer', args: { scanning_window: true } } },
      post_transforms: [
        { name: 'Activationsd', args: { keys: 'model', relu: true } },
        { name: 'AsDiscreted', args: { keys: 'model', argmax: true } },
        { name: 'MeanEnsembled', args: { keys: 'model' } },
      ],
    }).sort();
    for (const [at, pattern] of [
      /^inference\.AIAA\.args\.roi: is missing/,
      /^inference\.AIAA\.name: must be PyTorchInference/,
      /^post_transforms\.0\.args\.relu: is not known here/,
      /^post_transforms\.2\.name: is not a transform that this server knows here; it knows .*KeepLargestConnectedComponentd/,
      /^pre_transforms\.0\.args\.wobble: is not known here/,
      /^pre_transforms\.1\.name: is not a transform that this server knows here; it knows .*Orientationd/,
      /^pre_transforms\.2\.name: is code that was written for one model/,
      /^pre_transforms\.3\.args\.keys: must be "image"/,
      /^pre_transforms\.4\.args\.mode/,
      /^pre_transforms\.4\.args\.pixdim: give positive mm/,
    ].entries()) {
      assert.match(faults[at] ?? '', pattern);
    }
    assert.equal(faults.length, 10);
  });

  it('is refused when it makes no mask, mixes labels, or is of a type that needs a person', () => {
    assert.match(faultsOf({ post_transforms: [] }).join(), /needs AsDiscreted with argmax or threshold/);
    const pred = { keys: 'pred' };
    const mixing = [
      { name: 'AsDiscreted', args: { ...pred, argmax: true } },
      { name: 'Restored', args: { ...pred, mode: 'bilinear' } },
    ];
    assert.match(faultsOf({ post_transforms: mixing }).join(), /would mix labels/);
    assert.match(faultsOf({ type: 'deepgrow' }).join(), /type: must be segmentation, others, pipeline/);
  });

  it('moves a nearest restore behind the choice of labels, where it gives the same mask and moves one number a voxel', () => {
    const pred = { keys: 'pred' };
    const { post } = compile({
      post_transforms: [
        { name: 'Activationsd', args: { ...pred, sigmoid: true } },
        { name: 'Restored', args: { ...pred, ref_image: 'image' } },
        { name: 'AsDiscreted', args: { ...pred, threshold_values: true, logit_thresh: 0.3 } },
      ],
    });
    assert.deepEqual(
      post.map(({ kind }) => kind),
      ['activate', 'threshold', 'restore'],
    );
  });

  it('leaves what surrounds the network to a model that says it itself', () => {
    const own = faultsOf({}, 'mask').filter((fault) =>
      fault.endsWith("is in the model's own file; leave it out of the configuration"),
    );
    assert.deepEqual(own.map((fault) => fault.split(':')[0]).sort(), [
      'inference.AIAA.args.scanning_window',
      'post_transforms',
      'post_transforms',
      'pre_transforms',
      'pre_transforms',
    ]);
    const keep = [{ name: 'KeepLargestConnectedComponentd', args: { keys: 'pred' } }];
    const { post } = compile({ pre_transforms: [], inference: { output: 'pred' }, post_transforms: keep }, 'mask');
    assert.equal(post[0].kind, 'largest-component');
  });

  it('is refused whole when fields are missing, unknown or of a wrong type', () => {
    assert.throws(() => parseAiaaConfig({ type: 'organ', labels: 'spleen', spelling: 1 }), {
      code: 'invalid-input',
      message: /has 4 faults: .*version.*type.*labels.*spelling/s,
    });
    assert.throws(() => parseAiaaConfig('text'), { code: 'invalid-input' });
  });

  it('answers any JSON, and any change of a good file, with steps or with faults', () => {
    const names = Object.keys(SPLEEN_CONFIG);
    const changes = fc.dictionary(fc.constantFrom(...names, 'odd'), fc.jsonValue(), { maxKeys: 3 });
    const transforms = fc.array(
      fc.record({
        name: fc.string({ maxLength: 8 }),
        args: fc.dictionary(fc.string({ maxLength: 4 }), fc.jsonValue(), { maxKeys: 2 }),
      }),
      { maxLength: 3 },
    );
    const documents = fc.oneof(
      fc.jsonValue(),
      changes.map((change) => ({ ...SPLEEN_CONFIG, ...change })),
      transforms.map((list) => ({
        ...SPLEEN_CONFIG,
        pre_transforms: list,
        post_transforms: [...list, ...SPLEEN_CONFIG.post_transforms],
      })),
    );
    fc.assert(
      fc.property(documents, (document) => {
        try {
          const { post } = compileConfig(parseAiaaConfig(document), 'scores');
          assert.ok(post.some(({ kind }) => kind === 'argmax' || kind === 'threshold'));
        } catch (error) {
          assert.ok(
            error instanceof ClaraError && error.code === 'invalid-input' && error.faults.length > 0,
            String(error),
          );
        }
      }),
    );
  });
});
