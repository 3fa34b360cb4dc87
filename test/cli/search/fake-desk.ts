import { createHash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { ClaraError } from '../../../base/errors';
import type { EndedRun, TrialDesk } from '../../../cli/search/conduct';
import { type RunView, RunViewSchema } from '../../../federation/gen/federation/v1/federation_pb';

export interface FakeEnd {
  readonly state: 'completed' | 'failed' | 'aborted';
  readonly reason?: string;
  /** Of the metric `score`, by site with its samples. */
  readonly scores?: readonly (readonly [site: string, score: number, samples: number])[];
  readonly bytes?: number;
}

interface FakeRun {
  readonly run: string;
  readonly plan: TrialPlan;
  readonly submittedAt: string;
  end: FakeEnd | undefined;
  readonly bytes: number;
}

export interface TrialPlan {
  readonly name: string;
  readonly rounds: number;
  readonly trainer: { readonly parameters: Readonly<Record<string, number>> };
}

/**
 * A coordinator in memory: runs are named as the real one names them and end one tick after somebody follows them. It outlives
 * the searches that use it; {@link dieAfter} ends one of them in the middle.
 */
export class FakeDesk implements TrialDesk {
  readonly runs: FakeRun[] = [];
  mostAtOnce = 0;
  /** Questions until the search that asks is killed. */
  dieAfter = Number.POSITIVE_INFINITY;
  now = Date.parse('2026-01-01T00:00:00Z');

  constructor(private readonly endOf: (plan: TrialPlan) => FakeEnd | 'refused') {}

  async known() {
    this.#asked();
    return this.runs.map((each) => this.#view(each).summary!);
  }

  async submit(plan: unknown, token: string) {
    this.#asked();
    const written = plan as TrialPlan;
    if (this.endOf(written) === 'refused') throw new ClaraError('invalid-input', 'the plan: no such thing');
    const run = `${written.name}-${createHash('sha256').update(token).digest('hex').slice(0, 8)}`;
    const found = this.runs.find((each) => each.run === run);
    if (found) {
      if (JSON.stringify(found.plan) !== JSON.stringify(written)) throw new ClaraError('already-exists', run);
      return { run, alreadySubmitted: true };
    }
    this.now += 1000;
    const { bytes = 0 } = this.endOf(written) as FakeEnd;
    this.runs.push({ run, plan: written, submittedAt: new Date(this.now).toISOString(), end: undefined, bytes });
    this.mostAtOnce = Math.max(this.mostAtOnce, this.runs.filter(({ end }) => !end).length);
    // The coordinator has it, and the search never hears of it.
    this.#asked();
    return { run, alreadySubmitted: false };
  }

  async ended(run: string, onChange: (view: RunView) => void): Promise<EndedRun> {
    this.#asked();
    const found = this.runs.find((each) => each.run === run)!;
    onChange(this.#view(found));
    await new Promise((resolve) => setImmediate(resolve));
    found.end ??= this.endOf(found.plan) as FakeEnd;
    this.#asked();
    return { view: this.#view(found), bytes: found.bytes };
  }

  #asked(): void {
    if (this.dieAfter-- <= 0) throw new ClaraError('internal', 'killed');
  }

  #view({ run, plan, submittedAt, end }: FakeRun): RunView {
    const { state = 'running', reason = '', scores = [] } = end ?? {};
    const done = state === 'completed' ? plan.rounds : 0;
    return create(RunViewSchema, {
      summary: { run, name: plan.name, state, rounds: plan.rounds, submittedAt, reason },
      rounds: Array.from({ length: done }, (_, index) => ({
        round: index + 1,
        seconds: 1,
        evaluations: scores.map(([site, score, samples]) => ({
          site,
          samples: BigInt(samples),
          metrics: { score: index + 1 === done ? score : -1 } as Record<string, number>,
        })),
      })),
    });
  }
}
