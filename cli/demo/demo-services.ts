import { existsSync } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import { writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { enrol } from '../../federation/enrol';
import { parseInvitation } from '../../federation/invitation';
import type { SiteConfigurationInput } from '../../fl-site/configuration';
import { ChildProgram } from '../child-program';
import { asOperator } from '../operator';

/** The services of a demonstration, each a process of its own, started by the commands that a person would type. */
export class DemoServices {
  readonly #running: ChildProgram[] = [];
  readonly #starting = new Set<Promise<unknown>>();
  readonly #ending = new AbortController();
  #problem: (error: ClaraError) => void = () => {};
  readonly #signal: AbortSignal;
  /** Rejects when a service ends although nobody asked it to. */
  readonly failed: Promise<never>;

  constructor(
    private readonly workspace: string,
    signal: AbortSignal,
  ) {
    this.#signal = AbortSignal.any([signal, this.#ending.signal]);
    this.failed = new Promise((_, reject) => {
      this.#problem = reject;
    });
    this.failed.catch(() => undefined);
  }

  async startCoordinator(): Promise<CoordinatorPlace> {
    const folder = path.join(this.workspace, 'coordinator');
    const anyPort = '127.0.0.1:0';
    const args = [
      'coordinator',
      'start',
      '--workspace',
      folder,
      '--federation',
      'demo',
      '--listen',
      anyPort,
      '--enrolment',
      anyPort,
    ];
    const ready = await this.#start('coordinator', [...args, '--host-name', 'localhost', '127.0.0.1']);
    return coordinatorSchema.parse(ready);
  }

  /** Invites, enrols and starts a site; a site that is enrolled already is only started. */
  async startSite(site: string, dataset: string, coordinator: CoordinatorPlace): Promise<void> {
    const folder = path.join(this.workspace, 'sites', site);
    const credentials = path.join(folder, 'credentials');
    if (!existsSync(path.join(credentials, 'chain.pem'))) {
      const { invitation } = await asOperator(coordinator, (client) => client.inviteSite({ site, validMinutes: 10 }));
      await enrol(parseInvitation(invitation), { folder: credentials, signal: this.#signal });
    }
    const configuration: SiteConfigurationInput = {
      id: site,
      coordinator: coordinator.address,
      credentials: './credentials',
      workspace: './workspace',
      dataset: { kind: 'decathlon', path: dataset },
      trainer: { name: 'reference', adapter: 'reference', threads: 1 },
    };
    const file = path.join(folder, 'site.yaml');
    await writeFileDurably(file, stringify(configuration));
    await this.#start(`site ${site}`, ['site', 'start', '--config', file]);
  }

  /** @returns the URL that a person enters in 3D Slicer */
  async startAnnotation(folder: string): Promise<string> {
    const ready = await this.#start('annotation server', ['aiaa', 'start', '--workspace', folder, '--port', '0']);
    return z.object({ url: z.string() }).parse(ready).url;
  }

  /** Ends everything, the last started first; nothing can be started any more, and what is just starting ends as well. */
  async stop(): Promise<void> {
    this.#ending.abort(new ClaraError('cancelled', 'the demonstration is ending'));
    await Promise.allSettled(this.#starting);
    for (const program of this.#running.splice(0).reverse()) await program.stop();
  }

  async #start(name: string, args: readonly string[]) {
    this.#signal.throwIfAborted();
    const start = ChildProgram.start({
      name,
      args,
      signal: this.#signal,
      onUnexpectedEnd: (error) => this.#problem(error),
    });
    this.#starting.add(start);
    try {
      const { program, ready } = await start;
      this.#running.push(program);
      return ready;
    } finally {
      this.#starting.delete(start);
    }
  }
}

const coordinatorSchema = z
  .object({ address: z.string(), operator: z.string() })
  .transform(({ address, operator }) => ({ address, operator, coordinator: address }));

/** Where the coordinator is, and as whom to speak to it. */
export type CoordinatorPlace = z.output<typeof coordinatorSchema>;
