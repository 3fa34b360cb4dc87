import { ClaraError } from '../../base/errors';
import { systemCode } from '../../base/system-codes';

/** What the system's codes mean for a store, where that differs from their general meaning. */
const STORE_CODES: Readonly<Record<string, readonly [code: 'unavailable' | 'invalid-input', why: string]>> = {
  EIO: ['unavailable', 'the disk reports an input/output error; check it'],
  ESTALE: ['unavailable', 'the file system has lost the file; mount it again'],
  ENOTDIR: ['invalid-input', 'a shorter key is an object already; no key may be a folder of another'],
  EISDIR: ['invalid-input', 'longer keys lie below it; no key may be a folder of another'],
};

/** Turns anything thrown while working on `what` into a ClaraError that says so. */
export function storeError(thrown: unknown, what: string): ClaraError {
  const meaning = STORE_CODES[systemCode(thrown) ?? ''];
  if (meaning === undefined) return ClaraError.from(thrown, what);
  const [code, why] = meaning;
  return new ClaraError(code, `${what}: ${why}`, { cause: thrown });
}

/** @throws ClaraError `cancelled`, or what the signal's owner gave as the reason when that is a ClaraError */
export function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (!signal?.aborted) return;
  const { reason } = signal;
  if (reason instanceof ClaraError) throw reason;
  const code = reason instanceof Error && reason.name === 'TimeoutError' ? 'deadline-exceeded' : 'cancelled';
  throw new ClaraError(code, `${what} was given up before it was done`, { cause: reason });
}
