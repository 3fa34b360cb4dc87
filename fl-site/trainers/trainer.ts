import type { ProcessIdentity } from '../../base/process-identity';
import type { ProgressLine } from '../../federation/trainer-contract';

/** A way to have a task folder worked on. What lies in the folder is the trainer contract's business. */
export interface Trainer {
  /**
   * Works on the task in the folder until the trainer says that it is done, repeating it as its exit code asks for.
   *
   * @throws ClaraError `invalid-input` (exit 64), `deadline-exceeded`, `cancelled`, `resource-exhausted` (disk quota),
   *   `trainer-failed` for all else; the message ends with what the trainer said last
   */
  run(work: TrainerWork): Promise<void>;
  /**
   * Ends what an earlier agent left at work on this folder, which nobody wants any more. What a killed agent leaves on this
   * machine was ended before: this is for trainers elsewhere.
   * @default nothing is left
   */
  abandon?(folder: string): Promise<void>;
}

/** Reason of an abort: the agent ends, and a later one goes on with the task. A trainer that needs no agent may work on. */
export class AgentEnds extends Error {}

/** Reason of an abort: the site's hours are over. No trainer works on, and the task goes on when they begin again. */
export class OutsideHours extends Error {}

export interface TrainerWork {
  /** Absolute path of the task folder. */
  readonly folder: string;
  /** Milliseconds since 1970 on this machine's clock, as of now: it moves when a run is paused. */
  readonly deadline: () => number;
  /** Stops the trainer: politely first, then by force. */
  readonly signal: AbortSignal;
  /** What the trainer may keep in the folder. */
  readonly diskBytes: number;
  /** Names in the folder that do not count: the inputs. */
  readonly uncounted: readonly string[];
  readonly onProgress?: (line: ProgressLine) => void;
  /** Other lines of standard output, and all of standard error. Bounded in length and rate. */
  readonly onLog?: (line: string) => void;
  /** Nothing is trained yet, since something is waited for, such as a machine with a GPU: what, for people. */
  readonly onWaiting?: (what: string) => void;
  /**
   * A trainer works, or is about to: write it down, so that a later agent goes on with the task. A process of this machine is
   * named, so that it can be ended.
   */
  readonly onStarted?: (process: ProcessIdentity | undefined) => Promise<void>;
  /** Largest memory seen so far, over all processes of the trainer. */
  readonly onPeakRss?: (bytes: number) => void;
}
