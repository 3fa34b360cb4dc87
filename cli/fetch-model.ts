import { createHash } from 'node:crypto';
import { writeFileDurably } from '../base/durable-file';
import { ClaraError } from '../base/errors';
import { checkCrc, type WireChunk } from '../federation/chunk-codec';
import { showVersion } from '../federation/model-name';
import { received } from '../federation/stream-flow';
import type { OperationsClient } from './operator';

export type FetchRequest = { readonly file: string } & (
  | {
      readonly run: string;
      /** Absent: the newest. */
      readonly round?: number | undefined;
      /** By the metric of the plan's early stop. */
      readonly best?: boolean | undefined;
    }
  | { readonly model: string; readonly version: number }
);

/** Fetches a model to a file; the file appears only when every byte is there and has the announced digest. */
export async function fetchModel(client: OperationsClient, { file, ...wanted }: FetchRequest) {
  const what = 'run' in wanted ? `the model of run ${wanted.run}` : showVersion(wanted);
  return saveModel(file, what, received(client.fetchModel(wanted)));
}

/** As {@link fetchModel}, of chunks from anywhere. */
export async function saveModel(file: string, what: string, chunks: AsyncIterable<WireChunk>) {
  const hash = createHash('sha256');
  let position = 0;
  let expected: { readonly size: number; readonly sha256: Uint8Array } | undefined;
  async function* verified(): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      expected ??= chunk.header;
      checkCrc(chunk);
      if (chunk.offset !== position) throw new ClaraError('corrupt', `${what} arrived with a gap; fetch it again`);
      position += chunk.data.length;
      hash.update(chunk.data);
      yield chunk.data;
    }
    const whole = expected && position === expected.size && hash.copy().digest().equals(expected.sha256);
    if (!whole) throw new ClaraError('corrupt', `${what} arrived damaged or cut short; fetch it again`);
  }
  await writeFileDurably(file, verified());
  return { digest: `sha256:${hash.digest('hex')}`, bytes: position };
}
