import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { EXIT } from '../../base/exit-codes';
import { readLayout } from '../../federation/tensors/file';
import { TRAINER_FEATURES, type TrainerFeature } from '../../federation/trainer-contract';
import { checkTrainer } from '../../fl-site/trainer-check';
import { referenceTrainer } from '../reference-trainer';
import { stopSignal } from '../stopping';
import { openTerminal } from '../terminal';

interface CheckOptions {
  readonly dataset?: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly model?: string;
  readonly supports?: readonly TrainerFeature[];
  readonly json?: boolean;
}

export function trainerCommand(): Command {
  const command = new Command('trainer').description('Trainers: the programs that learn at a site.');
  command
    .command('check')
    .description('Proves a trainer against the contract: each rule, whether it holds, and what to mend.')
    .argument('<command...>', 'the program and its arguments, after --; the task folder is appended')
    .option('--dataset <dir>', 'Decathlon folder to train on (default: none)')
    .option(
      '--parameters <json>',
      'trainer.parameters of the plan; small ones make it short (default: {})',
      parametersOf,
    )
    .option('--model <file>', 'weights to start from (default: the first ones that the trainer makes)')
    .option('--supports <features>', 'what to prove beside plain training, e.g. fedprox,fednova', featuresOf)
    .option('--json', 'one JSON object a check')
    .addHelpText('after', '\nExample:\n  clara-fed trainer check --dataset ./phantoms -- node my-trainer.js')
    .action(check);
  command
    .command('reference <folder>')
    .description('Runs the built-in trainer on a task folder, as a site agent does.')
    .addHelpText('after', '\nExample:\n  clara-fed trainer check --dataset ./phantoms -- clara-fed trainer reference')
    .action(reference);
  return command;
}

function featuresOf(text: string): TrainerFeature[] {
  return text.split(',').map((word) => {
    const feature = TRAINER_FEATURES.find((known) => known === word.trim());
    if (feature) return feature;
    throw new InvalidArgumentError(`${word.trim()} is none of ${TRAINER_FEATURES.join(', ')}.`);
  });
}

function parametersOf(text: string): Readonly<Record<string, unknown>> {
  const value = jsonOf(text);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new InvalidArgumentError('It must be a map in JSON, such as {"steps": 4}.');
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const MARKS = { passed: 'ok  ', failed: 'FAIL', skipped: 'skip' } as const;

async function check(words: readonly string[], options: CheckOptions): Promise<void> {
  const terminal = openTerminal(options);
  const [program, ...args] = words;
  const model = options.model === undefined ? undefined : path.resolve(options.model);
  // A file that is no model would be the trainer's fault in every step.
  if (model) await readLayout(model);
  const report = await checkTrainer(
    { command: program!, args },
    {
      // Its process group is its own, so Ctrl-C does not reach it.
      signal: stopSignal(),
      parameters: options.parameters,
      model,
      ...(options.dataset ? { dataset: { kind: 'decathlon' as const, path: path.resolve(options.dataset) } } : {}),
      supports: options.supports,
      onStep: (step) => {
        terminal.record({ event: 'check', ...step });
        terminal.line(`${MARKS[step.outcome]}  ${step.name}${step.reason ? `: ${step.reason}` : ''}`);
        if (step.mend) terminal.line(`      ${step.mend}`);
      },
    },
  );
  terminal.record({ event: 'checked', passed: report.passed });
  terminal.line(report.passed ? 'the trainer keeps the contract' : 'the trainer does not keep the contract');
  if (!report.passed) process.exitCode = EXIT.badData;
}

/** The trainer's own exit code is the answer: see docs/trainer-contract.md. */
async function reference(folder: string): Promise<void> {
  const { command, args } = referenceTrainer();
  const child = spawn(command, [...args, path.resolve(folder)], { stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => child.kill('SIGTERM'));
  const [code] = (await once(child, 'exit')) as [number | null];
  process.exitCode = code ?? EXIT.internal;
}
