import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { decodeModel, encodeModel } from '../model-bytes';
import { mmarFiles, writeFiles } from './mmar-files';

/** Where Python finds the stand-in of Clara Train, `medl.apps.train`. */
export const STAND_IN = __dirname;

const CASES = 3;

/** A network's weights as an MMAR has them: convolution, statistics of a batch normalisation, a counter. */
export const WEIGHTS = encodeModel({
  'conv.weight': { shape: [2, 1, 1, 1, 2], values: [0.1, 0.2, 0.3, 0.4] },
  'conv.bias': { shape: [2], values: [1, -2] },
  'norm.running_var': { shape: [2], values: [1, 1] },
  'norm.num_batches_tracked': { shape: [], dtype: 'I64', values: [7] },
});

/** What the stand-in makes of weights, in float32 step by step as it does. */
export function shifted(weights: Buffer, { seed, epochs, rate }: { seed: number; epochs: number; rate: number }) {
  const delta = rate * (1 + (seed % 7));
  const move = (value: number) => {
    let moved = value;
    for (let step = 0; step < epochs * CASES; step++) moved = Math.fround(moved + delta);
    return moved;
  };
  return Object.fromEntries(
    Object.entries(decodeModel(weights)).map(([name, { shape, values }]) => [
      name,
      { shape, values: name === 'norm.num_batches_tracked' ? values : values.map(move) },
    ]),
  );
}

/** A small MMAR and a dataset of three cases in a folder; the first weights too, when a Python is named that makes them. */
export function makeMmar(folder: string, python?: string): { readonly mmar: string; readonly dataset: string } {
  const mmar = path.join(folder, 'mmar');
  const dataset = path.join(folder, 'dataset');
  writeFiles(mmar, mmarFiles());
  const training = Array.from({ length: CASES }, (_, index) => ({
    image: `./i${index}.nii`,
    label: `./l${index}.nii`,
  }));
  writeFiles(dataset, {
    'dataset.json': JSON.stringify({ name: 'd', labels: { '0': 'b', '1': 's' }, training }),
    ...Object.fromEntries(training.flatMap(({ image, label }) => [image, label]).map((name) => [name, 'voxels'])),
  });
  if (python !== undefined) {
    mkdirSync(path.join(mmar, 'models'), { recursive: true });
    writeFileSync(path.join(folder, 'weights.json'), JSON.stringify(storagesOf(WEIGHTS)));
    execFileSync(python, ['-B', '-c', SAVE, path.join(folder, 'weights.json'), path.join(mmar, 'models', 'model.pt')], {
      env: { ...process.env, PYTHONPATH: STAND_IN },
    });
  }
  return { mmar, dataset };
}

const SAVE = `
import json, sys, checkpoints
weights = json.load(open(sys.argv[1]))
checkpoints.save(sys.argv[2], {name: (kind, shape, bytes.fromhex(data)) for name, (kind, shape, data) in weights.items()})
`;

function storagesOf(model: Buffer): Record<string, [string, number[], string]> {
  return Object.fromEntries(
    Object.entries(decodeModel(model)).map(([name, { shape, values }]) => {
      const whole = name === 'norm.num_batches_tracked';
      const data = whole ? BigInt64Array.from(values, BigInt) : Float32Array.from(values);
      return [name, [whole ? 'LongStorage' : 'FloatStorage', shape, Buffer.from(data.buffer).toString('hex')]];
    }),
  );
}
