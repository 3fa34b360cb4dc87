import { createHash } from 'node:crypto';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { writeFileDurably } from '../base/durable-file';
import { ClaraError, type Fault } from '../base/errors';
import { readLayout } from '../federation/tensors/file';
import { FiniteScanner, showNonFinite } from '../federation/tensors/finite-scan';
import type { TensorInfo, TensorLayout } from '../federation/tensors/layout';
import { compareLayouts } from '../federation/tensors/layout-check';

export interface OutboundRequest {
  /** What the trainer wrote. */
  readonly update: string;
  /** What it started from; absent for first weights. */
  readonly global?: string;
  /** Where an update is put that cannot leave as the trainer wrote it. */
  readonly outbound: string;
  /** Tensors whose name matches never leave the site: the global model's values are sent in their place. */
  readonly excluded: readonly RegExp[];
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

/** The file that may leave the site. */
export interface OutboundUpdate {
  readonly file: string;
  readonly size: number;
  /** 32 bytes. */
  readonly sha256: Buffer;
}

const PIECE_BYTES = 1024 * 1024;
const WHAT = 'the update that the trainer wrote';

/**
 * Checks what a trainer wrote and makes the file that leaves the site: the tensors of the global model in its order under
 * its header, so that neither excluded tensors nor metadata of the trainer's go along. An update that already is exactly
 * that is sent as it is. First weights have nothing to be compared with and go as they are.
 *
 * @throws ClaraError `trainer-failed` without a file, `corrupt` for a broken one, `resource-exhausted` over the size limit,
 *   `invalid-input` naming every tensor that is missing, unknown, of another shape or type, or not finite
 */
export async function prepareOutbound(request: OutboundRequest): Promise<OutboundUpdate> {
  const size = await sizeOf(request.update);
  if (size > request.maxBytes) {
    throw new ClaraError(
      'resource-exhausted',
      `${WHAT} has ${size} bytes, more than the ${request.maxBytes} of limits.updateBytes`,
    );
  }
  const layout = await readLayout(request.update);
  const isExcluded = ({ name }: { readonly name: string }) => request.excluded.some((pattern) => pattern.test(name));
  const global = request.global === undefined ? undefined : await readLayout(request.global);
  if (global) {
    const kept = (tensors: readonly TensorInfo[]) => ({ tensors: tensors.filter((tensor) => !isExcluded(tensor)) });
    const faults = compareLayouts(kept(global.tensors), kept(layout.tensors));
    if (faults.length > 0) throw ClaraError.ofFaults(WHAT, faults);
  }
  const sha256 = await scan(request, layout, (name) => isExcluded({ name }));
  const asItIs =
    !global || (!global.tensors.some(isExcluded) && Buffer.from(global.headerBytes).equals(layout.headerBytes));
  if (asItIs) return { file: request.update, size, sha256 };
  return rewrite(request, layout, global, isExcluded);
}

async function sizeOf(update: string): Promise<number> {
  const stat = await lstat(update).catch(() => undefined);
  // A link could name any file of this machine.
  if (!stat?.isFile()) {
    throw new ClaraError('trainer-failed', `the trainer said that it was done but left no file ${update}`);
  }
  return stat.size;
}

/** @returns the digest of the whole file */
async function scan(
  { update, signal }: OutboundRequest,
  layout: TensorLayout,
  isExcluded: (name: string) => boolean,
): Promise<Buffer> {
  const hash = createHash('sha256').update(layout.headerBytes);
  const scanner = new FiniteScanner(layout);
  const file = await open(update, 'r');
  try {
    let position = 0;
    for await (const piece of range(file, layout.headerBytes.length, layout.dataBytes, signal)) {
      hash.update(piece);
      scanner.push(position, piece);
      position += piece.length;
    }
  } finally {
    await file.close();
  }
  const faults: Fault[] = scanner.found
    .filter(({ tensor }) => !isExcluded(tensor))
    .map((found) => ({ path: found.tensor, rule: `${showNonFinite(found)}; every number must be finite` }));
  if (faults.length > 0) throw ClaraError.ofFaults(WHAT, faults);
  return hash.digest();
}

async function rewrite(
  request: OutboundRequest,
  layout: TensorLayout,
  global: TensorLayout,
  isExcluded: (tensor: TensorInfo) => boolean,
): Promise<OutboundUpdate> {
  const hash = createHash('sha256');
  const own = new Map(layout.tensors.map((tensor) => [tensor.name, tensor]));
  const update = await open(request.update, 'r');
  const base = await open(request.global!, 'r');
  async function* pieces(): AsyncGenerator<Uint8Array> {
    yield global.headerBytes;
    for (const tensor of global.tensors) {
      const length = tensor.end - tensor.begin;
      const source = isExcluded(tensor)
        ? range(base, global.headerBytes.length + tensor.begin, length, request.signal)
        : range(update, layout.headerBytes.length + own.get(tensor.name)!.begin, length, request.signal);
      yield* source;
    }
  }
  async function* hashed(): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces()) {
      hash.update(piece);
      yield piece;
    }
  }
  try {
    await writeFileDurably(request.outbound, hashed(), { signal: request.signal });
  } finally {
    await update.close();
    await base.close();
  }
  return { file: request.outbound, size: global.fileBytes, sha256: hash.digest() };
}

/** Bytes of a file; each piece is valid until the next. */
async function* range(
  file: FileHandle,
  begin: number,
  length: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, length));
  for (let done = 0; done < length; ) {
    signal.throwIfAborted();
    const { bytesRead } = await file.read(piece, 0, Math.min(piece.length, length - done), begin + done);
    if (bytesRead === 0)
      throw new ClaraError('corrupt', `a model file ended at byte ${begin + done} while it was read`);
    yield piece.subarray(0, bytesRead);
    done += bytesRead;
  }
}
