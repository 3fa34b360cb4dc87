import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { writeFileDurably } from '../base/durable-file';
import { ClaraError } from '../base/errors';
import { hasSystemCode } from '../base/system-codes';
import { FLEET_VERBS, type FleetVerb } from './stacks-port';

/** What is asked for: two calls with equal tasks are one task, in which the second goes on. */
export interface FleetTask {
  readonly verb: FleetVerb;
  readonly environment: string;
  /** All stacks, in order. */
  readonly stacks: readonly string[];
}

const RECORD = z.strictObject({
  version: z.literal(1),
  verb: z.enum(FLEET_VERBS),
  environment: z.string(),
  stacks: z.array(z.string()),
  /** By stack: the digest of what was deployed. */
  done: z.record(z.string(), z.string()),
});

const MAX_CHARACTERS = 1 << 20;

/**
 * What an unfinished task has done, in a file that is there until the task is finished. A stack counts as done while what
 * would be deployed is what was deployed: after a correction only the stacks that it touches are worked on again.
 */
export class FleetRecord {
  #done: Readonly<Record<string, string>> = {};

  private constructor(
    readonly file: string,
    readonly task: FleetTask,
  ) {}

  /**
   * @param folder where records are kept
   * @throws ClaraError `corrupt` when the file is there and is none of ours
   */
  static async open(folder: string, task: FleetTask): Promise<FleetRecord> {
    const record = new FleetRecord(path.join(folder, `${task.environment}-${task.verb}.json`), task);
    const earlier = await read(record.file);
    if (earlier && sameTask(earlier, task)) record.#done = earlier.done;
    return record;
  }

  isDone(stack: string, digest: string): boolean {
    return Object.hasOwn(this.#done, stack) && this.#done[stack] === digest;
  }

  async add(stack: string, digest: string): Promise<void> {
    this.#done = { ...this.#done, [stack]: digest };
    const { verb, environment, stacks } = this.task;
    const record: z.output<typeof RECORD> = {
      version: 1,
      verb,
      environment,
      stacks: [...stacks],
      done: { ...this.#done },
    };
    await writeFileDurably(this.file, `${JSON.stringify(record, null, 2)}\n`);
  }

  /** The next call with this task begins anew: it is finished, or somebody wants it from the start. */
  async forget(): Promise<void> {
    this.#done = {};
    await rm(this.file, { force: true });
  }
}

function sameTask(a: FleetTask, b: FleetTask): boolean {
  return a.verb === b.verb && a.environment === b.environment && JSON.stringify(a.stacks) === JSON.stringify(b.stacks);
}

async function read(file: string): Promise<z.output<typeof RECORD> | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (hasSystemCode(error, 'ENOENT')) return undefined;
    throw ClaraError.from(error, `the record ${file} cannot be read`);
  }
  const parsed = text.length <= MAX_CHARACTERS ? RECORD.safeParse(parsedJson(text)) : undefined;
  if (parsed?.success) return parsed.data;
  throw new ClaraError(
    'corrupt',
    `${file} is no record of a fleet; remove it, and the next call begins with the first stack`,
  );
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
