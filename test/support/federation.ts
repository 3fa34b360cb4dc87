import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { asOperator, type OperationsClient } from '../../cli/operator';
import { enrol } from '../../federation/enrol';
import type { RunView } from '../../federation/gen/federation/v1/federation_pb';
import { parseInvitation } from '../../federation/invitation';
import type { PlanInput } from '../../federation/plan';
import { received } from '../../federation/stream-flow';
import type { SiteConfigurationInput } from '../../fl-site/configuration';
import { freePort } from './free-port';
import { Program, type ProgramEnd } from './program';
import { SHIFT_TRAINER } from './shift-model';

export interface SiteOptions {
  /** Environment of the trainer; see shift-trainer.cjs. */
  readonly trainer?: Readonly<Record<string, string>>;
  readonly limits?: SiteConfigurationInput['limits'];
  readonly policy?: SiteConfigurationInput['policy'];
  readonly annotation?: SiteConfigurationInput['annotation'];
  /** Folder of a dataset, for which the site gets the reference trainer. @default the shift trainer, without data */
  readonly dataset?: string;
  /** Where and how the shift trainer runs. @default as a process of the agent */
  readonly ecs?: Extract<SiteConfigurationInput['trainer'], { adapter: 'ecs-task' }>['ecs'];
  /** Port at which the site finds the coordinator. @default the coordinator's own */
  readonly port?: number;
}

/** A coordinator and its sites as real processes on this machine, in a temporary folder that ends with {@link stop}. */
export class Federation {
  coordinator!: Program;
  /** A second one on the same store, once {@link startStandby} was called. */
  standby: Program | undefined;
  #standbyPort = 0;
  /** Of the coordinator; the same after every restart. */
  port = 0;
  #enrolmentPort = 0;
  readonly sites = new Map<string, Program>();
  /** More options of `site start`, at every start of a site. */
  readonly siteOptions = new Map<string, readonly string[]>();

  private constructor(
    readonly folder: string,
    private readonly coordinatorOptions: readonly string[],
  ) {}

  /**
   * A coordinator with the given sites, enrolled and connected.
   * @param coordinatorOptions more options of `coordinator start`, at every start
   */
  static async start(
    sites: readonly string[],
    options: Readonly<Record<string, SiteOptions>> = {},
    coordinatorOptions: readonly string[] = [],
  ): Promise<Federation> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'clara-journey-'));
    const federation = new Federation(folder, coordinatorOptions);
    federation.port = await freePort();
    federation.#enrolmentPort = await freePort();
    try {
      await federation.startCoordinator();
      await Promise.all(
        sites.map(async (site) => {
          await federation.addSite(site, options[site]);
          await federation.startSite(site);
        }),
      );
      return federation;
    } catch (error) {
      await federation.stop();
      throw error;
    }
  }

  /** The same workspace and ports at every start. @returns once it serves */
  async startCoordinator(environment: Readonly<Record<string, string>> = {}): Promise<Program> {
    this.launchCoordinator(environment);
    await this.coordinator.record(({ event }) => event === 'ready', 'the coordinator is ready');
    return this.coordinator;
  }

  /** As {@link startCoordinator}, without waiting: it may die before it serves. */
  launchCoordinator(environment: Readonly<Record<string, string>> = {}): Program {
    const listen = ['--listen', `127.0.0.1:${this.port}`, '--enrolment', `127.0.0.1:${this.#enrolmentPort}`];
    const workspace = ['--workspace', path.join(this.folder, 'coordinator')];
    const options = [...workspace, ...listen, ...this.coordinatorOptions, '--json'];
    this.coordinator = new Program(['coordinator', 'start', ...options], { environment });
    return this.coordinator;
  }

  /** Starts a second coordinator on the store of the first; the same ports at every start. @returns once it stands by */
  async startStandby(): Promise<Program> {
    if (this.#standbyPort === 0) this.#standbyPort = await freePort();
    const listen = ['--listen', `127.0.0.1:${this.#standbyPort}`, '--enrolment', '127.0.0.1:0'];
    const shared = ['--store', this.#shared('store'), '--trust', this.#shared('trust')];
    const workspace = ['--workspace', path.join(this.folder, 'standby')];
    this.standby = new Program([
      'coordinator',
      'start',
      ...workspace,
      ...shared,
      ...listen,
      ...this.coordinatorOptions,
      '--json',
    ]);
    await this.standby.record(({ event }) => event === 'standing-by', 'the second one stands by');
    return this.standby;
  }

  #shared(name: string): string {
    return path.join(this.folder, 'coordinator', name);
  }

  /** Of every coordinator, for sites and operators. */
  get addresses(): string[] {
    return [this.port, this.#standbyPort].filter((port) => port !== 0).map((port) => `localhost:${port}`);
  }

  get operator(): string {
    return path.join(this.folder, 'coordinator', 'operator');
  }

  siteFolder(site: string): string {
    return path.join(this.folder, site);
  }

  /** Enrols a site and writes its configuration. */
  async addSite(site: string, options: SiteOptions = {}): Promise<void> {
    const { invitation } = await this.operate((client) => client.inviteSite({ site, validMinutes: 60 }));
    await enrol(parseInvitation(invitation), { folder: path.join(this.siteFolder(site), 'credentials') });
    await this.configureSite(site, options);
  }

  /** Writes the configuration anew; it counts from the next start of the site on. */
  async configureSite(
    site: string,
    { trainer = {}, limits, policy, annotation, dataset, ecs, port }: SiteOptions = {},
  ): Promise<void> {
    const configuration: SiteConfigurationInput = {
      id: site,
      coordinator: port === undefined ? this.addresses : `localhost:${port}`,
      credentials: './credentials',
      workspace: './workspace',
      dataset: dataset === undefined ? { kind: 'none' } : { kind: 'decathlon', path: dataset },
      trainer:
        dataset === undefined
          ? {
              name: 'shift',
              ...(ecs ? { adapter: 'ecs-task', ecs } : { adapter: 'process' }),
              command: [process.execPath, SHIFT_TRAINER],
              supports: ['scaffold', 'frozen', 'reinitialise'],
              environment: { ...trainer },
            }
          : { name: 'reference', adapter: 'reference' },
      ...(limits ? { limits } : {}),
      ...(policy ? { policy } : {}),
      ...(annotation ? { annotation } : {}),
    };
    await mkdir(this.siteFolder(site), { recursive: true });
    await writeFile(this.configurationOf(site), stringify(configuration));
  }

  configurationOf(site: string): string {
    return path.join(this.siteFolder(site), 'site.yaml');
  }

  /** @returns once the site is connected */
  async startSite(site: string): Promise<Program> {
    const program = this.launchSite(site);
    await program.record(({ event }) => event === 'ready', `site ${site} is connected`);
    return program;
  }

  launchSite(site: string): Program {
    const options = this.siteOptions.get(site) ?? [];
    const program = new Program(['site', 'start', '--config', this.configurationOf(site), ...options, '--json']);
    this.sites.set(site, program);
    return program;
  }

  async stopSite(site: string): Promise<void> {
    await this.sites.get(site)?.stop();
    this.sites.delete(site);
  }

  /** Runs a verb to its end, as a user types it. */
  async cli(...args: readonly string[]): Promise<ProgramEnd & { readonly program: Program }> {
    const program = new Program(args);
    return { ...(await program.ended), program };
  }

  /** {@link cli} for verbs of an operator. */
  verb(...args: readonly string[]): Promise<ProgramEnd & { readonly program: Program }> {
    return this.cli(...args, '--operator', this.operator);
  }

  /** Every journal and digest of the store is as it must be. */
  async verifyStore(): Promise<void> {
    const { code, stdout, stderr } = await this.cli(
      'store',
      'verify',
      '--workspace',
      path.join(this.folder, 'coordinator'),
    );
    assert.equal(code, 0, stdout + stderr);
  }

  operate<T>(work: (client: OperationsClient) => Promise<T>): Promise<T> {
    return asOperator({ operator: this.operator, coordinator: this.addresses.join(',') }, work);
  }

  async planFile(plan: Partial<PlanInput> & Readonly<Record<string, unknown>>): Promise<string> {
    const file = path.join(this.folder, `plan-${randomUUID()}.yaml`);
    await writeFile(file, stringify(shiftPlan(plan)));
    return file;
  }

  /** Submits a plan for the shift trainer. The token makes repeating it harmless. */
  async submit(plan: Partial<PlanInput>, submitToken: string = randomUUID()): Promise<string> {
    const request = { plan: JSON.stringify(shiftPlan(plan)), submitToken };
    return (await this.operate((client) => client.submitRun(request))).run;
  }

  /** The last view of a run, which has then reached a final state. */
  async outcomeOf(run: string): Promise<RunView> {
    return this.seen(run, (view) => ['completed', 'failed', 'aborted'].includes(view.summary!.state));
  }

  /** The first view of a run that `is` is true of. */
  async seen(run: string, is: (view: RunView) => boolean): Promise<RunView> {
    return this.operate(async (client) => {
      let last: RunView | undefined;
      for await (const view of received(client.watchRun({ run }))) {
        last = view;
        if (is(view)) return view;
      }
      throw new Error(`run ${run} never was what the test waits for; at last: ${JSON.stringify(last?.summary)}`);
    });
  }

  /** Events of a run's journal, in order, as they lie on the disk. */
  async journal(run: string): Promise<readonly { readonly type: string; readonly seq: number }[]> {
    const folder = path.join(this.folder, 'coordinator', 'store', 'runs', run, 'journal');
    const names = (await readdir(folder)).sort();
    return Promise.all(names.map(async (name) => JSON.parse(await readFile(path.join(folder, name), 'utf8'))));
  }

  async stop(): Promise<void> {
    const programs = [...this.sites.values(), this.coordinator, this.standby].filter(
      (program) => program !== undefined,
    );
    await Promise.all(programs.map((program) => program.stop()));
    await rm(this.folder, { recursive: true, force: true });
  }
}

export function shiftPlan(plan: Partial<PlanInput> & Readonly<Record<string, unknown>>): PlanInput {
  return {
    name: 'journey',
    trainer: { name: 'shift', parameters: { elements: 1000 } },
    rounds: 2,
    deadline: '60s',
    evaluation: { everyRound: false },
    ...plan,
  };
}
