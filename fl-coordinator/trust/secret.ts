/**
 * One secret of a secret manager: a text that is replaced as a whole. Whoever holds one knows where it lies, and nothing of how
 * it is reached.
 */
export interface Secret {
  /** Names it in sentences; never what it holds. */
  readonly name: string;
  /**
   * @returns undefined as long as it has no value
   * @throws ClaraError `not-found`, `permission-denied`, `unavailable`; `corrupt` for a value that is not text
   */
  read(): Promise<string | undefined>;
  /**
   * Gives it its first value, once for ever: of those who try at the same time one succeeds.
   * @returns false when somebody was faster
   */
  putFirst(text: string): Promise<boolean>;
  /** Gives it a new value; readers see the old one or the new one. */
  put(text: string): Promise<void>;
}
