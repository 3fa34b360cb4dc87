import { Command } from 'commander';
import { aiaaCommand } from './commands/aiaa';
import { coordinatorCommand } from './commands/coordinator';
import { datasetCommand } from './commands/dataset';
import { demoCommand } from './commands/demo';
import { modelCommand } from './commands/model';
import { runCommand } from './commands/run';
import { siteCommand } from './commands/site';
import { sitesCommand } from './commands/sites';
import { trainerCommand } from './commands/trainer';
import { VERSION } from './version';

const EXIT_CODE_HELP = `
Exit codes (after sysexits.h):
  0 done   64 bad input or usage   65 corrupt data   66 not found   69 service unavailable   70 internal error
  73 cannot create (disk full)   75 try again   77 not permitted   130 interrupted`;

/** Every verb of `clara-fed`. A wrong use throws commander's error instead of ending the process. */
export function program(): Command {
  const root = new Command('clara-fed')
    .description('Trains one model across hospitals while no image leaves a hospital.')
    .version(VERSION)
    .addHelpText('afterAll', EXIT_CODE_HELP)
    .configureHelp({ showGlobalOptions: true });
  const commands = [
    demoCommand(),
    coordinatorCommand(),
    sitesCommand(),
    siteCommand(),
    runCommand(),
    modelCommand(),
    aiaaCommand(),
    trainerCommand(),
    datasetCommand(),
  ];
  for (const command of commands) root.addCommand(command);
  everyCommand(root, (command) =>
    command.exitOverride().configureOutput({ outputError: (text, write) => write(plainUsage(text)) }),
  );
  return root;
}

function everyCommand(command: Command, visit: (command: Command) => void): void {
  visit(command);
  for (const child of command.commands) everyCommand(child, visit);
}

function plainUsage(text: string): string {
  return text.replace(/^error: /, 'clara-fed: ');
}
