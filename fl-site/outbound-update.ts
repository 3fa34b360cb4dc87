import { createHash } from 'node:crypto';
import { writeFileDurably } from '../base/durable-file';
import { ClaraError, type Fault } from '../base/errors';
import { lstat, type OpenFile, open } from '../base/files';
import { MemoryPool } from '../base/memory-pool';
import { controlsOf, withControls } from '../federation/controls';
import { matchesAny, type Patterns, updateLayout } from '../federation/sent-tensors';
import { readLayout } from '../federation/tensors/file';
import { FiniteScanner, showNonFinite } from '../federation/tensors/finite-scan';
import { encodeHeader } from '../federation/tensors/header';
import type { TensorLayout, TensorSpec } from '../federation/tensors/layout';
import { compareLayouts } from '../federation/tensors/layout-check';

export interface OutboundRequest {
  /** What the trainer wrote. */
  readonly update: string;
  /** What it started from; absent for first weights. */
  readonly global?: string;
  /** The control variate that it made, when the strategy has them. */
  readonly controls?: string;
  /** Where an update is put that cannot leave as the trainer wrote it. */
  readonly outbound: string;
  /** Tensors whose name matches never leave the site: the global model's values are sent in their place. */
  readonly excluded: readonly RegExp[];
  /** Of those, what the site goes on with itself: judged like what is sent. @default none */
  readonly local?: Patterns;
  /** Tensors whose name matches are not sent at all: the coordinator has them. @default none */
  readonly leftOut?: Patterns;
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
const memory = new MemoryPool(PIECE_BYTES, 2);
const WHAT = 'the update that the trainer wrote';
const WHAT_CONTROLS = 'the control variate that the trainer wrote';

/**
 * Checks what a trainer wrote and makes the file that leaves the site: the tensors of the global model in its order under
 * its header, so that neither excluded tensors nor metadata of the trainer's go along. An update that already is exactly
 * that is sent as it is. First weights have nothing to be compared with and go as they are. A control variate follows the
 * model's tensors in the same file, with zeros in place of excluded tensors.
 *
 * @throws ClaraError `trainer-failed` without a file, `corrupt` for a broken one, `resource-exhausted` over the size limit,
 *   `invalid-input` naming every tensor that is missing, unknown, of another shape or type, or not finite
 */
export async function prepareOutbound(request: OutboundRequest): Promise<OutboundUpdate> {
  const { update, controls, maxBytes } = request;
  const size = (await sizeOf(update)) + (controls === undefined ? 0 : await sizeOf(controls));
  if (size > maxBytes) {
    throw new ClaraError(
      'resource-exhausted',
      `${WHAT} has ${size} bytes, more than the ${maxBytes} of limits.updateBytes`,
    );
  }
  const isExcluded = (name: string) => request.excluded.some((pattern) => pattern.test(name));
  const global = request.global === undefined ? undefined : await readLayout(request.global);
  const isIgnored = (name: string) => isExcluded(name) && !matchesAny(name, request.local ?? []);
  const own = await checkedFile(request, { file: update, what: WHAT, isExcluded, isIgnored, expected: global });
  if (!global) return { file: update, size, sha256: own.sha256 };
  if (controls !== undefined) {
    const expected = { tensors: controlsOf(global) };
    return rewrite(
      request,
      global,
      own,
      await checkedFile(request, { file: controls, what: WHAT_CONTROLS, isExcluded, isIgnored: isExcluded, expected }),
    );
  }
  const asItIs =
    (request.leftOut ?? []).length === 0 &&
    !global.tensors.some(({ name }) => isExcluded(name)) &&
    Buffer.from(global.headerBytes).equals(own.layout.headerBytes);
  return asItIs ? { file: update, size, sha256: own.sha256 } : rewrite(request, global, own);
}

async function sizeOf(update: string): Promise<number> {
  const stat = await lstat(update).catch(() => undefined);
  // A link could name any file of this machine.
  if (!stat?.isFile()) {
    throw new ClaraError('trainer-failed', `the trainer said that it was done but left no file ${update}`);
  }
  return stat.size;
}

interface Checking {
  readonly file: string;
  readonly what: string;
  readonly isExcluded: (name: string) => boolean;
  /** Of those, what is not even looked at. */
  readonly isIgnored: (name: string) => boolean;
  /** Absent: any tensors. */
  readonly expected: { readonly tensors: readonly TensorSpec[] } | undefined;
}

interface CheckedFile extends Checking {
  readonly layout: TensorLayout;
  /** Of the whole file. */
  readonly sha256: Buffer;
}

/** A file of the trainer's with the expected tensors, excluded ones aside, all of them finite. */
async function checkedFile({ signal }: OutboundRequest, checking: Checking): Promise<CheckedFile> {
  const { file, what, isIgnored, expected } = checking;
  const layout = await readLayout(file);
  if (expected) {
    const kept = (tensors: readonly TensorSpec[]) => ({ tensors: tensors.filter(({ name }) => !isIgnored(name)) });
    const faults = compareLayouts(kept(expected.tensors), kept(layout.tensors));
    if (faults.length > 0) throw ClaraError.ofFaults(what, faults);
  }
  const hash = createHash('sha256').update(layout.headerBytes);
  const scanner = new FiniteScanner(layout);
  const handle = await open(file, 'r');
  try {
    let position = 0;
    for await (const piece of range(handle, layout.headerBytes.length, layout.dataBytes, signal)) {
      hash.update(piece);
      scanner.push(position, piece);
      position += piece.length;
    }
  } finally {
    await handle.close();
  }
  const faults: Fault[] = scanner.found
    .filter(({ tensor }) => !isIgnored(tensor))
    .map((found) => ({ path: found.tensor, rule: `${showNonFinite(found)}; every number must be finite` }));
  if (faults.length > 0) throw ClaraError.ofFaults(what, faults);
  return { ...checking, layout, sha256: hash.digest() };
}

/** The global model's tensors with the update's values, then those of the control variate, if there is one. */
async function rewrite(
  { global: base, outbound, signal, leftOut = [] }: OutboundRequest,
  global: TensorLayout,
  update: CheckedFile,
  controls?: CheckedFile,
): Promise<OutboundUpdate> {
  const sent = updateLayout(global, leftOut);
  const header = controls ? encodeHeader(withControls(sent).tensors, global.metadata) : sent.headerBytes;
  const hash = createHash('sha256');
  let size = 0;
  async function* tensorsOf(
    names: readonly string[],
    { file, layout, isExcluded }: CheckedFile,
    excluded: (name: string) => AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array> {
    const places = new Map(layout.tensors.map((tensor) => [tensor.name, tensor]));
    const handle = await open(file, 'r');
    try {
      for (const name of names) {
        if (isExcluded(name)) yield* excluded(name);
        else {
          const { begin, end } = places.get(name)!;
          yield* range(handle, layout.headerBytes.length + begin, end - begin, signal);
        }
      }
    } finally {
      await handle.close();
    }
  }
  async function* pieces(): AsyncGenerator<Uint8Array> {
    yield header;
    const model = new Map(global.tensors.map((tensor) => [tensor.name, tensor]));
    const baseFile = await open(base!, 'r');
    try {
      const names = sent.tensors.map(({ name }) => name);
      yield* tensorsOf(names, update, (name) => {
        const { begin, end } = model.get(name)!;
        return range(baseFile, global.headerBytes.length + begin, end - begin, signal);
      });
    } finally {
      await baseFile.close();
    }
    if (!controls) return;
    const names = controlsOf(global).map(({ name }) => name);
    yield* tensorsOf(names, controls, (name) => zeros(model.get(name)!.end - model.get(name)!.begin));
  }
  async function* hashed(): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces()) {
      hash.update(piece);
      size += piece.length;
      yield piece;
    }
  }
  await writeFileDurably(outbound, hashed(), { signal });
  return { file: outbound, size, sha256: hash.digest() };
}

async function* zeros(length: number): AsyncGenerator<Uint8Array> {
  const piece = Buffer.alloc(Math.min(PIECE_BYTES, length));
  for (let done = 0; done < length; done += piece.length)
    yield piece.subarray(0, Math.min(piece.length, length - done));
}

/** Bytes of a file; each piece is valid until the next. */
async function* range(file: OpenFile, begin: number, length: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const piece = memory.take();
  try {
    for (let done = 0; done < length; ) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(piece, 0, Math.min(piece.length, length - done), begin + done);
      if (bytesRead === 0)
        throw new ClaraError('corrupt', `a model file ended at byte ${begin + done} while it was read`);
      yield piece.subarray(0, bytesRead);
      done += bytesRead;
    }
  } finally {
    memory.giveBack(piece);
  }
}
