import { createHash } from 'node:crypto';
import path from 'node:path';
import { z } from 'zod';
import { writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { exists } from '../../base/exists';
import { readFile, rm } from '../../base/files';
import { digestOf } from './fetch-file';
import { type Helpers, localFile, type Source } from './local-file';
import { MMAR_FILES } from './mmar-folder';

export interface ModelPreparation {
  /** A model, or an archive with one. @default the one that the MMAR brings */
  readonly source?: Source | undefined;
  /** Folder for what is fetched and unpacked. */
  readonly scratch: string;
}

/** What is known of the model that was published last. */
const noteSchema = z.object({
  from: z.string(),
  /** Which content of a remote address. */
  pin: z.string().optional(),
  /** Digest of what was read: the model, or an archive or configuration with it. */
  sha256: z.string(),
  /** Digest of what the annotation server got of it. */
  served: z.string(),
});
type Note = z.infer<typeof noteSchema>;

/** A model from its source to the annotation server. */
export async function prepareModel(model: ModelPreparation, source: Source, helpers: Helpers): Promise<void> {
  const { isRemote, openRemote, signal } = helpers;
  const note = await readNote(model);
  let known = source.sha256;
  if (!isRemote(source.from)) known = await digestOf(source.from, source.sha256, signal);
  else if (known === undefined && note?.from === source.from) {
    const remote = await openRemote(source.from);
    remote.close();
    if (remote.pin === note.pin) known = note.sha256;
  }
  if (await isServed(known, note, helpers)) return;
  const fetched = await localFile(source, path.join(model.scratch, 'model'), 'fetch-model', 3, helpers);
  const sha256 = await digestOf(fetched.file, source.sha256, signal);
  await publish(model, { from: source.from, pin: fetched.pin, sha256 }, { file: fetched.file, sha256 }, helpers);
}

/** Names under which MMARs have a model that can be served, best first. */
const SERVABLE = ['models/model.onnx', 'models/model.safetensors'];

/**
 * The model that an MMAR brings, with its config_aiaa.json.
 * @throws ClaraError `unsupported` when it brings none, or PyTorch's only
 */
export async function prepareMmarModel(model: ModelPreparation, mmar: string, helpers: Helpers): Promise<void> {
  const candidates = await Promise.all(
    SERVABLE.map(async (name) => ((await exists(path.join(mmar, name))) ? name : '')),
  );
  const name = candidates.find((candidate) => candidate !== '');
  if (name === undefined) {
    const message = `${mmar} has no ${SERVABLE.join(' and no ')}; models/model.pt and model.ts are code, which the annotation server does not run: export the network to ONNX, put it there and call again`;
    throw new ClaraError('unsupported', message);
  }
  const file = path.join(mmar, name);
  const config = path.join(mmar, MMAR_FILES.annotation);
  const sha256 = await digestOf(file, undefined, helpers.signal);
  const hasConfig = await exists(config);
  // Another configuration of the same network is another model to its users.
  const both = createHash('sha256').update(sha256);
  if (hasConfig) both.update(await readFile(config));
  const told = `sha256:${both.digest('hex')}`;
  if (await isServed(told, await readNote(model), helpers)) return;
  await publish(model, { from: file, sha256: told }, { file, sha256, ...(hasConfig && { config }) }, helpers);
}

async function isServed(known: string | undefined, note: Note | undefined, helpers: Helpers): Promise<boolean> {
  if (known === undefined) return false;
  const served = await helpers.published();
  if (served === undefined || (known !== served && !(note?.sha256 === known && note.served === served))) return false;
  helpers.onStep({ step: 'publish', state: 'nothing-to-do', detail: `${served} is served already` });
  return true;
}

async function publish(
  model: ModelPreparation,
  note: Omit<Note, 'served'>,
  what: { readonly file: string; readonly sha256: string; readonly config?: string },
  { onStep, publish: serve }: Helpers,
): Promise<void> {
  onStep({ step: 'publish', state: 'started', detail: `publishes ${note.from}` });
  const { version, sha256 } = await serve({ ...what, scratch: path.join(model.scratch, 'unpacked') });
  await writeFileDurably(noteOf(model), `${JSON.stringify({ ...note, served: sha256 })}\n`);
  await rm(model.scratch, { recursive: true, force: true });
  onStep({ step: 'publish', state: 'done', detail: `version ${version}, ${sha256}, is served now` });
}

const noteOf = ({ scratch }: ModelPreparation): string => `${scratch}.json`;

/** @returns undefined when nothing is known, as of an earlier day's note */
function readNote(model: ModelPreparation): Promise<Note | undefined> {
  return readFile(noteOf(model), 'utf8').then(
    (text) => noteSchema.parse(JSON.parse(text)),
    () => undefined,
  );
}
