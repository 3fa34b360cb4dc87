import { hasCode } from '../../base/errors';
import type { RunSummary } from '../../federation/gen/federation/v1/federation_pb';
import { received } from '../../federation/stream-flow';
import { followRun, patiently } from '../follow-run';
import { asOperator, type OperationsClient, type OperatorOptions } from '../operator';
import { isOver } from '../run-table';
import type { TrialDesk } from './conduct';
import type { Search } from './search-file';
import { INTERRUPTED, trialPrefix } from './trials';

/**
 * The coordinator of an operator. The first question fails at once when nobody is there; later ones wait for a coordinator
 * that restarts or hands over.
 */
export function trialDesk(search: Search, operator: OperatorOptions, signal: AbortSignal): TrialDesk {
  return {
    known: () => asOperator(operator, (client) => runsOf(search, client)),
    submit: (plan, submitToken) =>
      patiently(operator, { signal }, (client) =>
        client.submitRun({ plan: JSON.stringify(plan), submitToken }, { signal }),
      ),
    async ended(run, onChange) {
      const view = await followRun(run, operator, { signal, wasHeard: true, onChange });
      const bytes = await patiently(operator, { signal }, async (client) => {
        let sum = 0;
        for await (const part of received(client.showLedger({ run }, { signal }))) {
          sum += Number(part.bytesToSites + part.bytesFromSites);
        }
        return sum;
      });
      return { view, bytes };
    },
  };
}

/** Ends what goes on of a search, so that it can be begun anew. @returns the runs that were aborted */
export async function abortTrials(search: Search, operator: OperatorOptions): Promise<string[]> {
  return asOperator(operator, async (client) => {
    const aborted: string[] = [];
    for (const summary of await runsOf(search, client)) {
      if (isOver({ summary })) continue;
      const { run } = summary;
      const isAborted = await client.abortRun({ run, reason: INTERRUPTED }).then(
        () => true,
        (error: unknown) => {
          // It has ended in the meantime: its result is there.
          if (hasCode(error, 'precondition-failed')) return false;
          throw error;
        },
      );
      if (isAborted) aborted.push(run);
    }
    return aborted;
  });
}

async function runsOf(search: Search, client: OperationsClient): Promise<RunSummary[]> {
  const prefix = trialPrefix(search);
  return (await client.listRuns({})).runs.filter(({ name }) => name.startsWith(prefix));
}
