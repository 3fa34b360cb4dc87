import { create } from '@bufbuild/protobuf';
import { steadyNow } from '../../base/steady-clock';
import { withSites } from '../../federation/cohort';
import {
  type CoordinatorMessage,
  ModelReferenceSchema,
  ProposalSchema,
  RunFinishedSchema,
  TaskCancelledSchema,
  TaskSchema,
  TaskSettledSchema,
} from '../../federation/gen/federation/v1/federation_pb';
import { RUN_FORGOTTEN_MILLIS } from '../../federation/protocol';
import { hasAccepted, workOf } from '../runs/going';
import { isDelivered, type OpenStage, type RunState, stagesOf } from '../runs/run-state';
import { expectsUpdate, parseTaskId, sameStage, taskId } from '../runs/stage';
import { type SiteTask, taskOf } from '../runs/tasks';
import type { SiteConnection, SiteHub } from './site-hub';

/**
 * Brings what connected sites know in line with the state of a run: proposals, tasks, cancellations, the end. Called after
 * every event and for every new connection; what a connection has been told already is not told again.
 */
export class Dispatcher {
  /** Of each connection, by run: the state that it was brought in line with last. */
  readonly #seen = new WeakMap<SiteConnection, Map<string, RunState>>();

  constructor(
    private readonly hub: SiteHub,
    /** What time it is for a run, in milliseconds since 1970. */
    private readonly now: (run: string) => number = steadyNow,
  ) {}

  /** Tells every connected site of the run what it does not know yet. */
  runChanged(state: RunState): void {
    for (const site of state.candidates) {
      const connection = this.hub.get(site);
      if (!connection) continue;
      const before = this.#sawLast(connection, state);
      if (before === undefined || !looksTheSame(site, before, state)) this.#inform(connection, state);
    }
  }

  /** Takes note of what the connection is told of now. @returns what it was told of last */
  #sawLast(connection: SiteConnection, state: RunState): RunState | undefined {
    const runs = this.#seen.get(connection) ?? new Map<string, RunState>();
    this.#seen.set(connection, runs);
    const before = runs.get(state.run);
    if (state.outcome) runs.delete(state.run);
    else runs.set(state.run, state);
    return before;
  }

  /** Tells a new connection everything about a run; nothing of one so old that the site has forgotten it by itself. */
  siteConnected(connection: SiteConnection, state: RunState): void {
    if (!state.candidates.includes(connection.site)) return;
    if (state.outcome && Date.parse(state.changedAt) < this.now(state.run) - RUN_FORGOTTEN_MILLIS) return;
    this.#inform(connection, state);
  }

  #inform(connection: SiteConnection, state: RunState): void {
    const work = workOf(state, connection.site);
    const id = work && taskId(state.run, work.stage, work.site);
    this.#takeBack(connection, state, id);
    if (state.outcome) {
      tellOnce(connection, `end ${state.run}`, () => runFinished(state));
      return;
    }
    if (!state.answers.has(connection.site)) tellOnce(connection, `proposal ${state.run}`, () => proposal(state));
    // Told again when its deadline has moved: the run was paused, or goes on.
    if (id !== undefined && connection.pushed.get(id) !== work!.deadline) {
      connection.pushed.set(id, work!.deadline);
      connection.send({ case: 'task', value: this.#task(taskOf(state, work!)) });
    }
  }

  /** Tasks of this run that were pushed and are not open any more: settled by the site's result, or pointless by now. */
  #takeBack(connection: SiteConnection, state: RunState, open: string | undefined): void {
    for (const id of connection.pushed.keys()) {
      if (id === open || !id.startsWith(`${state.run}/`)) continue;
      connection.pushed.delete(id);
      const reason = state.outcome && 'reason' in state.outcome ? state.outcome.reason : 'the round has closed';
      connection.send(
        hasDelivered(state, id)
          ? { case: 'taskSettled', value: create(TaskSettledSchema, { task: id }) }
          : { case: 'taskCancelled', value: create(TaskCancelledSchema, { task: id, reason }) },
      );
    }
  }

  #task(task: SiteTask) {
    return create(TaskSchema, {
      id: task.id,
      kind: task.kind,
      run: task.run,
      round: task.stage.round,
      rounds: task.rounds,
      seed: task.seed,
      remainingMillis: BigInt(Math.max(Date.parse(task.deadline) - this.now(task.run), 1)),
      trainer: task.plan.trainer.name,
      parametersJson: JSON.stringify(task.plan.trainer.parameters),
      excludedTensors: task.plan.excludedTensors,
      track: task.track,
      models: task.models.map(({ name, key, digest, bytes, decoded }) =>
        create(ModelReferenceSchema, {
          name,
          object: key,
          size: BigInt(bytes),
          sha256: sha256Of(digest),
          ...(decoded && { decoded: { size: BigInt(decoded.bytes), sha256: sha256Of(decoded.digest) } }),
        }),
      ),
    });
  }
}

/** True when nothing of what a site is told can differ: most events are of one site, and there may be hundreds. */
function looksTheSame(site: string, a: RunState, b: RunState): boolean {
  const sameOpen = a.open === b.open || (!!a.open && !!b.open && sameTask(site, a.open, b.open));
  const sameCourse = a.outcome === b.outcome && a.paused === b.paused && a.going === b.going;
  return sameOpen && sameCourse && a.answers.get(site) === b.answers.get(site);
}

function sameTask(site: string, a: OpenStage, b: OpenStage): boolean {
  const sameStage = a.stage === b.stage && a.cohort === b.cohort && a.deadline === b.deadline && a.idle === b.idle;
  return sameStage && a.results.get(site) === b.results.get(site);
}

const sha256Of = (digest: string): Buffer => Buffer.from(digest.slice('sha256:'.length), 'hex');

/** True when the journal holds a result of this site for the task. */
function hasDelivered(state: RunState, id: string): boolean {
  const { stage, site } = parseTaskId(id);
  const accepted = hasAccepted(state, stage, site);
  if (accepted || expectsUpdate(stage)) return accepted;
  return stagesOf(state).some((other) => sameStage(other.stage, stage) && isDelivered(other.results.get(site)));
}

function tellOnce(connection: SiteConnection, what: string, message: () => CoordinatorMessage['message']): void {
  if (connection.told.has(what)) return;
  connection.told.add(what);
  connection.send(message());
}

function proposal(state: RunState): CoordinatorMessage['message'] {
  const value = create(ProposalSchema, {
    run: state.run,
    planJson: JSON.stringify({ ...state.plan, cohort: withSites(state.plan.cohort, state.candidates) }),
  });
  return { case: 'proposal', value };
}

function runFinished(state: RunState): CoordinatorMessage['message'] {
  return {
    case: 'runFinished',
    value: create(RunFinishedSchema, { run: state.run, state: state.outcome?.kind ?? '' }),
  };
}
