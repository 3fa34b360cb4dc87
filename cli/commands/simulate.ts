import path from 'node:path';
import { Command, Option } from 'commander';
import { ATTACKS } from '../../simulation/site-trouble';
import { type SimulateInput, simulate } from '../simulate/simulate';
import { stopSignal } from '../stopping';
import { openTerminal } from '../terminal';

/** What is real and what is not, said where a person decides whether to believe the figures. */
const LAYERS = `
What runs is the coordinator's own code (plan rules, journal, uploads, aggregation, a store in a folder) and each site's own
agent (policy, tasks, checks of what leaves, transfers). Left out: TLS and gRPC (calls go through a port between threads),
certificates and enrolment of sites (the register alone has them), a process for each site and for its trainer, a standby.
A slow network is not simulated, and memory is shared, so seconds say little of a real run; rounds and bytes do.

Data sets:
  softmax    generated data and logistic regression with many classes, which is convex: seconds, whatever the number of sites.
             Parameters of the plan's trainer: features, classes, samples, regularisation, learningRate, epochs, batch
  phantoms   the reference trainer on small computed CT volumes, with its own parameters
  a path     the reference trainer on a Decathlon folder or archive, dealt out to the sites
The plan's trainer may have any name: whatever its name, it is the one of the data set.

DIR holds history.json, model.safetensors and report.html afterwards; a further simulation there replaces them.`;

export function simulateCommand(): Command {
  return new Command('simulate')
    .argument('<plan>', 'a plan (YAML or JSON), as for run submit')
    .description(
      'Runs a plan with many simulated sites in this process, to see whether it converges before hospitals do.',
    )
    .option('--sites <n>', 'simulated sites (default: those that the cohort names, or 20)')
    .option('--rounds <n>', "instead of the plan's")
    .option(
      '--seed <n>',
      "instead of the plan's; the same seed gives the same model, byte for byte (synchronous and cyclic runs)",
    )
    .option(
      '--dataset <name|path>',
      'softmax, phantoms or a path (default: phantoms for a trainer named reference, else softmax)',
    )
    .option('--skew <alpha>', 'how unlike the sites are: Dirichlet, 0.1 strongly, 100 hardly (default: all alike)')
    .option('--drop <share>', 'chance of a site to fail a round of training', '0')
    .option('--slow <share>', 'share of sites that take longer, by --slow-by', '0')
    .option('--slow-by <duration>', 'how much longer slow sites take, in real time', '2s')
    .option('--attackers <n>', 'sites that send something else than they have learned', '0')
    .addOption(new Option('--attack <kind>', 'what they send').choices(ATTACKS).default('sign-flip'))
    .option('--attack-scale <factor>', 'length of what they send, in lengths of what they have learned', '4')
    .option('--threads <n>', 'threads for the sites (default: one for each processor)')
    .option('--workspace <dir>', 'where everything is kept', path.join('.clara-fed', 'simulate'))
    .option(
      '--keep',
      "keep the coordinator's workspace as DIR/federation/coordinator, for coordinator start --federation simulation",
    )
    .option('--json', 'one JSON object a line; the last is {"event":"done",...}')
    .addHelpText('after', `\nExample:\n  clara-fed simulate plan.yaml --sites 200 --skew 0.3 --drop 0.05\n${LAYERS}`)
    .action((plan: string, options: SimulateInput & { readonly json?: boolean }) =>
      simulate(plan, options, openTerminal(options), stopSignal()),
    );
}
