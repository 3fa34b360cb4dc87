import { createHash } from 'node:crypto';
import path from 'node:path';
import { writeFileDurably } from '../base/durable-file';
import { ClaraError } from '../base/errors';
import { exists } from '../base/exists';
import { rm } from '../base/files';
import { bytesBetween, TensorFileBytes } from '../federation/encodings/tensor-bytes';
import type { Task } from '../federation/gen/federation/v1/federation_pb';
import { ALONE_MODEL } from '../federation/protocol';
import { matchesAny, type Patterns } from '../federation/sent-tensors';
import { encodeHeader } from '../federation/tensors/header';
import { compareLayouts } from '../federation/tensors/layout-check';
import { evaluatedFile, INPUT_FILE, OWN_INPUT_FILE } from './task-files';
import type { Workspace } from './workspace';

/**
 * Tensors with which a site goes on by itself, in a small file of their own: where the plan keeps statistics at the sites, the
 * trainer gets every model with this site's own in it. What a task made of them is written into its folder, and becomes the
 * site's own when the coordinator holds the update: an interrupted task is done again from the same, to the same bytes, and one
 * that fails has changed nothing.
 */

/** Of the data behind the header, in hexadecimal: what was kept is what the site goes on with, or it says so. */
const DIGEST_KEY = 'clara-fed.data-sha256';

/**
 * After the models of a task are there. The global model of training stays as it came, too: an update is compared with it.
 * @throws ClaraError `corrupt` when what was kept is damaged, or belongs to another model
 */
export async function putLocalTensors(
  task: Task,
  folder: string,
  workspace: Workspace,
  signal: AbortSignal,
): Promise<void> {
  const put = async (track: string, model: string, target: string): Promise<void> => {
    const own = workspace.localTensors(task.run, track);
    if (await exists(own)) await overlayTensors(path.join(folder, model), own, path.join(folder, target), signal);
  };
  if (task.kind === 'train') await put(task.track, INPUT_FILE, OWN_INPUT_FILE);
  if (task.kind !== 'evaluate') return;
  for (const [index, { name }] of task.models.entries()) {
    // Statistics belong to the weights that they were counted with.
    await put(name.startsWith(ALONE_MODEL) ? 'alone' : task.track, evaluatedFile(index), evaluatedFile(index));
  }
}

/** The file that a trainer starts from. */
export async function inputOf(folder: string): Promise<string> {
  return (await exists(path.join(folder, OWN_INPUT_FILE))) ? OWN_INPUT_FILE : INPUT_FILE;
}

/** Writes the tensors of a model whose name matches into a file of their own; none when the model has none. */
export async function keepTensors(
  model: string,
  patterns: Patterns,
  target: string,
  signal: AbortSignal,
): Promise<void> {
  await using source = await TensorFileBytes.open(model);
  const kept = source.layout.tensors.filter(({ name }) => matchesAny(name, patterns));
  if (kept.length === 0) return rm(target, { force: true });
  async function* data(): AsyncGenerator<Uint8Array> {
    for (const { begin, end } of kept) yield* bytesBetween(source, begin, end, signal);
  }
  const digest = await digestOf(data());
  async function* pieces(): AsyncGenerator<Uint8Array> {
    yield encodeHeader(kept, { [DIGEST_KEY]: digest });
    yield* data();
  }
  await writeFileDurably(target, pieces(), { signal });
}

/** A copy of the model with the kept tensors in their places. The model is not written to: others may have a link to it. */
async function overlayTensors(model: string, kept: string, target: string, signal: AbortSignal): Promise<void> {
  await using source = await TensorFileBytes.open(model);
  await using own = await TensorFileBytes.open(kept);
  const { tensors } = source.layout;
  const places = new Map(own.layout.tensors.map((tensor) => [tensor.name, tensor]));
  const faults = compareLayouts({ tensors: tensors.filter(({ name }) => places.has(name)) }, own.layout);
  if (faults.length > 0) throw notOurs(kept, 'they belong to another model');
  const digest = await digestOf(bytesBetween(own, 0, own.layout.dataBytes, signal));
  if (digest !== own.layout.metadata[DIGEST_KEY]) throw notOurs(kept, 'their bytes have changed since');
  async function* pieces(): AsyncGenerator<Uint8Array> {
    yield source.layout.headerBytes;
    for (const { name, begin, end } of tensors) {
      const place = places.get(name);
      yield* place ? bytesBetween(own, place.begin, place.end, signal) : bytesBetween(source, begin, end, signal);
    }
  }
  await writeFileDurably(target, pieces(), { signal });
}

function notOurs(file: string, why: string): ClaraError {
  return new ClaraError(
    'corrupt',
    `${file} does not hold the statistics that this site kept: ${why}; restore it from a backup, or remove it and the site goes on from those of the global model`,
  );
}

async function digestOf(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
}
