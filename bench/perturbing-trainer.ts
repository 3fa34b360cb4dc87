import { closeSync, openSync, readFileSync, readSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { encodeHeader, headerLength, LENGTH_PREFIX_BYTES } from '../federation/tensors/header';
import { REPORT_FILE, TASK_FILE, trainerTaskSchema } from '../federation/trainer-contract';

/**
 * A trainer that learns nothing and changes every weight: rounds with it cost what the federation costs. Its model has 16
 * equal float32 arrays; the parameter `mib` is their size together.
 */

const TENSORS = 16;
const PIECE = Buffer.alloc(2 ** 20);

function main(folder: string): void {
  const task = trainerTaskSchema.parse(JSON.parse(readFileSync(path.join(folder, TASK_FILE), 'utf8')));
  if (task.kind !== 'evaluate') {
    const target = path.join(folder, task.model.output);
    const partial = `${target}.partial`;
    if (task.kind === 'train') perturb(path.join(folder, task.model.input), partial, task.seed);
    else initialise(partial, Number(task.parameters.mib ?? 1));
    renameSync(partial, target);
  }
  writeFileSync(path.join(folder, REPORT_FILE), JSON.stringify({ protocol: 1, samples: 1, steps: 1 }));
}

function initialise(target: string, mib: number): void {
  const elements = (mib * 2 ** 20) / TENSORS / 4;
  const specs = Array.from({ length: TENSORS }, (_, i) => ({
    name: `w${i}`,
    dtype: 'F32' as const,
    shape: [elements],
  }));
  const file = openSync(target, 'w');
  writeSync(file, encodeHeader(specs));
  PIECE.fill(0);
  for (let i = 0; i < mib; i++) writeSync(file, PIECE);
  closeSync(file);
}

function perturb(source: string, target: string, seed: number): void {
  const input = openSync(source, 'r');
  const output = openSync(target, 'w');
  readSync(input, PIECE, 0, LENGTH_PREFIX_BYTES, 0);
  let position = headerLength(PIECE.subarray(0, LENGTH_PREFIX_BYTES));
  writeSync(output, PIECE, 0, readSync(input, PIECE, 0, position, 0));
  const step = (1 + (seed % 97)) / 1024;
  for (;;) {
    const bytes = readSync(input, PIECE, 0, PIECE.length, position);
    if (bytes === 0) break;
    const weights = new Float32Array(PIECE.buffer, PIECE.byteOffset, bytes / 4);
    for (let i = 0; i < weights.length; i++) weights[i]! += step;
    writeSync(output, PIECE, 0, bytes);
    position += bytes;
  }
  closeSync(input);
  closeSync(output);
}

main(process.argv.at(-1)!);
