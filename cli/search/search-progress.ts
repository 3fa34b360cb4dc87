import { LiveArea } from '../live-area';
import type { Terminal } from '../terminal';
import type { SearchEvent } from './conduct';
import { totalRounds } from './halving';
import type { Outcome } from './ranking';
import type { Search } from './search-file';
import { candidateTable, outcomeLine, type RungRow, rungTable, searchLine } from './search-table';
import type { Trial } from './trials';

/** Prints a search while it goes on: a table of the rung on a terminal, a line or a record for each change elsewhere. */
export class SearchProgress {
  readonly #area: LiveArea | undefined;
  /** Of the rung, by candidate. */
  readonly #rows = new Map<number, RungRow>();

  constructor(
    private readonly search: Search,
    private readonly terminal: Terminal,
  ) {
    this.#area = terminal.live ? new LiveArea(process.stdout) : undefined;
  }

  /** What will be tried. */
  begin(): void {
    const { search, terminal } = this;
    const { id, metric, mode, rungs, candidates } = search;
    terminal.record({ event: 'search', search: id, metric, mode, rungs, rounds: totalRounds(rungs) });
    for (const { number, parameters } of candidates) {
      terminal.record({ event: 'candidate', search: id, candidate: number, parameters });
    }
    terminal.line(searchLine(search));
    terminal.line(candidateTable(search));
  }

  tell(event: SearchEvent): void {
    const { search, terminal } = this;
    switch (event.kind) {
      case 'submitted': {
        const { trial, run, alreadySubmitted } = event;
        terminal.record({ event: 'trial-submitted', ...this.#trialRecord(trial), run, alreadySubmitted });
        this.#row(trial, {});
        if (!this.#area) {
          const again = alreadySubmitted ? ', submitted before' : '';
          terminal.line(`${this.#rungWords(trial.rung)}  candidate ${trial.candidate.number}  run ${run}${again}`);
        }
        return;
      }
      case 'progress':
        this.#row(event.trial, { view: event.view });
        return;
      case 'ended': {
        const { trial, outcome } = event;
        terminal.record({ event: 'trial', ...this.#trialRecord(trial), ...outcomeRecord(outcome) });
        this.#print(outcomeLine(outcome, search));
        this.#row(trial, { outcome });
        return;
      }
      case 'rung': {
        const { rung, goOn } = event;
        terminal.record({ event: 'rung', search: search.id, rung, goOn });
        this.#print(
          `${this.#rungWords(rung)} is over: ${goOn.length > 0 ? `${goOn.join(', ')} go on` : 'none goes on'}`,
        );
        this.#rows.clear();
      }
    }
  }

  #row(trial: Trial, news: Omit<RungRow, 'trial'>): void {
    this.#rows.set(trial.candidate.number, { trial, ...news });
    const height = (process.stdout.rows ?? 24) - 1;
    this.#area?.draw(rungTable(this.search, trial.rung, [...this.#rows.values()], height));
  }

  #print(line: string): void {
    if (this.#area) this.#area.print(line);
    else this.terminal.line(line);
  }

  #rungWords(rung: number): string {
    return `rung ${rung}/${this.search.rungs.length}`;
  }

  #trialRecord({ candidate, rung, rounds }: Trial): Record<string, unknown> {
    return { search: this.search.id, candidate: candidate.number, rung, rounds };
  }
}

/** What became of a trial, as a record for machines. */
export function outcomeRecord({
  run,
  value,
  judgements,
  reason,
  roundsDone,
  bytes,
  seconds,
}: Outcome): Record<string, unknown> {
  const sites = judgements.map(({ site }) => site);
  return { run, value, sites, reason, roundsDone, bytes, seconds };
}
