import { checkPlan, type PlanInput } from '../../../federation/plan';
import { advance, type Command, decide } from '../../../fl-coordinator/runs/decide';
import { EVENT_VERSION, type NewEvent, type RunEvent, runEventSchema } from '../../../fl-coordinator/runs/events';
import { type PendingModel, pendingModel } from '../../../fl-coordinator/runs/pending-model';
import { reduce } from '../../../fl-coordinator/runs/reduce';
import type { RunState } from '../../../fl-coordinator/runs/run-state';
import { openTasks } from '../../../fl-coordinator/runs/tasks';

export const DIGEST = `sha256:${'ab'.repeat(32)}`;
export const RUN = 'spleen-0001';

/** A run without storage or network: commands in, events out, on a clock that the test moves. */
export class Story {
  now = Date.parse('2026-01-01T00:00:00Z');
  state: RunState;
  readonly events: RunEvent[] = [];

  constructor(plan: Partial<PlanInput>, sites: readonly string[]) {
    const complete = checkPlan({ name: 'spleen', rounds: 2, trainer: { name: 'reference' }, deadline: '60s', ...plan });
    this.state = undefined as unknown as RunState;
    this.#append({ type: 'run-submitted', plan: complete, cohort: [...sites], operator: 'ada', submitToken: 'token' });
    this.settle();
  }

  /** Applies a command and whatever follows by itself, models included. */
  command(command: Command): boolean {
    const event = decide(this.state, command);
    if (event) this.#append(event);
    this.settle();
    return event !== undefined;
  }

  approveAll(): void {
    for (const site of this.state.candidates) this.command({ kind: 'approve', site });
  }

  pass(millis: number): void {
    this.now += millis;
    this.settle();
  }

  /** Every open task is answered well. */
  answerAll(): void {
    for (const { site } of openTasks(this.state)) this.deliver(site);
  }

  /** The site answers its open task well. @returns false when it has none. */
  deliver(site: string, samples = 4, steps = 10): boolean {
    const task = openTasks(this.state).find((open) => open.site === site);
    if (!task) return false;
    const { stage } = task;
    if (task.kind === 'evaluate') {
      const evaluations = task.models.map(({ name }) => ({ model: name, metrics: { dice: 0.9 } }));
      return this.command({
        kind: 'report-evaluation',
        stage,
        site,
        result: { kind: 'evaluation', samples: 2, evaluations, peakRssBytes: 0 },
      });
    }
    if (task.kind === 'statistics') {
      const statistics = { cases: samples, variables: [] };
      return this.command({
        kind: 'report-statistics',
        stage,
        site,
        result: { kind: 'statistics', statistics, peakRssBytes: 0 },
      });
    }
    const update = {
      digest: DIGEST,
      bytes: 10,
      samples,
      steps,
      metrics: { loss: 1 },
      peakRssBytes: 0,
      warnings: [],
      seconds: 1,
    };
    return this.command({ kind: 'accept-update', stage, site, result: { kind: 'update', ...update } });
  }

  settle(): void {
    for (;;) {
      const event = advance(this.state, { now: new Date(this.now), bytesToSites: 0, bytesFromSites: 0 });
      const work = event ? undefined : pendingModel(this.state);
      const next = event ?? (work && decide(this.state, published(work, this.state)));
      if (!next) return;
      this.#append(next);
    }
  }

  stages(): string[] {
    return this.state.closed.map(({ stage }) => `${stage.kind} ${stage.round}`);
  }

  #append(event: NewEvent): void {
    const stamped = { v: EVENT_VERSION, seq: this.events.length + 1, at: new Date(this.now).toISOString(), ...event };
    const parsed = runEventSchema.parse(JSON.parse(JSON.stringify(stamped)));
    this.events.push(parsed);
    this.state = reduce(this.state, RUN, parsed);
  }
}

function published(work: PendingModel, { plan }: RunState): Command {
  const controls = work.kind === 'aggregate' && work.controls ? { controls: { digest: DIGEST, bytes: 20 } } : {};
  const object = { digest: DIGEST, bytes: 10 };
  const wire = plan.wire.down.encoding === 'float32' ? {} : { wire: { ...object, decoded: object } };
  return { kind: 'publish-model', round: work.round, ...object, ...controls, ...wire };
}
