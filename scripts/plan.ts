import path from 'node:path';
import { parseArgs } from 'node:util';
import { ClaraError } from '../base/errors';
import { EXIT, exitCodeOf } from '../base/exit-codes';
import { planStack } from '../test/engine/plan';
import { planJson, planText } from '../test/engine/plan-text';

/**
 * `npm run plan -- STACK [--json]`: what `pulumi up` would make of a stack, offline. Identifiers that AWS would choose
 * are invented, always the same ones; nothing is compared with what exists.
 */

const USAGE = `usage: npm run plan -- STACK [--json]

Prints what the program of a stack would make, without a cloud: every resource with its options and inputs.

example: npm run plan -- dev-st-marys
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { json: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h', default: false } },
    allowPositionals: true,
  });
  if (values.help || positionals.length !== 1) {
    (values.help ? process.stdout : process.stderr).write(USAGE);
    return values.help ? EXIT.ok : EXIT.badInput;
  }
  const run = await planStack({ root: path.resolve(__dirname, '..'), stack: positionals[0] });
  if (run.exitCode !== 0) {
    const errors = run.logs.filter(({ severity }) => severity === 'error').map(({ message }) => message);
    process.stderr.write(`${errors.join('\n') || run.printed}\n`);
    return EXIT.badInput;
  }
  process.stdout.write(values.json ? `${planJson(run)}\n` : planText(run));
  return EXIT.ok;
}

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
