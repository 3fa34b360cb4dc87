import { mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { stringify } from 'yaml';
import { writeFileDurably } from '../base/durable-file';
import { ClaraError } from '../base/errors';
import { ownProgram, PACKAGE_ROOT } from '../base/own-program';
import { ChildProgram } from '../cli/child-program';
import { asOperator, type OperatorOptions } from '../cli/operator';
import { enrol } from '../federation/enrol';
import type { RunView } from '../federation/gen/federation/v1/federation_pb';
import { parseInvitation } from '../federation/invitation';
import type { PlanInput } from '../federation/plan';
import { received } from '../federation/stream-flow';
import type { SiteConfigurationInput } from '../fl-site/configuration';
import { diskFsyncRate } from './disk-rate';
import { loadAverage, usageOf } from './process-usage';
import { medianPair, type TlsPair, tlsPair } from './tls-pair';

export interface FederationCase {
  readonly sites: number;
  readonly mib: number;
  readonly rounds: number;
  readonly workspace: string;
  /** `perturbing` changes every weight; `noop` sends back what it got and costs next to nothing itself. */
  readonly trainer: 'perturbing' | 'noop';
}

export interface FederationResult extends FederationCase {
  readonly case: 'federation';
  readonly secondsPerRound: { readonly median: number; readonly p95: number };
  /** Model bytes down and up of a round, divided by its median time. */
  readonly mibPerSecond: number;
  readonly tlsPairMiBPerSecond: number;
  readonly ofTlsPair: number;
  readonly diskFsyncMiBPerSecond: number;
  readonly coordinatorPeakRssMiB: number;
  readonly coordinatorCpuSecondsPerGiB: number;
  /** Both ends of the TLS pair together, for comparison. */
  readonly tlsPairCpuSecondsPerGiB: number;
  readonly loadBefore: number;
}

/** Rounds of a federation of real processes on this machine, clients included, beside what machine and disk give at best. */
export async function benchFederation(wanted: FederationCase): Promise<FederationResult> {
  const loadBefore = loadAverage();
  const folder = await mkdtemp(path.join(path.resolve(wanted.workspace), 'clara-bench-'));
  const running: ChildProgram[] = [];
  try {
    const start = async (name: string, args: readonly string[]) => {
      const { program, ready } = await ChildProgram.start({
        name,
        args,
        signal: AbortSignal.timeout(120_000),
        onUnexpectedEnd: (error) => process.stderr.write(`bench: ${error.message}\n`),
      });
      running.push(program);
      return { program, ready };
    };
    const anyPort = ['--listen', '127.0.0.1:0', '--enrolment', '127.0.0.1:0', '--host-name', 'localhost', '127.0.0.1'];
    const coordinator = await start('coordinator', [
      'coordinator',
      'start',
      '--workspace',
      path.join(folder, 'c'),
      ...anyPort,
    ]);
    const operator = { operator: String(coordinator.ready.operator), coordinator: String(coordinator.ready.address) };
    for (let i = 0; i < wanted.sites; i++)
      await startSite(folder, `site-${String(i).padStart(3, '0')}`, wanted.trainer, operator, start);

    const pairs: TlsPair[] = [];
    for (let i = 0; i < 3; i++) pairs.push(await tlsPair());
    const diskFsyncMiBPerSecond = await diskFsyncRate(folder);
    const before = usageOf(coordinator.program.pid!);
    const view = await runPlan(operator, wanted);
    const after = usageOf(coordinator.program.pid!);
    for (let i = 0; i < 3; i++) pairs.push(await tlsPair());
    const pair = medianPair(pairs);

    const seconds = view.rounds.map((round) => round.seconds).sort((a, b) => a - b);
    const median = quantile(seconds, 0.5);
    const mibARound = 2 * wanted.sites * wanted.mib;
    const mibPerSecond = mibARound / median;
    const gibMoved = (mibARound * wanted.rounds) / 1024;
    return {
      case: 'federation',
      ...wanted,
      secondsPerRound: { median, p95: quantile(seconds, 0.95) },
      mibPerSecond: rounded(mibPerSecond),
      tlsPairMiBPerSecond: rounded(pair.mibPerSecond),
      ofTlsPair: rounded(mibPerSecond / pair.mibPerSecond, 3),
      diskFsyncMiBPerSecond: rounded(diskFsyncMiBPerSecond),
      coordinatorPeakRssMiB: rounded(after.peakRssMiB),
      coordinatorCpuSecondsPerGiB: rounded((after.cpuSeconds - before.cpuSeconds) / gibMoved, 2),
      tlsPairCpuSecondsPerGiB: rounded(pair.cpuSecondsPerGiB, 2),
      loadBefore,
    };
  } finally {
    for (const program of running.reverse()) await program.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function startSite(
  folder: string,
  site: string,
  trainer: FederationCase['trainer'],
  operator: Required<OperatorOptions>,
  start: (name: string, args: readonly string[]) => Promise<unknown>,
): Promise<void> {
  const { invitation } = await asOperator(operator, (client) => client.inviteSite({ site, validMinutes: 60 }));
  const place = path.join(folder, site);
  await enrol(parseInvitation(invitation), { folder: path.join(place, 'credentials') });
  const configuration: SiteConfigurationInput = {
    id: site,
    coordinator: operator.coordinator!,
    credentials: './credentials',
    workspace: './workspace',
    dataset: { kind: 'none' },
    trainer: { name: 'bench', adapter: 'process', command: trainerCommand(trainer) },
    limits: { updateBytes: '16GiB', modelBytes: '16GiB' },
  };
  await writeFileDurably(path.join(place, 'site.yaml'), stringify(configuration));
  await start(site, ['site', 'start', '--config', path.join(place, 'site.yaml')]);
}

/** The agent gives the task folder as the last argument. First weights are made by the perturbing trainer in any case. */
function trainerCommand(trainer: FederationCase['trainer']): string[] {
  const { command, args } = ownProgram(path.join(__dirname, 'perturbing-trainer'));
  if (trainer === 'perturbing') return [command, ...args];
  return ['/bin/sh', path.join(PACKAGE_ROOT, 'bench', 'noop-trainer.sh'), command, ...args];
}

async function runPlan(operator: OperatorOptions, { mib, rounds }: FederationCase): Promise<RunView> {
  const plan: PlanInput = {
    name: 'bench',
    trainer: { name: 'bench', parameters: { mib } },
    rounds,
    deadline: '1h',
    evaluation: { everyRound: false },
  };
  return asOperator(operator, async (client) => {
    const { run } = await client.submitRun({ plan: JSON.stringify(plan), submitToken: 'benchmark' });
    let last: RunView | undefined;
    for await (const view of received(client.watchRun({ run }))) last = view;
    if (last?.summary?.state === 'completed') return last;
    throw new ClaraError('internal', `the run is ${last?.summary?.state}: ${last?.summary?.reason}`);
  });
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN;
}

function rounded(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}
