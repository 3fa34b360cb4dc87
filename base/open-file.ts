import {
  type BigIntStats,
  close,
  closeSync,
  constants,
  fchmod,
  fchmodSync,
  fstat,
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
import { fileWaiting } from './file-waiting';

/**
 * Open files. They do what Node's FileHandle does, which costs several times as much: a round of a small model is some hundreds
 * of operations. Who waits for them: see file-waiting.ts.
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

/** read(2) and write(2) move less than 2^31 bytes at a time. */
const MOST_AT_ONCE = 2 ** 30;

const later = {
  open: promisify<string, OpenMode, number, number>(openInPool),
  stat: promisify<number, Stats>(fstat),
  exactStat: promisify<number, { bigint: true }, BigIntStats>(fstat),
  chmod: promisify(fchmod),
  close: promisify(close),
  read: promisify(read),
  write: promisify(write),
  sync: promisify(fsync),
  truncate: promisify(ftruncate),
};

/** Closes what was forgotten: a number that nobody knows any more would be lost. */
const forgotten = new FinalizationRegistry<number>((fd) => close(fd, () => undefined));

/**
 * open(2). With `looks-at-once`, what is not a regular file, a pipe that nobody writes to for example, never makes this wait.
 * @param mode of a file that is made
 * @throws the system's error
 */
export async function open(file: string, flags: OpenFlags, mode = 0o666): Promise<OpenFile> {
  const bits = typeof flags === 'number' ? flags : FLAGS[flags];
  const waiting = fileWaiting();
  const isAtOnce = waiting === 'in-place' || (waiting === 'looks-at-once' && (bits & CREATING) === 0);
  return new OpenFile(
    isAtOnce ? openSync(file, bits | constants.O_NONBLOCK, mode) : await later.open(file, bits, mode),
  );
}

/** Errors are the system's. Whoever opens one closes it. */
export class OpenFile {
  #fd: number | undefined;
  #closing: Promise<void> | undefined;
  /** Operations that the pool has: a number that was closed under them would soon be another file's. */
  #underWay = 0;
  #whenIdle: (() => void) | undefined;

  constructor(fd: number) {
    this.#fd = fd;
    forgotten.register(this, fd, this);
  }

  /** pread(2) into a part of `target`, or read(2) where the last one ended. It may read less. */
  async read(
    target: Uint8Array,
    offset: number,
    length: number,
    position: number | null = null,
  ): Promise<{ bytesRead: number }> {
    const most = Math.min(length, MOST_AT_ONCE);
    if (isInPlace()) return { bytesRead: readSync(this.#open, target, offset, most, position) };
    const { bytesRead } = await this.#inPool((fd) => later.read(fd, target, offset, most, position));
    return { bytesRead };
  }

  /** pwrite(2) of a part of `bytes`, or write(2) where the last one ended. It may write less. */
  async write(
    bytes: Uint8Array,
    offset = 0,
    length = bytes.length - offset,
    position: number | null = null,
  ): Promise<{ bytesWritten: number }> {
    const most = Math.min(length, MOST_AT_ONCE);
    if (isInPlace()) return { bytesWritten: writeSync(this.#open, bytes, offset, most, position) };
    const { bytesWritten } = await this.#inPool((fd) => later.write(fd, bytes, offset, most, position));
    return { bytesWritten };
  }

  /** All of `bytes`, where the last write ended. */
  async writeAll(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) done += (await this.write(bytes, done)).bytesWritten;
  }

  /** fsync(2) */
  async sync(): Promise<void> {
    if (!isInPlace()) await this.#inPool(later.sync);
  }

  /** ftruncate(2) */
  async truncate(length: number): Promise<void> {
    if (isInPlace()) ftruncateSync(this.#open, length);
    else await this.#inPool((fd) => later.truncate(fd, length));
  }

  async stat(): Promise<Stats> {
    return looksInPool() ? this.#inPool(later.stat) : fstatSync(this.#open);
  }

  /** With the time of modification in nanoseconds. */
  async exactStat(): Promise<BigIntStats> {
    return looksInPool()
      ? this.#inPool((fd) => later.exactStat(fd, { bigint: true }))
      : fstatSync(this.#open, { bigint: true });
  }

  async chmod(mode: number): Promise<void> {
    if (isInPlace()) fchmodSync(this.#open, mode);
    else await this.#inPool((fd) => later.chmod(fd, mode));
  }

  /** When what is under way has ended; asked again it answers the same. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const fd = this.#open;
    this.#fd = undefined;
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    forgotten.unregister(this);
    if (looksInPool()) await later.close(fd);
    else closeSync(fd);
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

const isInPlace = (): boolean => fileWaiting() === 'in-place';
const looksInPool = (): boolean => fileWaiting() === 'in-pool';
