import path from 'node:path';
import { z } from 'zod';
import { writeFileDurably } from '../../../base/durable-file';
import { ClaraError } from '../../../base/errors';
import { readFile } from '../../../base/files';
import { hasSystemCode } from '../../../base/system-codes';

/**
 * Which ECS task works on a task folder, in `ecs-task.json` there. The token is written down before ECS is told of it: an
 * agent that is killed at any moment after that finds the same task again, since ECS starts one task a token.
 */
const noteSchema = z.object({
  version: z.literal(1),
  token: z.uuid(),
  /** When it was asked for first; waiting for a machine counts from here. ISO 8601, UTC. */
  askedAt: z.iso.datetime(),
  /** Absent when it is not known whether ECS heard of it. */
  task: z.string().max(2048).optional(),
  ended: z.boolean().default(false),
});

export type TaskNote = z.output<typeof noteSchema>;

const FILE = 'ecs-task.json';

export async function readNote(folder: string): Promise<TaskNote | undefined> {
  let text: string;
  try {
    text = await readFile(path.join(folder, FILE), 'utf8');
  } catch (error) {
    if (hasSystemCode(error, 'ENOENT')) return undefined;
    throw ClaraError.from(error);
  }
  try {
    return noteSchema.parse(JSON.parse(text));
  } catch (cause) {
    const rule = 'it was changed by something else; end the task by hand and remove the file';
    throw new ClaraError('corrupt', `${path.join(folder, FILE)} does not say which ECS task works here: ${rule}`, {
      cause,
    });
  }
}

export async function writeNote(folder: string, note: TaskNote): Promise<void> {
  await writeFileDurably(path.join(folder, FILE), `${JSON.stringify(note)}\n`);
}
