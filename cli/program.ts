import { Command } from 'commander';
import { isInstalled } from './installed';
import { VERSION } from './version';

const EXIT_CODE_HELP = `
Exit codes (after sysexits.h):
  0 done   64 bad input or usage   65 corrupt data   66 not found   69 service unavailable   70 internal error
  73 cannot create (disk full)   75 try again   77 not permitted   130 interrupted`;

/**
 * The commands in the order of the help. Each is loaded when it is needed: a service should neither wait for the code of the
 * others nor keep it in memory.
 */
const COMMANDS: Readonly<Record<string, () => Command>> = {
  demo: () => (require('./commands/demo') as typeof import('./commands/demo')).demoCommand(),
  simulate: () => (require('./commands/simulate') as typeof import('./commands/simulate')).simulateCommand(),
  coordinator: () =>
    (require('./commands/coordinator') as typeof import('./commands/coordinator')).coordinatorCommand(),
  operator: () => (require('./commands/operator') as typeof import('./commands/operator')).operatorCommand(),
  sites: () => (require('./commands/sites') as typeof import('./commands/sites')).sitesCommand(),
  site: () => (require('./commands/site') as typeof import('./commands/site')).siteCommand(),
  fleet: () => (require('./commands/fleet') as typeof import('./commands/fleet')).fleetCommand(),
  run: () => (require('./commands/run') as typeof import('./commands/run')).runCommand(),
  search: () => (require('./commands/search') as typeof import('./commands/search')).searchCommand(),
  model: () => (require('./commands/model') as typeof import('./commands/model')).modelCommand(),
  statistics: () => (require('./commands/statistics') as typeof import('./commands/statistics')).statisticsCommand(),
  aiaa: () => (require('./commands/aiaa') as typeof import('./commands/aiaa')).aiaaCommand(),
  store: () => (require('./commands/store') as typeof import('./commands/store')).storeCommand(),
  trainer: () => (require('./commands/trainer') as typeof import('./commands/trainer')).trainerCommand(),
  dataset: () => (require('./commands/dataset') as typeof import('./commands/dataset')).datasetCommand(),
  health: () => (require('./commands/health') as typeof import('./commands/health')).healthCommand(),
};

/**
 * The verbs of `clara-fed`. A wrong use throws commander's error instead of ending the process.
 * @param first first argument of the user; when it names a command, the others are left out
 */
export function program(first?: string): Command {
  const root = new Command('clara-fed')
    .description('Trains one model across hospitals while no image leaves a hospital.')
    .version(VERSION)
    .addHelpText('afterAll', EXIT_CODE_HELP)
    .configureHelp({ showGlobalOptions: true });
  const installed = Object.keys(COMMANDS).filter(isInstalled);
  const wanted = first !== undefined && installed.includes(first) ? [first] : installed;
  for (const name of wanted) root.addCommand(COMMANDS[name]!());
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
