import { toJson } from '@bufbuild/protobuf';
import { ClaraError } from '../base/errors';
import { type RunView, RunViewSchema } from '../federation/gen/federation/v1/federation_pb';
import { received } from '../federation/stream-flow';
import { LiveArea } from './live-area';
import type { OperationsClient } from './operator';
import { changeLines, runTable } from './run-table';
import { aborted, stopSignal } from './stopping';
import type { Terminal } from './terminal';

/**
 * Shows a run until it ends: a table that is drawn over itself on a terminal, a line for each change elsewhere.
 * @throws ClaraError when the run ends otherwise than completed, or the person stops watching
 */
export async function watchUntilEnd(client: OperationsClient, run: string, terminal: Terminal): Promise<RunView> {
  const signal = stopSignal();
  const area = terminal.live ? new LiveArea(process.stdout) : undefined;
  let last: RunView | undefined;
  const stopped = aborted(signal).then(() => {
    throw new ClaraError('cancelled', `stopped watching; run ${run} goes on`);
  });
  const watching = (async () => {
    for await (const view of received(client.watchRun({ run }, { signal }))) {
      const lines = changeLines(last, view);
      terminal.record(viewRecord(view));
      for (const line of lines) area ? area.print(line) : terminal.line(line);
      area?.draw(runTable(view));
      last = view;
    }
  })();
  await Promise.race([watching, stopped]);
  if (last?.summary?.state !== 'completed') {
    const { state = 'lost', reason = 'the coordinator ended the stream' } = last?.summary ?? {};
    throw new ClaraError('precondition-failed', `run ${run} is ${state}: ${reason}`);
  }
  return last;
}

/** A view as a record for machines. */
export function viewRecord(view: RunView): Record<string, unknown> {
  return { event: 'run', ...(toJson(RunViewSchema, view, { alwaysEmitImplicit: true }) as Record<string, unknown>) };
}
