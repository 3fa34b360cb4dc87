/**
 * How this thread waits for files. A service lets the threads of Node's pool wait, since it serves others meanwhile; a thread
 * that has nobody to serve waits itself, which costs a fraction of that.
 */

let isInPlace = false;

/**
 * From now on, or until the answer is called, this thread waits for each operation of files.ts in place, and none survives a
 * power cut: for the sites of a simulation, which can be run again and comes to the same bytes.
 */
export function waitInPlace(): () => void {
  isInPlace = true;
  return () => {
    isInPlace = false;
  };
}

export function waitsInPlace(): boolean {
  return isInPlace;
}
