import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { stringify } from 'yaml';
import { writeFileDurably } from '../base/durable-file';
import { ClaraError, hasCode } from '../base/errors';
import { ownProgram, PACKAGE_ROOT } from '../base/own-program';
import { ChildProgram } from '../cli/child-program';
import { followRun } from '../cli/follow-run';
import { asOperator } from '../cli/operator';
import { enrol } from '../federation/enrol';
import type { RunView } from '../federation/gen/federation/v1/federation_pb';
import { type Invitation, parseInvitation } from '../federation/invitation';
import type { PlanInput } from '../federation/plan';
import type { SiteConfigurationInput } from '../fl-site/configuration';

/** `perturbing` changes every weight; `noop` sends back what it got and costs next to nothing itself. */
export type BenchTrainer = 'perturbing' | 'noop';

export interface BenchFederationOptions {
  readonly workspace: string;
  readonly sites: number;
  readonly trainer: BenchTrainer;
}

export interface BenchPlan {
  readonly mib: number;
  readonly rounds: number;
  /** The coordinator judges the name. */
  readonly strategy: string;
}

/** A coordinator and sites as real processes of this machine, in a folder of their own. */
export class BenchFederation {
  readonly #sites: ChildProgram[] = [];
  #coordinator: ChildProgram | undefined;
  #ports = ['127.0.0.1:0', '127.0.0.1:0'] as const as readonly string[];
  #operator: { readonly operator: string; readonly coordinator: string } | undefined;

  private constructor(
    readonly folder: string,
    private readonly trainer: BenchTrainer,
  ) {}

  static async start({ workspace, sites, trainer }: BenchFederationOptions): Promise<BenchFederation> {
    await mkdir(workspace, { recursive: true });
    const folder = await mkdtemp(path.join(path.resolve(workspace), 'clara-bench-'));
    const federation = new BenchFederation(folder, trainer);
    try {
      await federation.startCoordinator();
      for (let i = 0; i < sites; i++) await federation.#startSite(`site-${String(i).padStart(3, '0')}`);
      return federation;
    } catch (error) {
      await federation.stop();
      throw error;
    }
  }

  get coordinatorPid(): number {
    return this.#coordinator!.pid!;
  }

  get storeFolder(): string {
    return path.join(this.folder, 'coordinator', 'store');
  }

  /** Starts the coordinator; again on the ports that it had. */
  async startCoordinator(): Promise<void> {
    const [listen, enrolment] = this.#ports;
    const args = ['coordinator', 'start', '--workspace', path.join(this.folder, 'coordinator')];
    args.push('--listen', listen!, '--enrolment', enrolment!, '--host-name', 'localhost', '127.0.0.1');
    const { program, ready } = await startProgram('coordinator', args);
    this.#coordinator = program;
    this.#operator = { operator: String(ready.operator), coordinator: String(ready.address) };
    this.#ports = [ready.address, ready.enrolment].map((address) => String(address).replace(/^.*:/, '127.0.0.1:'));
  }

  /** As a power cut would. */
  async killCoordinator(): Promise<void> {
    await this.#coordinator!.kill();
  }

  /** @returns the id of the run */
  async submit({ mib, rounds, strategy }: BenchPlan): Promise<string> {
    const plan: PlanInput = {
      name: 'bench',
      strategy: strategy as PlanInput['strategy'],
      trainer: { name: 'bench', parameters: { mib } },
      rounds,
      deadline: '2h',
      evaluation: { everyRound: false },
    };
    const request = { plan: JSON.stringify(plan), submitToken: 'benchmark' };
    return asOperator(this.#operator!, async (client) => (await client.submitRun(request)).run);
  }

  /** Follows a run until it ends, or until `seen` answers true. @returns the last view */
  async watch(run: string, seen: (view: RunView) => boolean = () => false): Promise<RunView> {
    const enough = new AbortController();
    let found: RunView | undefined;
    const onChange = (view: RunView): void => {
      if (found || !seen(view)) return;
      found = view;
      enough.abort();
    };
    const last = await followRun(run, this.#operator!, { signal: enough.signal, wasHeard: true, onChange }).catch(
      (error: unknown) => {
        if (found) return found;
        throw error;
      },
    );
    const { state, reason } = last.summary!;
    if (state === 'failed' || state === 'aborted') throw new ClaraError('internal', `the run is ${state}: ${reason}`);
    return last;
  }

  async stop(): Promise<void> {
    for (const site of this.#sites.reverse()) await site.stop();
    await this.#coordinator?.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  async #startSite(site: string): Promise<void> {
    const { invitation } = await asOperator(this.#operator!, (client) => client.inviteSite({ site, validMinutes: 60 }));
    const place = path.join(this.folder, site);
    await enrolWithinLimit(parseInvitation(invitation), path.join(place, 'credentials'));
    const configuration: SiteConfigurationInput = {
      id: site,
      coordinator: this.#operator!.coordinator,
      credentials: './credentials',
      workspace: './workspace',
      dataset: { kind: 'none' },
      trainer: { name: 'bench', adapter: 'process', command: trainerCommand(this.trainer) },
      limits: { updateBytes: '16GiB', modelBytes: '16GiB' },
    };
    await writeFileDurably(path.join(place, 'site.yaml'), stringify(configuration));
    const { program } = await startProgram(site, ['site', 'start', '--config', path.join(place, 'site.yaml')]);
    this.#sites.push(program);
  }
}

/** One machine enrols all sites here, and an address may only do so some times a minute: what is refused for that is asked again. */
async function enrolWithinLimit(invitation: Invitation, folder: string): Promise<void> {
  for (;;) {
    try {
      await enrol(invitation, { folder });
      return;
    } catch (error) {
      if (!hasCode(error, 'resource-exhausted')) throw error;
      await setTimeout(3000);
    }
  }
}

function startProgram(name: string, args: readonly string[]) {
  return ChildProgram.start({
    name,
    args,
    signal: AbortSignal.timeout(120_000),
    onUnexpectedEnd: (error) => process.stderr.write(`bench: ${error.message}\n`),
  });
}

/** The agent gives the task folder as the last argument. First weights are made by the perturbing trainer in any case. */
function trainerCommand(trainer: BenchTrainer): string[] {
  const { command, args } = ownProgram(path.join(__dirname, 'perturbing-trainer'));
  if (trainer === 'perturbing') return [command, ...args];
  return ['/bin/sh', path.join(PACKAGE_ROOT, 'bench', 'noop-trainer.sh'), command, ...args];
}
