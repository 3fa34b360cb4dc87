import { setMaxListeners } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Command } from 'commander';
import { stringify } from 'yaml';
import { writeFileDurably } from '../../base/durable-file';
import { ClaraError, hasCode } from '../../base/errors';
import { showBytes } from '../../base/show-bytes';
import { planDocument } from '../../federation/plan';
import { uploadModel, withModelDigest } from '../initial-model';
import { asOperator, type OperatorOptions, withOperator } from '../operator';
import { conductSearch, type SearchEnd } from '../search/conduct';
import { readSearch, type Search } from '../search/search-file';
import { outcomeRecord, SearchProgress } from '../search/search-progress';
import { rankingTable, showFigure } from '../search/search-table';
import { abortTrials, trialDesk } from '../search/trial-desk';
import { candidatePlan, checkCandidates, isWhole, trialOf } from '../search/trials';
import { stopSignal } from '../stopping';
import { counted, openTerminal, type Terminal } from '../terminal';
import { wholeNumber } from '../whole-number';

interface SearchOptions extends Omit<OperatorOptions, 'operator'> {
  readonly operator?: string;
  readonly output?: string;
  readonly parallel: string;
  readonly token?: string;
  readonly dryRun?: boolean;
  readonly abortOnInterrupt?: boolean;
  readonly json?: boolean;
}

export function searchCommand(): Command {
  return withOperator(new Command('search'), { mandatory: false })
    .description(
      'Searches plan parameters: many short runs, of which the best go on to longer ones, ranked by the held-out cases of the sites. ' +
        'The same command goes on with a search that was interrupted or killed. See docs/search.md.',
    )
    .argument('<plan>', 'a plan (YAML or JSON) with a key "search"')
    .option('-o, --output <file>', 'write the best plan')
    .option('--dry-run', 'check the file and print candidates, rungs and rounds; needs no coordinator')
    .option('--parallel <n>', 'trials at the coordinator at once', '1')
    .option('--token <text>', 'another token makes another search of the same file')
    .option('--abort-on-interrupt', 'Ctrl-C also aborts trials that go on; they are run anew when the search goes on')
    .option('--json', 'one JSON object a change')
    .addHelpText(
      'after',
      '\nExample:\n  clara-fed search plan.yaml --output best-plan.yaml --operator ./coordinator/operator',
    )
    .action(search);
}

async function search(file: string, options: SearchOptions): Promise<void> {
  const terminal = openTerminal(options);
  const parallel = wholeNumber('--parallel', options.parallel, 1, 16);
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw ClaraError.from(error, `the plan ${file} cannot be read`);
  });
  const { document, model, faults } = await withModelDigest(planDocument(text), path.dirname(path.resolve(file)));
  const found = readSearch(document, options.token);
  checkCandidates(found);
  if (faults.length > 0) throw ClaraError.ofFaults('the search', faults);
  const progress = new SearchProgress(found, terminal);
  if (options.dryRun) return progress.begin();

  const operator = { ...options, operator: options.operator ?? '' };
  const stop = stopSignal();
  await asOperator(operator, async (client) => {
    const { sites } = await client.listSites({});
    const enrolled = sites.flatMap(({ site, state }) => (state === 'enrolled' ? [site] : []));
    checkCandidates(found, enrolled);
    if (model) await uploadModel(client, model);
  });
  progress.begin();
  const ending = new AbortController();
  try {
    const signal = AbortSignal.any([stop, ending.signal]);
    setMaxListeners(0, signal); // Several for each trial that is followed.
    const desk = trialDesk(found, operator, signal);
    const end = await conductSearch(found, desk, { parallel, tell: (event) => progress.tell(event) });
    await report(found, end, { ...options, terminal });
  } catch (error) {
    throw stop.aborted ? await interrupted(found, operator, options) : goesOn(error);
  } finally {
    ending.abort();
  }
}

/** What was found, and the best plan. @throws ClaraError `precondition-failed` when no trial has the metric */
async function report(
  search: Search,
  { standings, spent, stopped }: SearchEnd,
  { terminal, output }: { readonly terminal: Terminal; readonly output?: string | undefined },
): Promise<void> {
  for (const [index, outcome] of standings.entries()) {
    const { candidate, rung, rounds, compared } = outcome;
    const { parameters } = search.candidates[candidate - 1]!;
    const record = { rank: index + 1, candidate, parameters, rung, rounds, ...outcomeRecord(outcome), compared };
    terminal.record({ event: 'ranking', search: search.id, ...record });
  }
  terminal.line(rankingTable(search, standings));
  terminal.line(`${counted(spent.rounds, 'round')} and ${showBytes(spent.bytes)} in all`);
  const best = standings.find(({ value }) => value !== null);
  const ended = { best: best?.candidate ?? null, run: best?.run ?? '', value: best?.value ?? null };
  terminal.record({ event: 'search-ended', search: search.id, ...ended, ...spent, stopped: stopped ?? null });
  if (stopped !== undefined) terminal.line(`stopped early: ${stopped}`);
  if (!best) {
    const [first] = standings;
    const why = first ? `candidate ${first.candidate}: ${first.reason}` : stopped;
    throw new ClaraError('precondition-failed', `search ${search.id} has no trial with ${search.metric}; ${why}`);
  }
  const { candidate: number, run, value, rung } = best;
  const candidate = search.candidates[number - 1]!;
  terminal.line(`best is candidate ${number}: ${search.metric} ${showFigure(value!)} of run ${run}`);
  if (isWhole(search, trialOf(search, candidate, rung))) {
    terminal.line(`its trial was the whole plan: clara-fed model fetch ${run} -o model.safetensors`);
  }
  if (output === undefined) return;
  const origin = `# Candidate ${number} of search ${search.id}: ${search.metric} ${value} after ${counted(best.roundsDone, 'round')}, run ${run}\n`;
  await writeFileDurably(output, origin + stringify(candidatePlan(search, candidate)));
  terminal.line(`plan  ${output}`);
}

/** The sentence of a search that a person has interrupted. */
async function interrupted(search: Search, operator: OperatorOptions, options: SearchOptions): Promise<ClaraError> {
  const again = 'the same command goes on';
  if (!options.abortOnInterrupt) {
    return new ClaraError('cancelled', `search ${search.id} stopped asking; trials that run go on, and ${again}`);
  }
  const runs = await abortTrials(search, operator);
  return new ClaraError(
    'cancelled',
    `search ${search.id} is interrupted, ${runs.join(', ') || 'no run'} was aborted; ${again}`,
  );
}

/** Failures after which nothing is lost say so. */
function goesOn(error: unknown): unknown {
  if (!hasCode(error, 'unavailable', 'out-of-space', 'deadline-exceeded')) return error;
  return new ClaraError(error.code, `${error.message}; the same command goes on with the search`, { cause: error });
}
