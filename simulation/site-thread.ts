import { setMaxListeners } from 'node:events';
import path from 'node:path';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { ClaraError } from '../base/errors';
import { waitForFiles } from '../base/file-waiting';
import { mkdir } from '../base/files';
import { AgentCore } from '../fl-site/agent-core';
import { checkSiteConfiguration, type SiteConfiguration } from '../fl-site/configuration';
import type { CoordinatorClient } from '../fl-site/coordinator-client';
import { doTask as doReferenceTask } from '../training/trainer/do-task';
import { Gate } from './gate';
import { writePhantomSite } from './phantom-sites';
import { PortClients } from './port/port-client';
import { type DoTask, SimulatedTrainer } from './simulated-trainer';
import type { FromThread, SiteThreadSettings, ToThread } from './site-thread-messages';
import { SoftmaxSite } from './softmax/softmax-task';

/** The main module of a thread of sites: an agent for each of them, with a folder of its own, until the thread is told to stop. */

const settings = workerData as SiteThreadSettings & { readonly port: MessagePort };
const stop = new AbortController();
// Every agent listens to it, each with several parts.
setMaxListeners(0, stop.signal);
const tell = (message: FromThread) => parentPort!.postMessage(message);

parentPort!.on('message', (message: ToThread) => {
  if (message.kind === 'stop') stop.abort(new ClaraError('cancelled', 'the simulation ends'));
});

async function main(): Promise<void> {
  // Nobody waits for this thread but its sites, and nothing of theirs outlives the simulation.
  waitForFiles('in-place');
  const clients = new PortClients(settings.port);
  const gate = new Gate(settings.trainingAtOnce);
  const transfers = new Gate(TRANSFERS_AT_ONCE);
  const agents: AgentCore[] = [];
  for (const site of settings.sites) {
    stop.signal.throwIfAborted();
    const folder = path.join(settings.folder, site);
    // The agent's own process makes it when it locks it.
    await mkdir(path.join(folder, 'workspace'), { recursive: true });
    const { configuration, doTask } = await settle(site, folder);
    const client = oneByOne(clients.of(site), transfers);
    agents.push(
      new AgentCore({
        site: configuration,
        line: { address: 'in-process', client, next: () => {}, close: () => {} },
        trainer: new SimulatedTrainer({ site, doTask, trouble: settings.trouble, gate }),
        software: 'simulated',
        promptMillis: PROMPT_MILLIS,
        onEvent: (event) => {
          if (event.kind === 'problem') tell({ kind: 'problem', site, message: event.message });
        },
      }),
    );
  }
  const living = agents.map((agent) => agent.live(stop.signal));
  tell({ kind: 'ready' });
  await Promise.all(living);
}

/** Hundreds of sites tell of their progress, and nobody watches each of them. */
const PROMPT_MILLIS = 10_000;
/** Models in memory at a time. More would move no faster: all of them go through one port. */
const TRANSFERS_AT_ONCE = 4;

/** The client, with its transfers among those that the gate lets through. */
function oneByOne(client: CoordinatorClient, gate: Gate): CoordinatorClient {
  return {
    ...client,
    get movedAt() {
      return client.movedAt;
    },
    async *download(object, offset, signal) {
      const leave = await gate.enter(signal);
      try {
        yield* client.download(object, offset, signal);
      } finally {
        leave();
      }
    },
    upload: (task, chunks, signal) => gate.through(signal, () => client.upload(task, chunks, signal)),
  };
}

/** The site's data and what trains on them. */
async function settle(
  site: string,
  folder: string,
): Promise<{ readonly configuration: SiteConfiguration; readonly doTask: DoTask }> {
  const { problem, trainer, seed, skew } = settings;
  const configured = (dataset: object, how: object) =>
    checkSiteConfiguration(
      {
        id: site,
        coordinator: 'localhost:1',
        credentials: './none',
        workspace: './workspace',
        dataset,
        trainer: { name: trainer, ...how },
        limits: { maxRounds: 10_000 },
      },
      folder,
    );
  if (problem.kind === 'softmax') {
    const own = new SoftmaxSite({ seed, skew }, site);
    const how = { adapter: 'process', command: ['in-this-thread'], supports: ['fedprox', 'scaffold', 'fednova'] };
    return { configuration: configured({ kind: 'none' }, how), doTask: (task, signal) => own.doTask(task, signal) };
  }
  const data = problem.kind === 'decathlon' ? problem.folders[site]! : path.join(folder, 'data');
  if (problem.kind === 'phantoms') {
    const { cases, heldOut } = problem;
    await writePhantomSite(data, { seed, site, cases, heldOut, skew, signal: stop.signal });
  }
  return {
    configuration: configured({ kind: 'decathlon', path: data }, { adapter: 'reference' }),
    doTask: (task, signal, onProgress) => doReferenceTask(task, { signal, onProgress }),
  };
}

main()
  .catch((thrown: unknown) => {
    if (stop.signal.aborted) return;
    const { code, message, faults } = ClaraError.from(thrown);
    tell({ kind: 'failed', error: { code, message, faults } });
  })
  .finally(() => {
    settings.port.close();
    parentPort!.close();
  });
