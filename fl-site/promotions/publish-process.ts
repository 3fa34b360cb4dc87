import { execFile } from 'node:child_process';
import { z } from 'zod';
import { ClaraError, ERROR_CODES } from '../../base/errors';
import type { ProgramStart } from '../../base/own-program';
import type { Offer } from './offer';

/**
 * Publishing is the work of `clara-fed aiaa publish`, started as a process: it loads the model and segments with it, which
 * must neither hold the agent up nor take it along, and the annotation workspace is written by one program only.
 */
export interface Publication {
  /** `clara-fed aiaa publish`, to which arguments are added. */
  readonly program: ProgramStart;
  readonly workspace: string;
  readonly file: string;
  readonly offer: Offer;
  readonly signal: AbortSignal;
}

const publishedSchema = z.object({
  event: z.literal('published'),
  entry: z.object({ version: z.string().min(1).max(128) }),
});
const failureSchema = z.object({ event: z.literal('error'), code: z.enum(ERROR_CODES), message: z.string() });

const MAX_OUTPUT_BYTES = 1 << 20;
/** A model that cannot segment a tiny volume in this time serves nobody. */
const TIMEOUT_MILLIS = 15 * 60_000;

/** @returns the version that the annotation server serves now. @throws ClaraError with the reason of the program */
export async function publish({ program, workspace, file, offer, signal }: Publication): Promise<string> {
  const { model, version, description, sha256 } = offer;
  const args = [
    ...program.args,
    ...['--workspace', workspace, '--model', file, '--name', model, '--model-version', String(version)],
    ...['--sha256', `sha256:${sha256}`, ...(description === '' ? [] : ['--description', description]), '--json'],
  ];
  const { failure, stdout, stderr } = await run(program.command, args, signal);
  signal.throwIfAborted();
  if (failure) {
    const told = lastRecord(stderr, failureSchema);
    if (told) throw new ClaraError(told.code, told.message);
    throw new ClaraError('unavailable', `publishing ${model} did not end well: ${failure.message.slice(0, 500)}`);
  }
  const published = lastRecord(stdout, publishedSchema);
  if (published) return published.entry.version;
  throw new ClaraError('internal', `publishing ${model} ended without saying what was published`);
}

interface Ended {
  readonly failure: Error | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: string, args: readonly string[], signal: AbortSignal): Promise<Ended> {
  const { PATH = '/usr/local/bin:/usr/bin:/bin', HOME = '', LANG = 'C.UTF-8', TMPDIR } = process.env;
  const options = {
    signal,
    timeout: TIMEOUT_MILLIS,
    maxBuffer: MAX_OUTPUT_BYTES,
    env: { PATH, HOME, LANG, ...(TMPDIR === undefined ? {} : { TMPDIR }) },
  };
  return new Promise((resolve) => {
    execFile(command, [...args], options, (failure, stdout, stderr) => resolve({ failure, stdout, stderr }));
  });
}

/** The last line that is such a record. */
function lastRecord<T extends z.ZodType>(text: string, schema: T): z.output<T> | undefined {
  for (const line of text.split('\n').reverse()) {
    try {
      const parsed = schema.safeParse(JSON.parse(line));
      if (parsed.success) return parsed.data;
    } catch {
      // A line for people.
    }
  }
  return undefined;
}
