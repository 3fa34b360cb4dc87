import { systemCode } from './system-codes';

/**
 * The one error family of the platform. Every failure that a user, a peer or a program may meet is a {@link ClaraError}
 * with a stable code; what a code means to a shell, to gRPC or to HTTP is a table, not a decision at each throw.
 *
 * A message is one sentence that names the thing, the value, the rule and the way out.
 */

/** Stable names of what can go wrong. They are part of the public contract: never rename, only add. */
export const ERROR_CODES = [
  'invalid-input', // what was given breaks a rule; the same input will fail again
  'not-found',
  'already-exists',
  'precondition-failed', // the world is not in the state that the request assumed
  'permission-denied',
  'unauthenticated',
  'corrupt', // bytes are not what their digest, length or format promised
  'out-of-space',
  'resource-exhausted', // a limit of ours was reached; the message names it
  'unavailable', // may work later without any change
  'deadline-exceeded',
  'cancelled',
  'unsupported',
  'trainer-failed',
  'internal', // a defect of ours
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** One broken rule in a larger input, addressed by path, so that everything wrong can be reported at once. */
export interface Fault {
  /** Where: a dotted path such as `strategy.serverOptimiser.lr`, or a tensor, file or field name. */
  readonly path: string;
  /** What was found there, rendered and shortened by {@link showValue}. Absent when nothing was there. */
  readonly value?: string;
  /** The rule that it breaks, in words that say how to satisfy it. */
  readonly rule: string;
}

export interface ClaraErrorOptions {
  readonly cause?: unknown;
  readonly faults?: readonly Fault[];
}

export class ClaraError extends Error {
  readonly code: ErrorCode;
  readonly faults: readonly Fault[];

  constructor(code: ErrorCode, message: string, options: ClaraErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ClaraError';
    this.code = code;
    this.faults = options.faults ?? [];
  }

  /** Turns anything thrown into a member of the family. Node's file and network errors keep their meaning. */
  static from(thrown: unknown, context?: string): ClaraError {
    if (thrown instanceof ClaraError) return thrown;
    if (!(thrown instanceof Error)) return new ClaraError('internal', prefix(context, String(thrown)));
    const code = SYSTEM_CODES[systemCode(thrown) ?? ''] ?? codeOfName(thrown.name);
    return new ClaraError(code, prefix(context, thrown.message), { cause: thrown });
  }

  /** One error for all faults of an input; the message names the first and counts the others. */
  static ofFaults(what: string, faults: readonly Fault[]): ClaraError {
    const lines = faults.map(showFault);
    const message =
      faults.length === 1 ? `${what}: ${lines[0]}` : `${what} has ${faults.length} faults: ${lines.join('; ')}`;
    return new ClaraError('invalid-input', message, { faults });
  }
}

/** True when `thrown` belongs to the family and has one of the given codes. */
export function hasCode(thrown: unknown, ...codes: readonly ErrorCode[]): thrown is ClaraError {
  return thrown instanceof ClaraError && codes.includes(thrown.code);
}

/** `path (value): rule`, on one line. */
export function showFault(fault: Fault): string {
  const value = fault.value === undefined ? '' : ` (${fault.value})`;
  return `${fault.path || 'input'}${value}: ${fault.rule}`;
}

/** Renders a value for a message: one line, at most `limit` characters, control characters escaped by JSON. */
export function showValue(value: unknown, limit = 80): string {
  let text: string;
  try {
    text = JSON.stringify(value) ?? String(value);
  } catch {
    text = String(value);
  }
  return text.length <= limit ? text : `${text.slice(0, limit - 3)}...`;
}

function prefix(context: string | undefined, message: string): string {
  return context === undefined ? message : `${context}: ${message}`;
}

function codeOfName(name: string): ErrorCode {
  if (name === 'AbortError') return 'cancelled';
  if (name === 'TimeoutError') return 'deadline-exceeded';
  return 'internal';
}

const SYSTEM_CODES: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'not-found',
  EEXIST: 'already-exists',
  EACCES: 'permission-denied',
  EPERM: 'permission-denied',
  EROFS: 'permission-denied',
  ENOSPC: 'out-of-space',
  EDQUOT: 'out-of-space',
  EFBIG: 'out-of-space',
  ECONNREFUSED: 'unavailable',
  ECONNRESET: 'unavailable',
  EPIPE: 'unavailable',
  ENOTFOUND: 'unavailable',
  EAI_AGAIN: 'unavailable',
  ETIMEDOUT: 'unavailable',
  EADDRINUSE: 'unavailable',
  EMFILE: 'resource-exhausted',
  ENFILE: 'resource-exhausted',
  ABORT_ERR: 'cancelled',
};
