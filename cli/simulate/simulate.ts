import path from 'node:path';
import { writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { open, readFile } from '../../base/files';
import { fileChunks } from '../../federation/file-chunks';
import type { RunView } from '../../federation/gen/federation/v1/federation_pb';
import { planDocument } from '../../federation/plan';
import { divideCases, openDecathlon, writeSiteDataset } from '../../imaging/decathlon';
import { endedRounds, type RoundRecord } from '../../simulation/history';
import { coordinatorFolder, FEDERATION, Simulation } from '../../simulation/simulation';
import type { Problem } from '../../simulation/site-thread-messages';
import { saveModel } from '../fetch-model';
import { lookAtOnceWhenLocal } from '../file-waiting';
import { type ModelFile, planToSubmit } from '../initial-model';
import { simulationPage } from '../report/simulation-page';
import type { Terminal } from '../terminal';
import { conclude, roundLine, startLines } from './lines';
import { type SimulateInput, type SimulateSettings, simulateSettings } from './settings';
import { SimulationWorkspace } from './workspace';

export type { SimulateInput };

/**
 * Runs a plan with simulated sites, tells how it goes, and leaves history, model and report in the workspace.
 * @throws ClaraError `invalid-input` with every fault of plan and options; `precondition-failed` when the run does not complete
 */
export async function simulate(
  planFile: string,
  input: SimulateInput,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const began = performance.now();
  const text = await readFile(planFile, 'utf8').catch((error: unknown) => {
    throw ClaraError.from(error, `the plan ${planFile} cannot be read`);
  });
  const { plan: submitted, model } = await planToSubmit(text, path.dirname(path.resolve(planFile)));
  const settings = simulateSettings(planDocument(submitted), input);
  const workspace = await SimulationWorkspace.open(input.workspace);
  void lookAtOnceWhenLocal([workspace.root]);
  try {
    await runInWorkspace({ settings, model, workspace, terminal, signal, began, keep: input.keep === true });
  } finally {
    await workspace.close({ keep: input.keep === true });
  }
}

interface Running {
  readonly settings: SimulateSettings;
  /** That the plan starts from, if it is one of a file. */
  readonly model: ModelFile | undefined;
  readonly workspace: SimulationWorkspace;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
  readonly began: number;
  readonly keep: boolean;
}

async function runInWorkspace(running: Running): Promise<void> {
  const { settings, model, workspace, terminal, signal, began } = running;
  const { plan, sites, skew, drop, slow, attack, threads } = settings;
  for (const line of startLines(settings, workspace.root)) terminal.line(line);
  terminal.record({
    event: 'simulation',
    ...{ sites: sites.length, rounds: plan.rounds, strategy: plan.strategy.name, seed: plan.seed },
    ...{ dataset: settings.dataset, skew, drop, slow, attack, threads, workspace: workspace.root },
  });
  const problems: string[] = [];
  const simulation = await Simulation.open({
    folder: workspace.federation,
    ...{ sites, seed: plan.seed, skew, threads, signal },
    trainer: plan.trainer.name,
    problem: await problemOf(running),
    trouble: { seed: plan.seed, drop, slow, attack },
    onProblem: (message) => {
      problems.push(message);
      terminal.record({ event: 'problem', message });
    },
  });
  try {
    terminal.record({ event: 'ready', seconds: secondsSince(began) });
    if (model) await giveModel(simulation, model);
    const run = await simulation.submit(JSON.stringify(plan), `simulated with seed ${plan.seed}`);
    terminal.record({ event: 'submitted', run });
    const { view, rounds } = await follow(simulation, run, running);
    const { state, reason, modelDigest } = view.summary!;
    const result = { run, state, reason, modelDigest, seconds: secondsSince(began), problems: problems.length };
    const { dataset } = settings;
    const history = { v: 1, result, plan, sites, dataset, skew, drop, slow, attack, rounds };
    await writeFileDurably(workspace.history, `${JSON.stringify(history, undefined, 2)}\n`);
    await writeFileDurably(workspace.report, simulationPage({ settings, rounds, result }));
    if (rounds.length > 0) await saveModel(workspace.model, `the model of run ${run}`, simulation.fetchModel(run));
    for (const problem of problems.slice(0, PROBLEMS_SHOWN)) terminal.line(`problem: ${problem}`);
    if (state !== 'completed') throw new ClaraError('precondition-failed', `run ${run} is ${state}: ${reason}`);
    conclude(terminal, { settings, rounds, result, workspace });
    if (running.keep) {
      const kept = coordinatorFolder(workspace.federation);
      terminal.line(
        `journal  clara-fed coordinator start --federation ${FEDERATION} --workspace ${kept} --host-name localhost`,
      );
    }
  } finally {
    await simulation.close();
  }
}

const PROBLEMS_SHOWN = 5;

async function follow(
  simulation: Simulation,
  run: string,
  { settings: { plan }, terminal }: Running,
): Promise<{ readonly view: RunView; readonly rounds: readonly RoundRecord[] }> {
  let last: RunView | undefined;
  let rounds: readonly RoundRecord[] = [];
  for await (const view of simulation.watch(run)) {
    last = view;
    const told = rounds.length;
    rounds = endedRounds(view);
    for (const round of rounds.slice(told)) {
      terminal.record({ event: 'round', ...round });
      terminal.line(roundLine(round, plan));
    }
  }
  return { view: last!, rounds };
}

/** Cases are dealt out to the sites before their threads begin. */
async function problemOf({ settings, workspace, signal }: Running): Promise<Problem> {
  const { dataset, sites, plan } = settings;
  if (dataset.kind === 'softmax') return { kind: 'softmax' };
  if (dataset.kind === 'phantoms') return { kind: 'phantoms', ...PHANTOM_CASES };
  const folder = path.join(workspace.federation, 'datasets');
  const whole = await openDecathlon(dataset.path, { extractTo: path.join(folder, 'extracted'), signal });
  const folders: Record<string, string> = {};
  for (const share of divideCases(whole, sites, plan.seed, 1)) {
    signal.throwIfAborted();
    folders[share.site] = path.join(folder, share.site);
    await writeSiteDataset(whole, share, folders[share.site]!);
  }
  return { kind: 'decathlon', folders };
}

/** Of a site. Few and small, so that a hundred sites are made in a minute. */
const PHANTOM_CASES = { cases: 3, heldOut: 1 };

async function giveModel(simulation: Simulation, { file, size, sha256 }: ModelFile): Promise<void> {
  const handle = await open(file, 'r');
  try {
    await simulation.uploadModel(fileChunks(handle, { what: file, header: { size, sha256 } }));
  } finally {
    await handle.close();
  }
}

function secondsSince(began: number): number {
  return Number(((performance.now() - began) / 1000).toFixed(1));
}
