import {
  type BigIntStats,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsync,
  ftruncate,
  ftruncateSync,
  type OpenMode,
  open as openInPool,
  openSync,
  read,
  readSync,
  type Stats,
  write,
  writeSync,
} from 'node:fs';
import { promisify } from 'node:util';
import { waitsInPlace } from './waiting-in-place';

/**
 * Open files. Node hands each operation on a file to a pool of threads, which costs 40-100 µs whatever it does, and its
 * FileHandle adds to that. A round of a small model is some hundreds of them. So what only looks, at what the kernel has at
 * hand, is answered at once: opening what is there, fstat(2), close(2). Bytes, fsync(2) and whatever makes a name go through the
 * pool, where a slow disk keeps nobody else waiting.
 */

const CREATING = constants.O_CREAT | constants.O_TRUNC;

const FLAGS = {
  r: constants.O_RDONLY,
  'r+': constants.O_RDWR,
  a: constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND,
  w: constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC,
  wx: constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL,
  'wx+': constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
} as const;

export type OpenFlags = keyof typeof FLAGS | number;

const later = {
  open: promisify<string, OpenMode, number, number>(openInPool),
  sync: promisify(fsync),
  truncate: promisify(ftruncate),
};

/**
 * open(2). What is not a regular file, a pipe that nobody writes to for example, never makes this wait.
 * @param mode of a file that is made
 * @throws the system's error
 */
export async function open(file: string, flags: OpenFlags, mode = 0o666): Promise<OpenFile> {
  const bits = (typeof flags === 'number' ? flags : FLAGS[flags]) | constants.O_NONBLOCK;
  const makes = (bits & CREATING) !== 0;
  return new OpenFile(makes && !waitsInPlace() ? await later.open(file, bits, mode) : openSync(file, bits, mode));
}

/** Errors are the system's. Whoever opens one closes it. */
export class OpenFile {
  #fd: number | undefined;
  /** Operations that the pool has: a number that was closed under them would soon be another file's. */
  #underWay = 0;
  #whenIdle: (() => void) | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** pread(2) into a part of `target`, or read(2) where the last one ended. It may read less. */
  async read(
    target: Uint8Array,
    offset: number,
    length: number,
    position: number | null = null,
  ): Promise<{ bytesRead: number }> {
    if (waitsInPlace()) return { bytesRead: readSync(this.#open, target, offset, length, position) };
    const bytesRead = await this.#inPool(
      (fd) =>
        new Promise<number>((resolve, reject) => {
          read(fd, target, offset, length, position, (error, count) => (error ? reject(error) : resolve(count)));
        }),
    );
    return { bytesRead };
  }

  /** pwrite(2) of a part of `bytes`, or write(2) where the last one ended. It may write less. */
  async write(
    bytes: Uint8Array,
    offset = 0,
    length = bytes.length - offset,
    position: number | null = null,
  ): Promise<{ bytesWritten: number }> {
    if (waitsInPlace()) return { bytesWritten: writeSync(this.#open, bytes, offset, length, position) };
    const bytesWritten = await this.#inPool(
      (fd) =>
        new Promise<number>((resolve, reject) => {
          write(fd, bytes, offset, length, position, (error, count) => (error ? reject(error) : resolve(count)));
        }),
    );
    return { bytesWritten };
  }

  /** All of `bytes`, where the last write ended. */
  async writeAll(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) done += (await this.write(bytes, done)).bytesWritten;
  }

  /** fsync(2) */
  async sync(): Promise<void> {
    if (!waitsInPlace()) await this.#inPool(later.sync);
  }

  /** ftruncate(2) */
  async truncate(length: number): Promise<void> {
    if (waitsInPlace()) ftruncateSync(this.#open, length);
    else await this.#inPool((fd) => later.truncate(fd, length));
  }

  async stat(): Promise<Stats> {
    return fstatSync(this.#open);
  }

  /** With the time of modification in nanoseconds. */
  async exactStat(): Promise<BigIntStats> {
    return fstatSync(this.#open, { bigint: true });
  }

  async chmod(mode: number): Promise<void> {
    fchmodSync(this.#open, mode);
  }

  /** When what is under way has ended; more often than once does nothing. */
  async close(): Promise<void> {
    const fd = this.#fd;
    if (fd === undefined) return;
    this.#fd = undefined;
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    closeSync(fd);
  }

  get #open(): number {
    if (this.#fd !== undefined) return this.#fd;
    throw Object.assign(new Error('EBADF: the file is closed'), { code: 'EBADF' });
  }

  async #inPool<Result>(work: (fd: number) => Promise<Result>): Promise<Result> {
    const fd = this.#open;
    this.#underWay++;
    try {
      return await work(fd);
    } finally {
      if (--this.#underWay === 0) this.#whenIdle?.();
    }
  }
}
