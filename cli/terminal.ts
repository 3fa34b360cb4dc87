import { ClaraError, showFault } from '../base/errors';
import { exitCodeOf } from '../base/exit-codes';

/** Where a verb prints: plain lines or one JSON object a line on stdout, everything about failure on stderr. */
export interface Terminal {
  readonly json: boolean;
  /** True when a person watches: colours and a moving table are welcome. */
  readonly live: boolean;
  /** A line for a person; nothing with `--json`. */
  line(text?: string): void;
  /** A record for a machine; nothing without `--json`. */
  record(record: Readonly<Record<string, unknown>>): void;
}

export function openTerminal(options: { readonly json?: boolean | undefined }): Terminal {
  const json = options.json === true;
  return {
    json,
    live: !json && process.stdout.isTTY === true && process.env.TERM !== 'dumb',
    line: (text = '') => {
      if (!json) process.stdout.write(`${text}\n`);
    },
    record: (record) => {
      if (json) process.stdout.write(`${JSON.stringify(record, bigintAsNumber)}\n`);
    },
  };
}

/** JSON has no 64-bit integers; every count here stays far below 2^53. */
function bigintAsNumber(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}

/** One sentence on stderr, every fault on a line of its own, and the exit code; never a stack trace. */
export function reportFailure(thrown: unknown, json: boolean): number {
  const error = ClaraError.from(thrown);
  if (json) {
    process.stderr.write(
      `${JSON.stringify({ event: 'error', code: error.code, message: error.message, faults: error.faults })}\n`,
    );
  } else if (error.faults.length > 1) {
    const [what] = error.message.split(': ');
    process.stderr.write(`clara-fed: ${what}:\n${error.faults.map((fault) => `  - ${showFault(fault)}\n`).join('')}`);
  } else {
    process.stderr.write(`clara-fed: ${error.message}\n`);
  }
  return exitCodeOf(error.code);
}

/** Columns padded to their widest cell; the first row is the heading. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** `1 case`, `2 cases`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
