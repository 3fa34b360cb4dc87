import { createHash } from 'node:crypto';
import { readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { openDecathlon } from '../../imaging/decathlon';
import { digestOf, fetchedBytes, fetchFile, type RemoteObject, requireSpace } from './fetch-file';
import { editMmarEnvironment } from './mmar-environment';
import { type Division, type PlacedDataset, placeDataset, placedDataset, placingBytes } from './place-dataset';

/** Whatever a file may come from: a path, or an address that `openRemote` understands. */
export interface Source {
  readonly from: string;
  /** `sha256:<hex>` that it must have. Of files only. */
  readonly sha256?: string | undefined;
}

export interface Preparation {
  readonly dataset?: (Source & { readonly into: string; readonly division: Division }) | undefined;
  /** Folder of an MMAR whose `environment.json` is told of the dataset. */
  readonly mmar?: { readonly folder: string; readonly checkpoints?: string | undefined } | undefined;
  readonly model?: (Source & { readonly scratch: string }) | undefined;
}

export interface Helpers {
  /** True for addresses of objects elsewhere. */
  readonly isRemote: (from: string) => boolean;
  readonly openRemote: (address: string) => Promise<RemoteObject>;
  /** Digest of the model that is served now; undefined when none is. */
  readonly published: () => Promise<string | undefined>;
  /** Has the annotation server serve a model file. @returns its version */
  readonly publish: (file: string, sha256: string) => Promise<string>;
  readonly onStep: (step: StepReport) => void;
  readonly signal: AbortSignal;
}

export type StepName = 'fetch-dataset' | 'unpack' | 'place' | 'mmar' | 'fetch-model' | 'publish';

export interface StepReport {
  readonly step: StepName;
  readonly state: 'started' | 'progress' | 'done' | 'nothing-to-do';
  /** For people. */
  readonly detail: string;
  /** 0 to 1, while it goes on. */
  readonly fraction?: number;
}

/**
 * Prepares the workspace of a site, step by step. Each step leaves its result whole or not at all, so that a preparation that
 * was killed goes on where it was, and one that is done finds nothing to do.
 */
export async function prepareSite(preparation: Preparation, helpers: Helpers): Promise<void> {
  const { dataset, mmar, model } = preparation;
  if (dataset) await prepareDataset(dataset, helpers);
  if (mmar) {
    if (!dataset) throw new ClaraError('invalid-input', 'an MMAR is told where its dataset lies: name one');
    const root = path.resolve(dataset.into);
    const changed = await editMmarEnvironment(mmar.folder, {
      DATA_ROOT: root,
      DATASET_JSON: path.join(root, 'dataset.json'),
      MMAR_CKPT_DIR: mmar.checkpoints,
    });
    const detail = `environment.json of ${mmar.folder} names ${root}`;
    helpers.onStep({ step: 'mmar', state: changed ? 'done' : 'nothing-to-do', detail });
  }
  if (model) await prepareModel(model, helpers);
}

async function prepareDataset(dataset: NonNullable<Preparation['dataset']>, helpers: Helpers): Promise<PlacedDataset> {
  const { from, division } = dataset;
  const { onStep, signal } = helpers;
  const into = path.resolve(dataset.into);
  const source = dataset.sha256 ? `${from} ${dataset.sha256}` : from;
  const before = await placedDataset(into, source, division);
  const scratch = `${into}.prepare`;
  if (before) {
    await rm(scratch, { recursive: true, force: true });
    onStep({ step: 'place', state: 'nothing-to-do', detail: `${casesOf(before)} are in ${into} already` });
    return before;
  }
  const unpacked = path.join(scratch, 'unpacked');
  const { file: archive } = await localFile(dataset, path.join(scratch, 'archive'), 'fetch-dataset', 2, helpers);
  const isFolder = (
    await stat(archive).catch((error: unknown) => Promise.reject(ClaraError.from(error)))
  ).isDirectory();
  if (!isFolder) {
    onStep({ step: 'unpack', state: 'started', detail: `unpacks ${from}` });
    await requireSpace(scratch, (await stat(archive)).size, `unpacking ${from}`);
  }
  const opened = await openDecathlon(archive, { extractTo: unpacked, signal });
  if (!isFolder) onStep({ step: 'unpack', state: 'done', detail: `${opened.name} is unpacked` });
  onStep({ step: 'place', state: 'started', detail: `makes ${into}` });
  await requireSpace(path.dirname(into), await placingBytes(opened, division), `making ${into}`);
  const placed = await placeDataset(opened, into, { source, division, signal });
  await rm(scratch, { recursive: true, force: true });
  onStep({ step: 'place', state: 'done', detail: `${casesOf(placed)} are in ${into}` });
  return placed;
}

async function prepareModel(model: NonNullable<Preparation['model']>, helpers: Helpers): Promise<void> {
  const { onStep, publish, published, signal } = helpers;
  const known = model.sha256 ?? (await servedFrom(model, helpers));
  if (known !== undefined && known === (await published())) {
    onStep({ step: 'publish', state: 'nothing-to-do', detail: `${known} is served already` });
    return;
  }
  const fetched = await localFile(model, path.join(model.scratch, 'model'), 'fetch-model', 2, helpers);
  const sha256 = await digestOf(fetched.file, model.sha256, signal);
  onStep({ step: 'publish', state: 'started', detail: `publishes ${model.from}` });
  const version = await publish(fetched.file, sha256);
  if (fetched.pin !== undefined) {
    await writeFileDurably(noteOf(model), JSON.stringify({ from: model.from, pin: fetched.pin, sha256 }));
  }
  await rm(model.scratch, { recursive: true, force: true });
  onStep({ step: 'publish', state: 'done', detail: `version ${version}, ${sha256}, is served now` });
}

const servedSchema = z.object({ from: z.string(), pin: z.string(), sha256: z.string() });
const noteOf = ({ scratch }: { readonly scratch: string }): string => `${scratch}.json`;

/** The digest of what the source holds now, when that can be known without fetching it. */
async function servedFrom(
  model: NonNullable<Preparation['model']>,
  { isRemote, openRemote, signal }: Helpers,
): Promise<string | undefined> {
  if (!isRemote(model.from)) return digestOf(model.from, undefined, signal);
  const note = await readFile(noteOf(model), 'utf8').then(
    (text) => servedSchema.parse(JSON.parse(text)),
    () => undefined,
  );
  if (note?.from !== model.from) return undefined;
  const remote = await openRemote(model.from);
  remote.close();
  return remote.pin === note.pin ? note.sha256 : undefined;
}

/** @param copies how often the bytes will lie on this disk, once fetched */
async function localFile(
  { from, sha256 }: Source,
  target: string,
  step: StepName,
  copies: number,
  { isRemote, openRemote, onStep, signal }: Helpers,
): Promise<{ readonly file: string; readonly pin?: string }> {
  if (!isRemote(from)) {
    if (sha256 !== undefined) await digestOf(from, sha256, signal);
    return { file: from };
  }
  const remote = await openRemote(from);
  // Another content, or another address, never continues what is there.
  const file = `${target}-${createHash('sha256').update(`${from}\0${remote.pin}`).digest('hex').slice(0, 12)}`;
  try {
    await requireSpace(path.dirname(file), copies * remote.size - (await fetchedBytes(file)), `fetching ${from}`);
    onStep({ step, state: 'started', detail: `fetches ${from}` });
    let told = 0;
    const fetched = await fetchFile(remote, file, {
      sha256,
      signal,
      onBytes: (done, total) => {
        if (done < total && Date.now() - told < PROGRESS_MILLIS) return;
        told = Date.now();
        onStep({
          step,
          state: 'progress',
          fraction: total === 0 ? 1 : done / total,
          detail: `${done} of ${total} bytes`,
        });
      },
    });
    onStep({ step, state: 'done', detail: `${from} is here: ${fetched.sha256}` });
    return { file: fetched.file, pin: remote.pin };
  } finally {
    remote.close();
  }
}

const PROGRESS_MILLIS = 1000;

function casesOf({ training, heldOut }: PlacedDataset): string {
  return `${training} cases to train on and ${heldOut} held out`;
}
