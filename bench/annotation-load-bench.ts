import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { publishModel } from '../aiaa/registry/publish-model';
import { ownProgram } from '../base/own-program';
import { encodeNifti } from '../imaging/nifti';
import { makePhantom } from '../imaging/phantom';
import { networkSpec } from '../training/engine/architecture';
import { ENGINE_ID, type ModelCard } from '../training/engine/model-card';
import { writeModel } from '../training/engine/model-file';
import { initialWeights } from '../training/engine/weights';
import { quantile, rounded } from './figures';
import { loadAverage, type Usage, usageWithChildren } from './process-usage';

export interface AnnotationLoadCase {
  readonly clients: number;
  readonly seconds: number;
  readonly slots: number;
  /** Segmentations that may wait; below the number of clients some are told to come again. */
  readonly queue: number;
}

export interface AnnotationLoadResult extends AnnotationLoadCase {
  readonly case: 'annotation-load';
  /** Answered as they should be. */
  readonly requests: number;
  /** Told to come again (503 with Retry-After), and did. */
  readonly busy: number;
  readonly errors: number;
  /** The first of them, for people. */
  readonly firstError?: string;
  /** Of segmentations alone, their waits included. */
  readonly segmentations: number;
  readonly p50Seconds: number;
  readonly p95Seconds: number;
  /** Of server and inference processes together. */
  readonly cpuSeconds: number;
  readonly rssMiBBefore: number;
  readonly rssMiBAfter: number;
  readonly loadBefore: number;
}

const NAME = 'untrained';
const CARD: ModelCard = {
  engine: ENGINE_ID,
  name: NAME,
  description: 'Never trained; computes as much as a trained one',
  labels: ['spleen'],
  channels: [8, 16],
  patch: [32, 32, 16],
  spacing: [6, 6, 6],
  window: { low: -160, high: 240 },
};
/** Segmentations before memory is looked at: what processes keep they have by then. */
const WARM_UP = 10;

/** Radiologists' programs that ask one after the other, some with sessions, as fast as they are answered. */
export async function benchAnnotationLoad(wanted: AnnotationLoadCase): Promise<AnnotationLoadResult> {
  const loadBefore = loadAverage();
  const workspace = await mkdtemp(path.join(tmpdir(), 'annotation-load-'));
  let server: ServerProcess | undefined;
  try {
    await publishUntrained(workspace);
    server = await startServer(workspace, wanted);
    const volume = new Blob([gzipSync(encodeNifti(makePhantom(1).image))]);
    const load = new Load(server.url, volume);
    for (let count = 0; count < WARM_UP; count += 1) await load.segment();
    load.forget();
    const before = server.usage();
    const end = performance.now() + wanted.seconds * 1000;
    await Promise.all(Array.from({ length: wanted.clients }, (_, client) => load.keepAsking(client, end)));
    const after = server.usage();
    return {
      case: 'annotation-load',
      ...wanted,
      requests: load.answered,
      busy: load.busy,
      errors: load.errors.length,
      ...(load.errors.length > 0 && { firstError: load.errors[0] }),
      segmentations: load.seconds.length,
      p50Seconds: rounded(quantile(load.seconds, 0.5), 3),
      p95Seconds: rounded(quantile(load.seconds, 0.95), 3),
      cpuSeconds: rounded(after.cpuSeconds - before.cpuSeconds),
      rssMiBBefore: rounded(before.rssMiB),
      rssMiBAfter: rounded(after.rssMiB),
      loadBefore,
    };
  } finally {
    await server?.stop();
    await rm(workspace, { recursive: true, force: true });
  }
}

/** What all clients ask and were answered. */
class Load {
  seconds: number[] = [];
  answered = 0;
  errors: string[] = [];
  busy = 0;

  constructor(
    private readonly url: string,
    private readonly volume: Blob,
  ) {}

  forget(): void {
    this.seconds = [];
    this.answered = 0;
    this.errors = [];
    this.busy = 0;
  }

  /** Most send their volume each time, as Slicer does; every fourth keeps it in a session. */
  async keepAsking(client: number, end: number): Promise<void> {
    while (performance.now() < end) {
      if (client % 4 !== 3) await this.segment();
      else {
        const opened = await this.ask('PUT', 'session/?expiry=60', this.form('image'));
        const { session_id: id } = JSON.parse(opened ?? '{}') as { session_id?: string };
        if (id === undefined) continue;
        await this.ask('POST', `v1/inference?model=${NAME}&session_id=${id}`, this.form());
        await this.ask('DELETE', `session/${id}`);
      }
      await this.ask('GET', 'v1/models');
    }
  }

  segment(): Promise<string | undefined> {
    return this.ask('POST', `v1/inference?model=${NAME}`, this.form('datapoint'));
  }

  private form(field?: string): FormData {
    const form = new FormData();
    form.append('params', '{}');
    if (field !== undefined) form.append(field, this.volume, 'ct.nii.gz');
    return form;
  }

  /** @returns the answer, undefined for an error */
  private async ask(method: string, target: string, body?: FormData): Promise<string | undefined> {
    const began = performance.now();
    for (;;) {
      try {
        const reply = await fetch(this.url + target, { method, ...(body && { body }) });
        const text = await reply.text();
        const again = Number(reply.headers.get('retry-after'));
        if (reply.status === 503 && again > 0) {
          this.busy += 1;
          await delay(again * 1000);
          continue;
        }
        if (!reply.ok) throw new Error(`${method} ${target}: ${reply.status} ${text.slice(0, 200)}`);
        this.answered += 1;
        if (target.startsWith('v1/inference')) this.seconds.push((performance.now() - began) / 1000);
        return text;
      } catch (error) {
        this.errors.push(String(error));
        return undefined;
      }
    }
  }
}

interface ServerProcess {
  readonly url: string;
  usage(): Pick<Usage, 'cpuSeconds' | 'rssMiB'>;
  stop(): Promise<void>;
}

async function startServer(workspace: string, { slots, queue }: AnnotationLoadCase): Promise<ServerProcess> {
  const { command, args } = ownProgram(
    path.join(__dirname, 'annotation-server'),
    workspace,
    String(slots),
    String(queue),
  );
  const child: ChildProcess = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = once(child, 'exit');
  const [line] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string];
  const { url } = JSON.parse(line) as { url: string };
  return {
    url,
    usage: () => usageWithChildren(child.pid!),
    async stop() {
      child.kill('SIGTERM');
      await gone;
    },
  };
}

async function publishUntrained(workspace: string): Promise<void> {
  const file = path.join(workspace, 'model.safetensors');
  await writeModel(file, { card: CARD, weights: initialWeights(networkSpec(CARD.channels), 1) });
  await publishModel(workspace, { file, name: NAME, version: '1' });
  await rm(file);
}
