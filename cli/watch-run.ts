import { toJson } from '@bufbuild/protobuf';
import { ClaraError } from '../base/errors';
import { type RunView, RunViewSchema } from '../federation/gen/federation/v1/federation_pb';
import { followRun } from './follow-run';
import { LiveArea } from './live-area';
import type { OperatorOptions } from './operator';
import { changeLines, runTable } from './run-table';
import { stopSignal } from './stopping';
import type { Terminal } from './terminal';

/**
 * Shows a run until it ends, through restarts of the coordinator and changes of leaders: a table that is drawn over itself on a
 * terminal, a line for each change elsewhere.
 * @throws ClaraError when the run ends otherwise than completed, or the person stops watching
 */
export async function watchUntilEnd(run: string, operator: OperatorOptions, terminal: Terminal): Promise<RunView> {
  const signal = stopSignal();
  const area = terminal.live ? new LiveArea(process.stdout) : undefined;
  let last: RunView | undefined;
  const onChange = (view: RunView): void => {
    const lines = changeLines(last, view);
    terminal.record(viewRecord(view));
    for (const line of lines) area ? area.print(line) : terminal.line(line);
    area?.draw(runTable(view));
    last = view;
  };
  const view = await followRun(run, operator, { signal, onChange }).catch((error: unknown) => {
    throw signal.aborted ? new ClaraError('cancelled', `stopped watching; run ${run} goes on`) : error;
  });
  const { state, reason } = view.summary!;
  if (state !== 'completed') throw new ClaraError('precondition-failed', `run ${run} is ${state}: ${reason}`);
  return view;
}

/** A view as a record for machines. */
export function viewRecord(view: RunView): Record<string, unknown> {
  return { event: 'run', ...(toJson(RunViewSchema, view, { alwaysEmitImplicit: true }) as Record<string, unknown>) };
}
