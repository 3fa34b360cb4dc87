import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ClaraError } from '../base/errors';
import { EXIT, exitCodeOf } from '../base/exit-codes';
import { hasSystemCode } from '../base/system-codes';
import { planStack } from '../test/engine/plan';
import { planJson, planText } from '../test/engine/plan-text';
import { openingsText } from '../test/reachability/page';
import { openings, surroundings } from '../test/reachability/reach';
import { settingsOf } from '../test/reachability/settings';

/**
 * `npm run plan -- STACK [--diff REF] [--json | --reach]`: what `pulumi up` would make of a stack, offline. Identifiers that AWS would choose
 * are invented, always the same ones. With `--diff` the same is done with the programs and files of a git revision, and what
 * differs is shown; nothing is compared with what exists in the cloud. With `--reach` it is not the resources that are shown but who
 * can open a connection to whom.
 */

const USAGE = `usage: npm run plan -- STACK [--diff REF] [--json | --reach]

Prints what the program of a stack would make, without a cloud: every resource with its options and inputs.

  --diff REF   only what differs from the plan at a git revision, such as main
  --json       for machines
  --reach      who can open a connection to whom, and on which ports; whatever is not listed is closed

example: npm run plan -- dev-st-marys --diff main
`;

const ROOT = path.resolve(__dirname, '..');

type Form = 'text' | 'json' | 'reach';

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      reach: { type: 'boolean', default: false },
      diff: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
    allowPositionals: true,
  });
  if (values.help || positionals.length !== 1 || (values.json && values.reach)) {
    (values.help ? process.stdout : process.stderr).write(USAGE);
    return values.help ? EXIT.ok : EXIT.badInput;
  }
  const [stack] = positionals;
  const form = values.json ? 'json' : values.reach ? 'reach' : 'text';
  const text = await planned(ROOT, stack, form);
  process.stdout.write(values.diff === undefined ? text : await difference(stack, values.diff, text, form));
  return EXIT.ok;
}

/** @throws ClaraError `invalid-input` with what the program of the stack said */
async function planned(root: string, stack: string, form: Form): Promise<string> {
  const run = await planStack({ root, stack });
  if (run.exitCode !== 0) {
    const errors = run.logs.filter(({ severity }) => severity === 'error').map(({ message }) => message);
    throw new ClaraError('invalid-input', errors.join('\n') || run.printed);
  }
  if (form === 'reach') return openingsText(openings(surroundings(run.resources, settingsOf(root, stack))));
  return form === 'json' ? `${planJson(run)}\n` : planText(run);
}

/** Unified diff from the plan of a revision to `now`; empty when they are the same. */
async function difference(stack: string, revision: string, now: string, form: Form): Promise<string> {
  const folder = mkdtempSync(path.join(tmpdir(), 'plan-'));
  try {
    const then = path.join(folder, 'tree');
    git('worktree', 'add', '--detach', then, revision);
    try {
      // Its programs run with the packages that are installed here.
      symlinkSync(path.join(ROOT, 'node_modules'), path.join(then, 'node_modules'));
      const files = { [revision]: await planned(then, stack, form), now };
      for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, fileName(name)), text);
      const { stdout } = spawnSync('git', ['diff', '--no-index', '--no-color', fileName(revision), 'now'], {
        cwd: folder,
        encoding: 'utf8',
      });
      return stdout;
    } finally {
      git('worktree', 'remove', '--force', then);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function git(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' });
  if (status !== 0) throw new ClaraError('invalid-input', `git ${args.join(' ')}: ${stderr.trim()}`);
}

function fileName(revision: string): string {
  return revision.replace(/[^A-Za-z0-9_.-]/g, '-');
}

// Whoever reads has read enough, such as `head`: nobody is left to tell anything.
process.stdout.on('error', (error: Error) => {
  if (!hasSystemCode(error, 'EPIPE')) throw error;
});

main().then(
  (code) => {
    process.exitCode = code;
  },
  (thrown: unknown) => {
    const error = ClaraError.from(thrown);
    process.stderr.write(`${error.message}\n`);
    process.exitCode = exitCodeOf(error.code);
  },
);
