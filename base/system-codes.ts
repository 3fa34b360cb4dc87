/** Codes of the system's errors, such as ENOENT, as Node hands them on (errno(3), and Node's own such as ERR_STREAM_PREMATURE_CLOSE). */

/** Undefined for what is no error of the system. */
export function systemCode(thrown: unknown): string | undefined {
  // Codes of gRPC, of exits and of the DOM are numbers.
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : undefined;
}

/** True for an error with one of these codes. */
export function hasSystemCode(thrown: unknown, ...codes: readonly string[]): boolean {
  const code = systemCode(thrown);
  return code !== undefined && codes.includes(code);
}

/** Answers undefined instead of failing with one of these codes. */
export async function unlessCode<Result>(
  work: Promise<Result>,
  ...codes: readonly string[]
): Promise<Result | undefined> {
  try {
    return await work;
  } catch (error) {
    if (hasSystemCode(error, ...codes)) return undefined;
    throw error;
  }
}
