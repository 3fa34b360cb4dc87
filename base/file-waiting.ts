/**
 * Who waits for files in this thread. Node hands each operation to a pool of threads, which costs 40-100 µs whatever it does.
 *
 * - `in-pool`: the pool waits, always. Right where files may lie on a network file system, whose server may be gone.
 * - `looks-at-once`: for a service whose files are on a disk of this machine. The thread itself waits for what only looks at what
 *   the kernel has at hand; bytes, fsync(2) and names wait in the pool.
 * - `in-place`: for a thread that serves nobody. It waits itself, and nothing is made to survive a power cut: for the sites of a
 *   simulation, which can be run again and comes to the same bytes.
 */
export type FileWaiting = 'in-pool' | 'looks-at-once' | 'in-place';

let waiting: FileWaiting = 'in-pool';

/** From now on, in this thread. @default 'in-pool' */
export function waitForFiles(how: FileWaiting): void {
  waiting = how;
}

export function fileWaiting(): FileWaiting {
  return waiting;
}
