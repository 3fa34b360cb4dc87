import { createHash } from 'node:crypto';
import path from 'node:path';
import { clone, fromJson, type JsonValue, toBinary, toJson } from '@bufbuild/protobuf';
import { z } from 'zod';
import { removePartials, writeFileDurably } from '../base/durable-file';
import { ClaraError } from '../base/errors';
import { mkdir, readdir, readFile } from '../base/files';
import { removeFile } from '../base/removal';
import {
  type Task,
  type TaskResult,
  TaskResultSchema,
  TaskSchema,
} from '../federation/gen/federation/v1/federation_pb';
import { siteStatisticsSchema } from '../federation/statistics';
import { trainerReportSchema } from '../federation/trainer-contract';
import { folderName, type Workspace } from './workspace';

/**
 * What the agent knows of each task, on disk, so that a killed agent goes on where it was. One small file a task, replaced
 * whole at each step:
 *
 *     accepted -> training -> trained -> finished
 *
 * `accepted` is not on disk: until the trainer starts there is nothing that another agent could go on with. `trained` means:
 * the trainer's output was checked and only has to be sent. `finished` means: the result is here and goes to the coordinator
 * until it says that it has it.
 */
const recordSchema = z.object({
  version: z.literal(1),
  /** {@link TaskSchema} in protobuf's JSON form. */
  task: z.json(),
  /** Digest of what the task asks for: the same id with another digest is another attempt. */
  fingerprint: z.string(),
  receivedAt: z.iso.datetime(),
  deadline: z.iso.datetime(),
  phase: z.enum(['accepted', 'training', 'trained', 'finished']),
  /** The trainer that was started last: it may outlive a killed agent. */
  trainer: z.object({ pid: z.number().int().positive(), started: z.string() }).optional(),
  peakRssBytes: z.number().min(0).default(0),
  /** From `trained` on. */
  report: trainerReportSchema.optional(),
  /** Statistics: what the site's policy lets go. Drawn once; telling it again must not draw other noise. */
  released: siteStatisticsSchema.optional(),
  outbound: z.object({ file: z.string(), size: z.number().int(), sha256: z.string() }).optional(),
  /** When `finished`: {@link TaskResultSchema} in protobuf's JSON form. */
  result: z.json().optional(),
});

type StoredRecord = z.infer<typeof recordSchema>;

/** As stored, with the messages parsed. */
export type TaskRecord = Omit<StoredRecord, 'version' | 'task' | 'result'> & {
  readonly task: Task;
  result?: TaskResult;
};

export function newRecord(task: Task, received: Date, deadline: Date): TaskRecord {
  return {
    task,
    fingerprint: fingerprintOf(task),
    receivedAt: received.toISOString(),
    deadline: deadline.toISOString(),
    phase: 'accepted',
    peakRssBytes: 0,
  };
}

/** Equal for the same task pushed again, whatever time is left for it. */
export function fingerprintOf(task: Task): string {
  const timeless = clone(TaskSchema, task);
  timeless.remainingMillis = 0n;
  return createHash('sha256').update(toBinary(TaskSchema, timeless)).digest('hex');
}

export class TaskJournal {
  constructor(private readonly workspace: Workspace) {}

  async save(record: TaskRecord): Promise<void> {
    const { task, result, ...rest } = record;
    const stored: z.input<typeof recordSchema> = {
      version: 1,
      ...rest,
      task: toJson(TaskSchema, task),
      ...(result && { result: toJson(TaskResultSchema, result) }),
    };
    await writeFileDurably(this.#file(task), `${JSON.stringify(stored, undefined, 2)}\n`);
  }

  async remove(task: Task): Promise<void> {
    await removeFile(this.#file(task));
  }

  /**
   * Every task on record, the oldest first. A record that cannot be read is removed: its task will be sent again.
   */
  async load(onUnreadable: (file: string, error: ClaraError) => void): Promise<TaskRecord[]> {
    const records: TaskRecord[] = [];
    for (const runFolder of await this.workspace.runFolders()) {
      const folder = path.join(runFolder, 'journal');
      await mkdir(folder, { recursive: true });
      await removePartials(folder);
      for (const name of await readdir(folder)) {
        const file = path.join(folder, name);
        try {
          records.push(parseRecord(await readFile(file, 'utf8')));
        } catch (thrown) {
          onUnreadable(file, ClaraError.from(thrown));
          await removeFile(file);
        }
      }
    }
    return records.sort((a, b) => a.receivedAt.localeCompare(b.receivedAt));
  }

  #file(task: Task): string {
    return path.join(this.workspace.journalFolder(task.run), `${folderName(task.id)}.json`);
  }
}

function parseRecord(text: string): TaskRecord {
  const { version: _, task, result, ...rest } = recordSchema.parse(JSON.parse(text));
  return {
    ...rest,
    task: fromJson(TaskSchema, task as JsonValue),
    ...(result !== undefined && { result: fromJson(TaskResultSchema, result as JsonValue) }),
  };
}
