import { parse } from 'yaml';
import { ClaraError } from './errors';

export interface YamlOptions {
  /** The subject of sentences about the text, for example `the plan`. */
  readonly what: string;
  /** Longer texts are refused unread. */
  readonly maxCharacters: number;
}

/**
 * What a person wrote as YAML or JSON. Aliases are few and keys are unique, so that a small text is a small document.
 * @throws ClaraError `invalid-input`
 */
export function readYaml(text: string, { what, maxCharacters }: YamlOptions): unknown {
  if (text.length > maxCharacters) {
    throw new ClaraError('invalid-input', `${what} has ${text.length} characters; at most ${maxCharacters} are read`);
  }
  try {
    return parse(text, { maxAliasCount: 10, uniqueKeys: true, logLevel: 'error' });
  } catch (error) {
    const first = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new ClaraError('invalid-input', `${what} is neither YAML nor JSON: ${first}`, { cause: error });
  }
}
