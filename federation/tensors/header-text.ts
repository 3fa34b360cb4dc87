/**
 * What JSON.parse does not tell: the order and repetition of keys (it keeps the last of equal keys and moves keys that look
 * like numbers to the front), and whether nesting is deeper than a safetensors header ever is.
 */

/** Header object, tensor object, array of numbers. */
const MAX_DEPTH = 3;

export interface KeySurvey {
  /** Keys of the outermost object in the order of the text, each once. */
  readonly topLevel: readonly string[];
  /** Dotted paths of keys that their object has more than once. */
  readonly repeated: readonly string[];
  /** The survey ended early, where nesting became deeper than a header's can be. */
  readonly tooDeep: boolean;
}

interface OpenBracket {
  readonly path: string;
  /** Undefined inside an array. */
  readonly keys: Set<string> | undefined;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON_AFTER_BLANKS = /[ \t\n\r]*:/y;

/**
 * Surveys the keys of a JSON text without building its values, so it is safe to run before JSON.parse on text from anyone.
 * Text that is not JSON gives some survey or a SyntaxError.
 */
export function surveyKeys(text: string): KeySurvey {
  const open: OpenBracket[] = [];
  const topLevel: string[] = [];
  const repeated: string[] = [];
  let lastKey = '';
  for (let at = 0; at < text.length; at++) {
    const parent = open.at(-1);
    switch (text[at]) {
      case '{':
      case '[': {
        if (open.length === MAX_DEPTH) return { topLevel, repeated, tooDeep: true };
        const path = open.length < 2 ? lastKey : `${parent?.path}.${lastKey}`;
        open.push({ path, keys: text[at] === '{' ? new Set() : undefined });
        break;
      }
      case '}':
      case ']':
        open.pop();
        break;
      case '"': {
        const end = endOfString(text, at);
        if (parent?.keys !== undefined && colonFollows(text, end)) {
          lastKey = JSON.parse(text.slice(at, end)) as string;
          if (parent.keys.has(lastKey)) repeated.push(open.length === 1 ? lastKey : `${parent.path}.${lastKey}`);
          else if (open.length === 1) topLevel.push(lastKey);
          parent.keys.add(lastKey);
        }
        at = end - 1;
      }
    }
  }
  return { topLevel, repeated, tooDeep: false };
}

/** One past the closing quote of the string that opens at `start`; the end of the text when it never closes. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at + 1;
    if (code === BACKSLASH) at++;
  }
  return text.length;
}

function colonFollows(text: string, at: number): boolean {
  COLON_AFTER_BLANKS.lastIndex = at;
  return COLON_AFTER_BLANKS.test(text);
}
