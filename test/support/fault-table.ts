import { posix } from 'node:path';

/** The page docs/reliability.md as text: rows in, lines out. Knows nothing of how a row came to be proven. */

export const AREAS = [
  'The coordinator is killed or paused',
  'The store in a folder',
  'The store in S3',
  'The secrets of the coordinators',
  'No room is left',
  'What sites send: uploads, messages, figures',
  'Lines between sites and coordinator',
  'Clocks',
  'Sites and their trainers',
  'Many sites at once',
  'Who may not: certificates, roles, invitations',
  'What operators ask for',
  'The annotation server and its files',
] as const;

export type Area = (typeof AREAS)[number];

export interface FaultRow {
  readonly area: Area;
  readonly fault: string;
  /** Where the fault is made to happen: a place in the program, a line, a file. */
  readonly where: string;
  /**
   * The sentence that somebody reads, with `{name}` where it differs from run to run; what a test is told must match it. None
   * where nothing is to be said, because nobody has to do anything.
   */
  readonly reads?: string;
  readonly ends: string;
  /** What a machine must have for the tests of the row; without it they are skipped, and the row stays as it is. */
  readonly needs?: string;
}

/** A row after a run of tests, or of some of them. */
export interface JudgedRow {
  readonly row: FaultRow;
  /** Below `test/`, with forward slashes. */
  readonly spec: string;
  /** `unknown`: its tests were skipped, or not chosen. */
  readonly state: 'proven' | 'unknown' | 'failed';
}

export interface Page {
  readonly text: string;
  /** What was added and taken away, as lines of a table. */
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

const INTRODUCTION = `# Reliability

What breaks, where a test breaks it, what one reads, and how it ends. The tables are written by the tests themselves: a row stands
beside the test that shows it, and is here only while that test passes; a sentence is here only when the test has read it. _Words
like this_ differ from case to case. \`npm test\` compares this page with what it has seen, and fails when they differ;
\`WRITE_RELIABILITY=1 npm test\` writes it. A run of some specs looks at the rows of these specs only. Rows that need something of
the machine say so, and are left alone where it is missing.
`;

const HEAD = [
  '| what breaks | where it is broken | what one reads | how it ends | shown by |',
  '| --- | --- | --- | --- | --- |',
];

export function lineOf(row: FaultRow, spec: string): string {
  const shown = `[${posix.basename(spec, '.spec.ts')}](../test/${spec})${row.needs ? `; needs ${row.needs}` : ''}`;
  const cells = [row.fault, row.where, row.reads ?? '-', row.ends].map(shownText);
  return `| ${[...cells, shown].join(' | ')} |`;
}

/**
 * The page after a run: rows of specs that were not loaded stay, those of loaded ones are what the run has proven. A row of which
 * the run knows nothing stays if it was there, and does not come in.
 * @param loaded specs that were loaded in this run, below `test/`
 * @param exists whether there is such a spec at all
 */
export function pageAfter(
  before: string,
  judged: readonly JudgedRow[],
  loaded: ReadonlySet<string>,
  exists: (spec: string) => boolean,
): Page {
  const old = linesOf(before);
  const proven = new Map<string, Area>();
  const unknown = new Set<string>();
  for (const { row, spec, state } of judged) {
    const line = lineOf(row, spec);
    if (state === 'proven') proven.set(line, row.area);
    if (state === 'unknown') unknown.add(line);
  }
  const kept = [...old].filter(([line]) => {
    const spec = specOf(line);
    return loaded.has(spec) ? unknown.has(line) : exists(spec);
  });
  const lines = new Map([...kept, ...proven]);
  const tables = AREAS.flatMap((area) => {
    const own = [...lines].filter(([, of]) => of === area).map(([line]) => line);
    return own.length === 0 ? [] : [`## ${area}\n\n${[...HEAD, ...own.sort()].join('\n')}\n`];
  });
  return {
    text: [INTRODUCTION, ...tables].join('\n'),
    added: [...lines.keys()].filter((line) => !old.has(line)),
    removed: [...old.keys()].filter((line) => !lines.has(line)),
  };
}

/** Rows of a page by their line. */
export function linesOf(page: string): Map<string, Area> {
  const lines = new Map<string, Area>();
  let area: string | undefined;
  for (const line of page.split('\n')) {
    if (line.startsWith('## ')) area = line.slice(3);
    const known = AREAS.find((each) => each === area);
    if (known && line.startsWith('| ') && !HEAD.includes(line)) lines.set(line, known);
  }
  return lines;
}

/** The spec that a line of the page names, below `test/`. */
export function specOf(line: string): string {
  return /\]\(\.\.\/test\/([^)]+)\)[^|]*\|$/.exec(line)?.[1] ?? '';
}

/** True when a sentence is the one that a row promises. A sentence is one line. */
export function isSentence(template: string, sentence: string): boolean {
  const pattern = template
    .split(/\{[^}]+\}/)
    .map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('[^\\n]+?');
  return new RegExp(`^${pattern}$`).test(sentence);
}

function shownText(text: string): string {
  return text
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/([|*])/g, '\\$1')
    .replace(/\{([^}]+)\}/g, '_$1_');
}
