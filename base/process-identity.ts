import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { hasSystemCode } from './system-codes';

/** A process beyond doubt: numbers are used again, but not together with a start time. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, in the words of the operating system; empty when that could not be learned. */
  readonly started: string;
}

export interface EndOptions {
  /** Stops waiting, with its reason; the process may run on. */
  readonly signal?: AbortSignal;
  /** Told each time that it has been waited so long again: a process that sleeps in the kernel, in a driver say, cannot be ended. */
  readonly onLate?: (leader: ProcessIdentity) => void;
  /** @default 10 s */
  readonly lateMillis?: number;
}

const POLL_MILLIS = 10;
const LATE_MILLIS = 10_000;

export function identityOf(pid: number): ProcessIdentity {
  return { pid, started: startTime(pid) ?? '' };
}

/** True while this very process runs. One whose start time was never learned counts as gone. */
export function isRunning({ pid, started }: ProcessIdentity): boolean {
  return started !== '' && startTime(pid) === started;
}

/**
 * Ends a process group of which `leader` is the leader, left behind by a killed agent, and waits until the leader is gone, however long that
 * takes: what follows relies on it.
 *
 * @throws the reason of `signal`
 */
export async function endGroup(
  leader: ProcessIdentity,
  { signal, onLate, lateMillis = LATE_MILLIS }: EndOptions = {},
): Promise<void> {
  if (!isRunning(leader)) return;
  signalGroup(leader.pid, 'SIGKILL');
  let lateAt = performance.now() + lateMillis;
  while (isRunning(leader)) {
    signal?.throwIfAborted();
    await delay(POLL_MILLIS);
    if (performance.now() < lateAt) continue;
    onLate?.(leader);
    lateAt += lateMillis;
  }
}

/** Sends a signal to every process of a group; a group that is gone is no error. */
export function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch (error) {
    // EPERM: only processes that have changed their user are left, and those are beyond reach.
    if (!hasSystemCode(error, 'ESRCH', 'EPERM')) throw error;
  }
}

/**
 * Start time of a process that has not ended: field 22 of /proc/PID/stat (proc(5)) on Linux, `ps` elsewhere. A zombie has
 * ended.
 */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The command in parentheses may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : `ticks ${fields[19]}`;
  } catch {
    if (process.platform === 'linux') return undefined;
  }
  const { status, stdout } = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' });
  return status === 0 && stdout.trim() !== '' ? stdout.trim() : undefined;
}
