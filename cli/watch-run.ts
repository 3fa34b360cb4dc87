import { setTimeout as delay } from 'node:timers/promises';
import { toJson } from '@bufbuild/protobuf';
import { ClaraError, hasCode } from '../base/errors';
import { LIVENESS_MILLIS } from '../federation/channel';
import { type RunView, RunViewSchema } from '../federation/gen/federation/v1/federation_pb';
import { received } from '../federation/stream-flow';
import { LiveArea } from './live-area';
import { asOperator, type OperationsClient, type OperatorOptions } from './operator';
import { changeLines, runTable } from './run-table';
import { aborted, stopSignal } from './stopping';
import type { Terminal } from './terminal';

/** How long a coordinator that was heard before is waited for; another one leads sooner than that. */
const PATIENCE_MILLIS = 2 * LIVENESS_MILLIS;
const PAUSE_MILLIS = 250;

/**
 * Shows a run until it ends, through restarts of the coordinator and changes of leaders: a table that is drawn over itself on a
 * terminal, a line for each change elsewhere.
 * @throws ClaraError when the run ends otherwise than completed, or the person stops watching
 */
export async function watchUntilEnd(run: string, operator: OperatorOptions, terminal: Terminal): Promise<RunView> {
  const signal = stopSignal();
  const area = terminal.live ? new LiveArea(process.stdout) : undefined;
  let last: RunView | undefined;
  let failingSince: number | undefined;
  const stopped = aborted(signal).then(() => {
    throw new ClaraError('cancelled', `stopped watching; run ${run} goes on`);
  });
  const watching = async (client: OperationsClient) => {
    for await (const view of received(client.watchRun({ run }, { signal }))) {
      const lines = changeLines(last, view);
      terminal.record(viewRecord(view));
      for (const line of lines) area ? area.print(line) : terminal.line(line);
      area?.draw(runTable(view));
      last = view;
      failingSince = undefined;
    }
  };
  for (;;) {
    try {
      await Promise.race([asOperator(operator, watching), stopped]);
      break;
    } catch (error) {
      const passing = hasCode(error, 'unavailable') && last !== undefined;
      failingSince ??= performance.now();
      if (!passing || performance.now() - failingSince > PATIENCE_MILLIS) throw error;
      await Promise.race([delay(PAUSE_MILLIS), stopped]);
    }
  }
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
