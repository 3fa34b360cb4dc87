import { ClaraError } from '../../base/errors';
import type { EngineModule } from './inference-engine';
import { JobRunner, StageError } from './worker-jobs';
import { type FromWorker, type InferenceJob, toWorkerSchema } from './worker-protocol';

/**
 * The inference process: `worker-main ENGINE_MODULE`, started by the server with an IPC channel. It ends when the channel
 * closes, so that it never outlives its server, however that ended.
 */

const PROGRESS_STEP = 0.01;

function main(engineModule: string): void {
  const { engines } = require(engineModule) as EngineModule;
  const runner = new JobRunner(engines);
  const running = new Map<number, AbortController>();

  process.on('disconnect', () => process.exit(0));
  process.on('message', (raw) => {
    const message = toWorkerSchema.parse(raw);
    if (message.kind === 'cancel') {
      running.get(message.id)?.abort();
      return;
    }
    const control = new AbortController();
    running.set(message.id, control);
    void answer(runner, message.id, message.job, control.signal).finally(() => {
      running.delete(message.id);
      letGo();
    });
  });
  send({ kind: 'ready' });
}

async function answer(runner: JobRunner, id: number, job: InferenceJob, signal: AbortSignal): Promise<void> {
  let told = 0;
  const onProgress = (fraction: number) => {
    if (fraction - told < PROGRESS_STEP) return;
    told = fraction;
    send({ kind: 'progress', id, fraction });
  };
  try {
    send({ kind: 'done', id, result: await runner.run(job, { signal, onProgress }) });
  } catch (thrown) {
    const { stage, error } =
      thrown instanceof StageError ? thrown : { stage: 'inference' as const, error: ClaraError.from(thrown) };
    send({ kind: 'failed', id, stage, code: error.code, message: error.message });
  }
}

/** Volumes of the last job are garbage now; without a collection they would count as memory that the process holds. */
function letGo(): void {
  globalThis.gc?.();
  send({ kind: 'idle', residentBytes: process.memoryUsage.rss() });
}

function send(message: FromWorker): void {
  process.send?.(message);
}

main(process.argv[2]);
