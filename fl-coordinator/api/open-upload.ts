import { ClaraError, hasCode } from '../../base/errors';
import type { Inspector } from '../../federation/tensors/inspector';
import type { SiteTask } from '../runs/tasks';
import type { ResumableUpload } from '../storage/object-store';
import type { Announcement } from './upload-facts';

/** An upload that is being received: where it goes, what is judged of it, and whose fault it is when that breaks a rule. */
export interface OpenUpload {
  readonly task: SiteTask;
  readonly announcement: Announcement;
  readonly target: ResumableUpload;
  readonly inspector: Inspector;
  /** True when a part of it was read from the store: damage that is found then may have happened here. */
  readonly wasReadBack: boolean;
  /** True while a stream writes into it. */
  busy: boolean;
  /** True once the model broke a rule: what is here of it can never become an update. */
  refused: boolean;
}

/**
 * Judges what is durable of an upload.
 * @returns undefined when that was damaged, and is gone: it had been judged when it came, so the fault is not the site's
 */
export async function readBack(
  opening: Pick<OpenUpload, 'task' | 'announcement' | 'inspector' | 'target'>,
): Promise<OpenUpload | undefined> {
  const { inspector, target } = opening;
  try {
    for await (const bytes of target.readDurable()) inspector.push(bytes);
  } catch (error) {
    const isDamaged = hasCode(error, 'invalid-input', 'corrupt');
    await (isDamaged ? target.discard() : target.suspend()).catch(() => undefined);
    if (isDamaged) return undefined;
    throw error;
  }
  return { ...opening, wasReadBack: inspector.position > 0, busy: false, refused: false };
}

/** What fails here is the model's own fault, when all its bytes came just now: they are those that the site sent, by their checksum. */
export function judging<Result>(upload: OpenUpload, judge: () => Result): Result {
  try {
    return judge();
  } catch (error) {
    upload.refused = true;
    if (upload.wasReadBack && hasCode(error, 'invalid-input', 'corrupt')) {
      throw new ClaraError(
        'corrupt',
        `${error.message}; a part of it was kept here for a while, so send all of it again`,
        {
          cause: error,
        },
      );
    }
    // A file that is none is none however often it is sent; without faults it is the digest, and another attempt may be right.
    if (!hasCode(error, 'corrupt') || error.faults.length === 0) throw error;
    throw new ClaraError('invalid-input', error.message, { faults: error.faults, cause: error });
  }
}

export function sameAnnouncement(a: Announcement, b: Announcement): boolean {
  return a.size === b.size && a.sha256 === b.sha256;
}
