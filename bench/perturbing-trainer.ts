import { closeSync, openSync, readFileSync, readSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import type { TrainerTask } from '../federation/trainer-contract';

/**
 * A trainer that learns nothing and changes every weight: rounds with it cost what the federation costs. Its model has 16
 * equal float32 arrays; the parameter `mib` is their size together. It loads next to nothing, since its start is part of a round.
 */

const TENSORS = 16;
const PIECE = Buffer.alloc(2 ** 20);

async function main(folder: string): Promise<void> {
  const task = JSON.parse(readFileSync(path.join(folder, 'task.json'), 'utf8')) as TrainerTask;
  if (task.kind === 'initialise' || task.kind === 'train') {
    const target = path.join(folder, task.model.output);
    const partial = `${target}.partial`;
    if (task.kind === 'train') perturb(path.join(folder, task.model.input), partial, task.seed);
    else await initialise(partial, Number(task.parameters.mib ?? 1));
    renameSync(partial, target);
  }
  writeFileSync(path.join(folder, 'report.json'), JSON.stringify({ protocol: 1, samples: 1, steps: 1 }));
}

async function initialise(target: string, mib: number): Promise<void> {
  const { encodeHeader } = await import('../federation/tensors/header');
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
  readSync(input, PIECE, 0, 8, 0);
  let position = 8 + Number(PIECE.readBigUInt64LE(0));
  writeSync(output, PIECE, 0, readSync(input, PIECE, 0, position, 0));
  const step = Math.fround((1 + (seed % 97)) / 1024);
  const weights = new Float32Array(PIECE.buffer, PIECE.byteOffset, PIECE.length / 4);
  for (;;) {
    const bytes = readSync(input, PIECE, 0, PIECE.length, position);
    if (bytes === 0) break;
    // Four at a time and in single precision: a third of the time. What lies behind the last weight is not written.
    for (let i = 0; i < bytes / 4; i += 4) {
      weights[i] = Math.fround(weights[i]! + step);
      weights[i + 1] = Math.fround(weights[i + 1]! + step);
      weights[i + 2] = Math.fround(weights[i + 2]! + step);
      weights[i + 3] = Math.fround(weights[i + 3]! + step);
    }
    writeSync(output, PIECE, 0, bytes);
    position += bytes;
  }
  closeSync(input);
  closeSync(output);
}

void main(process.argv.at(-1)!);
