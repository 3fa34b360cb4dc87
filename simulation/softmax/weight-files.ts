import { closeSync, fstatSync, openSync, readSync, renameSync, writeSync, writevSync } from 'node:fs';
import { ClaraError } from '../../base/errors';
import { encodeHeader, headerLength, parseHeader } from '../../federation/tensors/header';
import type { TensorLayout } from '../../federation/tensors/layout';
import type { SoftmaxModel, SoftmaxShape } from './softmax-model';

/** The weights of the convex problem as a model file, read and written where they lie. */

function tensorsOf({ classes, features }: SoftmaxShape) {
  return [
    { name: 'weight', dtype: 'F32' as const, shape: [classes, features] },
    { name: 'bias', dtype: 'F32' as const, shape: [classes] },
  ];
}

/**
 * Into one array: the weights row by row, then the biases.
 * @throws ClaraError `corrupt`; `invalid-input` for another model
 */
export function readWeights(file: string, { shape: wanted, weights }: Pick<SoftmaxModel, 'shape' | 'weights'>): void {
  const fd = openSync(file, 'r');
  try {
    const layout = layoutOf(fd, file);
    let position = weights.byteOffset;
    for (const { name, dtype, shape } of tensorsOf(wanted)) {
      const found = layout.tensors.find((tensor) => tensor.name === name);
      if (found?.dtype !== dtype || JSON.stringify(found.shape) !== JSON.stringify(shape)) {
        const rule = `must be F32 ${JSON.stringify(shape)}, as features and classes say`;
        throw ClaraError.ofFaults(file, [{ path: name, rule }]);
      }
      const { begin, end } = found;
      readAt(fd, layout.headerBytes.length + begin, new Uint8Array(weights.buffer, position, end - begin), file);
      position += end - begin;
    }
  } finally {
    closeSync(fd);
  }
}

/** In place by rename(2), so that it is whole; not synced: nothing of a simulation outlives the machine's power. */
export function writeWeights(file: string, shape: SoftmaxShape, weights: Float32Array): void {
  const data = Buffer.from(weights.buffer, weights.byteOffset, weights.byteLength);
  writeReplacing(file, [encodeHeader(tensorsOf(shape)), data]);
}

/** As {@link writeWeights}, of any bytes. */
export function writeReplacing(file: string, parts: readonly Uint8Array[]): void {
  const partial = `${file}.partial`;
  const fd = openSync(partial, 'w');
  try {
    const bytes = parts.reduce((sum, { length }) => sum + length, 0);
    let position = writevSync(fd, parts, 0);
    if (position < bytes) {
      const whole = Buffer.concat(parts);
      while (position < bytes) position += writeSync(fd, whole, position, bytes - position, position);
    }
  } finally {
    closeSync(fd);
  }
  renameSync(partial, file);
}

/** More than the header of two tensors takes. */
const FIRST_READ_BYTES = 4096;

function layoutOf(fd: number, file: string): TensorLayout {
  const options = { fileBytes: fstatSync(fd).size, name: file };
  const start = Buffer.alloc(Math.min(FIRST_READ_BYTES, options.fileBytes));
  readAt(fd, 0, start, file);
  const length = headerLength(start, options);
  if (length <= start.length) return parseHeader(start, options);
  const header = Buffer.alloc(length);
  readAt(fd, 0, header, file);
  return parseHeader(header, options);
}

function readAt(fd: number, position: number, target: Uint8Array, file: string): void {
  for (let done = 0; done < target.length; ) {
    const read = readSync(fd, target, done, target.length - done, position + done);
    if (read === 0) throw new ClaraError('corrupt', `${file} ends at byte ${position + done} while it is read`);
    done += read;
  }
}
