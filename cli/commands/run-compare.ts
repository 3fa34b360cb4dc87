import type { Command } from 'commander';
import { compareRuns, comparisonTable, parseTarget } from '../compare-runs';
import { asOperator, type OperatorOptions, withOperator } from '../operator';
import { openTerminal } from '../terminal';

interface CompareOptions extends OperatorOptions {
  readonly metric?: string;
  readonly target?: string;
  readonly json?: boolean;
}

/** `run compare`. */
export function addCompareVerb(command: Command): void {
  withOperator(command.command('compare <run> <runs...>'))
    .description('Two or more runs side by side: what their global models reached, when, and at what cost.')
    .option('--metric <name>', 'of the evaluation of the global model (default: that of --target, or dice)')
    .option('--target <metric=value>', 'also the round that reached it')
    .option('--json', 'one JSON object a run')
    .addHelpText(
      'after',
      '\nExample:\n  clara-fed run compare spleen-1a2b3c4d spleen-5e6f7a8b --target dice=0.9 --operator ./coordinator/operator',
    )
    .action(compare);
}

async function compare(first: string, others: readonly string[], options: CompareOptions): Promise<void> {
  const terminal = openTerminal(options);
  const target = options.target === undefined ? undefined : parseTarget(options.target);
  const views = await asOperator(options, async (client) => {
    const all = [];
    for (const run of [first, ...others]) all.push(await client.showRun({ run }));
    return all;
  });
  const comparison = compareRuns(views, { metric: options.metric, target });
  for (const row of comparison.runs) terminal.record({ event: 'comparison', metric: comparison.metric, ...row });
  terminal.line(comparisonTable(comparison));
}
