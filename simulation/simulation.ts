import path from 'node:path';
import { create } from '@bufbuild/protobuf';
import { Metadata } from '@grpc/grpc-js';
import { ClaraError } from '../base/errors';
import { rm } from '../base/files';
import type { WireChunk } from '../federation/chunk-codec';
import {
  AbortRunRequestSchema,
  FetchModelRequestSchema,
  RunRequestSchema,
  type RunView,
  SubmitRunRequestSchema,
} from '../federation/gen/federation/v1/federation_pb';
import type { OperatorIdentity } from '../federation/identity';
import type { CallContext } from '../federation/service-handlers';
import { type EmbeddedCoordinator, openEmbeddedCoordinator } from '../fl-coordinator/embedded-coordinator';
import { RunChanges } from './run-changes';
import type { SiteThreadSettings } from './site-thread-messages';
import { abortOf, SiteThreads } from './site-threads';

export interface SimulationOptions extends Omit<SiteThreadSettings, 'folder' | 'trainingAtOnce'> {
  /** Where coordinator and sites keep their files. Nothing else may lie there. */
  readonly folder: string;
  readonly threads: number;
  readonly signal: AbortSignal;
  /** Something went wrong that a real coordinator, or agent, would log. */
  readonly onProblem: (message: string) => void;
}

/** What the coordinator's workspace belongs to; whoever starts a coordinator there says so. */
export const FEDERATION = 'simulation';

/**
 * A whole federation in this process: a coordinator without its servers, and sites without their processes, in threads. What is
 * between them is a port instead of TLS; all else is what runs in hospitals.
 */
export class Simulation {
  /** Rejects when the simulation is to end. */
  readonly #stopped: Promise<never>;

  private constructor(
    private readonly options: SimulationOptions,
    private readonly coordinator: EmbeddedCoordinator,
    private readonly threads: SiteThreads,
    private readonly changes: RunChanges,
  ) {
    this.#stopped = abortOf(options.signal);
  }

  /** @returns when every site has its data and dials @throws ClaraError when it cannot be; nothing is left running then */
  static async open(options: SimulationOptions): Promise<Simulation> {
    const { folder, sites, signal, onProblem, threads, ...settings } = options;
    signal.throwIfAborted();
    const changes = new RunChanges();
    const coordinator = await openEmbeddedCoordinator({
      workspace: coordinatorFolder(folder),
      federation: FEDERATION,
      software: 'simulated',
      onRunChanged: (state) => changes.changed(state),
      onProblem: (thrown) => onProblem(ClaraError.from(thrown).message),
      signal,
    });
    try {
      await coordinator.enrol(sites);
      const known = new Set(sites);
      const running = SiteThreads.start({
        settings: { ...settings, sites, folder: path.join(folder, 'sites'), trainingAtOnce: TRAINING_AT_ONCE },
        threads,
        handlers: coordinator.federation,
        callerOf: (site) => {
          if (known.has(site)) return coordinator.siteIdentity(site);
          throw new ClaraError('unauthenticated', `${site} is no site of this simulation`);
        },
        onProblem,
        signal,
      });
      return new Simulation(options, coordinator, await running, changes);
    } catch (error) {
      await coordinator.close();
      throw error;
    }
  }

  /**
   * Submits a plan. @param token as of `run submit`: it ends the run's name
   * @throws ClaraError `invalid-input` with every fault, as the coordinator says them
   */
  async submit(plan: string, token: string): Promise<string> {
    const { run } = await this.coordinator.operations.submitRun(
      create(SubmitRunRequestSchema, { plan, submitToken: token }),
      this.#asOperator(),
    );
    return run!;
  }

  /** Keeps a model for plans that start from it. */
  async uploadModel(chunks: AsyncIterable<WireChunk>): Promise<void> {
    await this.coordinator.operations.uploadModel(chunks as never, this.#asOperator());
  }

  /**
   * A view whenever a stage has closed or a model was published, and the last one when the run has ended, however.
   * @throws the signal's reason; ClaraError when coordinator or sites cannot go on
   */
  async *watch(run: string): AsyncGenerator<RunView> {
    const lost = this.coordinator.over.then((error) => Promise.reject(error));
    lost.catch(() => undefined);
    for (let seen = 0; ; ) {
      const change = await Promise.race([this.changes.after(run, seen), this.#stopped, lost, this.threads.failed]);
      seen = change.number;
      yield this.coordinator.operations.showRun(
        create(RunRequestSchema, { run }),
        this.#asOperator(),
      ) as Promise<RunView>;
      if (change.isOver) return;
    }
  }

  /** Ends a run for good. */
  async abort(run: string, reason: string): Promise<void> {
    await this.coordinator.operations.abortRun(create(AbortRunRequestSchema, { run, reason }), this.#asOperator());
  }

  /** The last model of a run, chunk by chunk. */
  fetchModel(run: string): AsyncIterable<WireChunk> {
    const request = create(FetchModelRequestSchema, { run });
    return this.coordinator.operations.fetchModel(request, this.#asOperator()) as AsyncIterable<WireChunk>;
  }

  /** Ends sites and coordinator. What the sites kept goes; the coordinator's workspace stays. */
  async close(): Promise<void> {
    await this.threads.stop();
    await this.coordinator.close();
    await rm(path.join(this.options.folder, 'sites'), { recursive: true, force: true, maxRetries: 3 });
  }

  #asOperator(): CallContext<OperatorIdentity> {
    const { signal } = this.options;
    return { caller: this.coordinator.operator, signal, metadata: new Metadata(), peer: 'in-process' };
  }
}

/** Training fills a processor by itself; a second site may read and write its files meanwhile. */
const TRAINING_AT_ONCE = 2;

export const coordinatorFolder = (folder: string): string => path.join(folder, 'coordinator');
