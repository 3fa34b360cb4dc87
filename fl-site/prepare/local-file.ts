import { createHash } from 'node:crypto';
import path from 'node:path';
import { digestOf, fetchedBytes, fetchFile, type RemoteObject, requireSpace } from './fetch-file';

/** Whatever a file may come from: a path, or an address that `openRemote` understands. */
export interface Source {
  readonly from: string;
  /** `sha256:<hex>` that it must have. Of files only. */
  readonly sha256?: string | undefined;
}

/** What is brought by whoever prepares a site: this room knows neither S3 nor the annotation server. */
export interface Helpers {
  /** True for addresses of objects elsewhere. */
  readonly isRemote: (from: string) => boolean;
  readonly openRemote: (address: string) => Promise<RemoteObject>;
  /** Digest of the model that is served now; undefined when none is. */
  readonly published: () => Promise<string | undefined>;
  /** Has the annotation server serve a model: a file that it can serve, or an archive with one. */
  readonly publish: (model: PublishableModel) => Promise<ServedModel>;
  readonly onStep: (step: StepReport) => void;
  readonly signal: AbortSignal;
}

export interface PublishableModel {
  readonly file: string;
  /** `sha256:<hex>` of the file. */
  readonly sha256: string;
  /** A config_aiaa.json that belongs to it. @default what an archive holds, or none */
  readonly config?: string | undefined;
  /** A folder for what has to be unpacked; removed afterwards. */
  readonly scratch: string;
}

export interface ServedModel {
  readonly version: string;
  /** `sha256:<hex>` of what is served: another one than the archive's that it came in. */
  readonly sha256: string;
}

export type StepName =
  | 'fetch-dataset'
  | 'unpack'
  | 'place'
  | 'fetch-mmar'
  | 'unpack-mmar'
  | 'mmar'
  | 'fetch-model'
  | 'publish';

export interface StepReport {
  readonly step: StepName;
  readonly state: 'started' | 'progress' | 'done' | 'nothing-to-do';
  /** For people. */
  readonly detail: string;
  /** 0 to 1, while it goes on. */
  readonly fraction?: number;
}

/**
 * The file of a source, here: fetched when it is elsewhere, verified when a digest was promised.
 * @param copies how often the bytes will lie on this disk, once fetched
 */
export async function localFile(
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

/**
 * What names the content of a source now, for a comparison with what it was. A promised digest names it for ever, and what lies here is
 * looked at by whoever reads it; so only a remote address is asked.
 *
 * @returns undefined when nothing needs to be asked, or nobody answers: then nothing tells that it changed
 */
export async function contentNow({ from, sha256 }: Source, helpers: Helpers): Promise<string | undefined> {
  if (sha256 !== undefined || !helpers.isRemote(from)) return undefined;
  try {
    const remote = await helpers.openRemote(from);
    remote.close();
    return remote.pin;
  } catch (error) {
    if (helpers.signal.aborted) throw error;
    return undefined;
  }
}

/** What was made of a source, as the note in it says. */
export interface Prepared {
  /** Where from, with the digest that was promised. */
  readonly source: string;
  /** Which content of a remote address without a promised digest. */
  readonly pin?: string | undefined;
}

/** Was it made of this source, and is the source as it was? Of earlier days' notes without a pin nothing tells that it is not. */
export async function isOf(note: Prepared | undefined, source: Source, helpers: Helpers): Promise<boolean> {
  if (note === undefined || note.source !== nameOf(source)) return false;
  const now = note.pin === undefined ? undefined : await contentNow(source, helpers);
  return now === undefined || now === note.pin;
}

export function nameOf({ from, sha256 }: Source): string {
  return sha256 ? `${from} ${sha256}` : from;
}

const PROGRESS_MILLIS = 1000;
