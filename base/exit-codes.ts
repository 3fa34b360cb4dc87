import type { ErrorCode } from './errors';

/**
 * Exit codes of `clara-fed` and of trainers, after sysexits.h (BSD): a shell script can tell "fix your input" (64) from
 * "try again" (75). Interrupted programs exit with 128 + signal number, as shells report it.
 */
export const EXIT = {
  ok: 0,
  badInput: 64,
  badData: 65,
  notFound: 66,
  unavailable: 69,
  internal: 70,
  cannotCreate: 73,
  tryAgain: 75,
  notPermitted: 77,
  interrupted: 130,
} as const;

const EXIT_OF: Readonly<Record<ErrorCode, number>> = {
  'invalid-input': EXIT.badInput,
  unsupported: EXIT.badInput,
  'already-exists': EXIT.badInput,
  'precondition-failed': EXIT.badInput,
  corrupt: EXIT.badData,
  'not-found': EXIT.notFound,
  unavailable: EXIT.unavailable,
  'deadline-exceeded': EXIT.tryAgain,
  'resource-exhausted': EXIT.tryAgain,
  'out-of-space': EXIT.cannotCreate,
  'permission-denied': EXIT.notPermitted,
  unauthenticated: EXIT.notPermitted,
  cancelled: EXIT.interrupted,
  'trainer-failed': EXIT.internal,
  internal: EXIT.internal,
};

export function exitCodeOf(code: ErrorCode): number {
  return EXIT_OF[code];
}
