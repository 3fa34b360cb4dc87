import assert from 'node:assert/strict';
import { ClaraError, type ErrorCode } from '../../../../base/errors';

/** Asserts that `work` fails with a member of the family of this code whose sentence holds `words`. */
export async function rejectsWith(code: ErrorCode, work: Promise<unknown>, words = ''): Promise<ClaraError> {
  const error = await work.then(
    () => assert.fail(`it should have failed with ${code}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof ClaraError, String(error));
  assert.equal(error.code, code, error.message);
  assert.ok(error.message.includes(words), error.message);
  return error;
}
