import type { Buffering } from '../../federation/course';
import type { Plan } from '../../federation/plan';
import {
  type BufferedUpdate,
  type ClosedStage,
  type Going,
  type LateTask,
  type OpenStage,
  type RunState,
  stagesOf,
} from './run-state';
import { type Stage, sameRound, sameStage, withTurn } from './stage';

/**
 * What goes on beside the open stage: training that outlives its round, and updates that wait to be combined with those of a
 * later one. Late updates of synchronous rounds and asynchronous runs are the same thing here: an asynchronous round closes as
 * soon as the buffer is full, whoever filled it, and whoever trains goes on.
 */

export const NOTHING_GOES_ON: Going = { late: new Map(), buffer: [] };

/** Until the end of the next round, and undiminished but for the discount. */
const NEXT_ROUND: Buffering = { size: 1, maxStaleness: 1, step: 1 };

/** How updates of earlier rounds count; undefined when they do not. */
export function bufferingOf({ mode, lateUpdates, buffer }: Plan): Buffering | undefined {
  if (mode === 'asynchronous' || lateUpdates === 'buffer') return buffer;
  return lateUpdates === 'next-round' ? NEXT_ROUND : undefined;
}

export function isAsynchronousRound({ plan, open }: RunState): boolean {
  return plan.mode === 'asynchronous' && open?.stage.kind === 'train';
}

/** How many models were published between the one that it started from and the one that it is combined with. */
export function stalenessIn(round: number, stage: Stage): number {
  return round - stage.round;
}

export function isBufferFull(state: RunState): boolean {
  const size = bufferingOf(state.plan)?.size;
  return size !== undefined && state.going.buffer.length >= size;
}

/** What a site is at. */
export interface Work {
  readonly site: string;
  readonly stage: Stage;
  /** On the coordinator's clock. */
  readonly deadline: string;
}

/** What every site is at, one work a site, in site order. */
export function openWork(state: RunState): Work[] {
  if (state.outcome) return [];
  const { open, candidates } = state;
  return candidates.flatMap((site) => workIn(state, site, open !== undefined && isAmong(open.cohort, site)) ?? []);
}

/** What one site is at. Events and calls are of one site, and there may be hundreds. */
export function workOf(state: RunState, site: string): Work | undefined {
  const { outcome, candidates, open } = state;
  if (outcome || !isAmong(candidates, site)) return undefined;
  return workIn(state, site, open !== undefined && isAmong(open.cohort, site));
}

/** By list: those of a state stay what they are, and each event and call asks about some of hundreds of sites. */
const members = new WeakMap<readonly string[], ReadonlySet<string>>();

function isAmong(sites: readonly string[], site: string): boolean {
  let known = members.get(sites);
  if (known === undefined) {
    known = new Set(sites);
    members.set(sites, known);
  }
  return known.has(site);
}

function workIn(state: RunState, site: string, isAsked: boolean): Work | undefined {
  const { open, going, paused } = state;
  const late = going.late.get(site);
  const stage = late?.stage ?? (open && isAsked ? stageFor(state, open, site) : undefined);
  if (!stage) return undefined;
  // A paused run takes no task from a site.
  const millis = paused ? Date.parse(paused.until) - Date.parse(paused.at) : 0;
  return { site, stage, deadline: later(late?.deadline ?? workDeadline(state, open!), millis) };
}

/** True while the site has not delivered, failed or been refused in what it was asked for. */
export function awaits(state: RunState, stage: Stage, site: string): boolean {
  const work = workOf(state, site);
  return work !== undefined && sameStage(work.stage, stage);
}

/** The stage, with its turn, that a site of the cohort is at; undefined when it has no more to do in it. */
function stageFor(state: RunState, open: OpenStage, site: string): Stage | undefined {
  const result = open.results.get(site);
  if (!isAsynchronousRound(state)) return result ? undefined : open.stage;
  if ((result && result.kind !== 'update') || open.idle?.includes(site)) return undefined;
  const done = state.going.buffer.filter((update) => update.site === site && sameRound(update.stage, open.stage));
  return withTurn(open.stage, done.length + 1);
}

/** A site may go on for as long as its update could still count: each round takes two stages at most. */
function workDeadline({ plan }: RunState, { stage, deadline }: OpenStage): string {
  const buffering = stage.kind === 'train' ? bufferingOf(plan) : undefined;
  return buffering ? later(deadline, 2 * buffering.maxStaleness * plan.deadline) : deadline;
}

function later(time: string, millis: number): string {
  return millis === 0 ? time : new Date(Date.parse(time) + millis).toISOString();
}

/** A site that a synchronous round asks again gives up what it was late with; a comparison wants no late updates at all. */
export function afterOpening(state: RunState, open: OpenStage): RunState {
  const asynchronous = isAsynchronousRound({ ...state, open });
  if (asynchronous) return { ...state, open: { ...open, idle: isBufferFull(state) ? open.cohort : [] } };
  const belongs = open.stage.kind === 'train' || open.stage.kind === 'evaluate';
  const { late, buffer } = belongs ? state.going : NOTHING_GOES_ON;
  const kept = [...late].filter(([site]) => !open.cohort.includes(site));
  return { ...state, open, going: { late: new Map(kept), buffer } };
}

/** The site has passed the deadline of the open round, and goes on. */
export function withLateTask(state: RunState, site: string): RunState {
  const { open, going } = state;
  const task: LateTask = { stage: open!.stage, deadline: workDeadline(state, open!) };
  return { ...state, going: { ...going, late: new Map(going.late).set(site, task) } };
}

/** The state without that late task, which has come to an end; undefined when there is none. */
export function withoutLateTask(
  state: RunState,
  { stage, site }: { readonly stage: Stage; readonly site: string },
): RunState | undefined {
  const task = state.going.late.get(site);
  if (!task || !sameStage(task.stage, stage)) return undefined;
  const late = new Map(state.going.late);
  late.delete(site);
  return { ...state, going: { ...state.going, late } };
}

/** A site that has delivered gets no further turn when the round is about to close, or the run is paused. */
export function afterBuffering(state: RunState, site: string): RunState {
  const { open, paused } = state;
  if (!open || !isAsynchronousRound(state) || !(isBufferFull(state) || paused)) return state;
  return { ...state, open: { ...open, idle: [...(open.idle ?? []), site] } };
}

/** What the closing stage combines, and what goes on behind it: nothing that would be too stale for the next round. */
export function afterClosing(
  state: RunState,
  open: OpenStage,
  buffered: readonly { readonly stage: Stage; readonly site: string }[],
): { readonly taken: readonly BufferedUpdate[]; readonly going: Going } {
  const { late, buffer } = state.going;
  const limit = bufferingOf(state.plan)?.maxStaleness;
  if (open.stage.kind !== 'train' || limit === undefined) return { taken: [], going: state.going };
  const isTaken = (update: BufferedUpdate) =>
    buffered.some(({ stage, site }) => site === update.site && sameStage(stage, update.stage));
  const fresh = ({ stage }: { readonly stage: Stage }) => stalenessIn(open.stage.round + 1, stage) <= limit;
  const own = isAsynchronousRound(state) ? openWork({ ...state, paused: undefined }) : [];
  const unfinished = new Map(own.map(({ site, stage, deadline }) => [site, { stage, deadline }]));
  return {
    taken: buffered.flatMap(({ stage, site }) =>
      buffer.filter((update) => update.site === site && sameStage(update.stage, stage)),
    ),
    going: {
      late: new Map([...late, ...unfinished].filter(([, task]) => fresh(task))),
      buffer: buffer.filter((update) => !isTaken(update) && fresh(update)),
    },
  };
}

/** All deadlines lie so much later. */
export function putOff(state: RunState, millis: number): RunState {
  const { open, going } = state;
  const late = [...going.late].map(
    ([site, task]) => [site, { ...task, deadline: later(task.deadline, millis) }] as const,
  );
  return {
    ...state,
    ...(open && { open: { ...open, deadline: later(open.deadline, millis), ...resumedTurns(state, open) } }),
    going: { ...going, late: new Map(late) },
  };
}

function resumedTurns(state: RunState, open: OpenStage): { readonly idle?: readonly string[] } {
  return isAsynchronousRound(state) && !isBufferFull(state) ? { idle: [] } : open.idle ? { idle: open.idle } : {};
}

/** The buffer in the order in which it is combined: by site, and of one site the oldest first. */
export function inOrderOfCombination(buffer: readonly BufferedUpdate[]): BufferedUpdate[] {
  return [...buffer].sort((a, b) => (a.site === b.site ? byAge(a, b) : a.site < b.site ? -1 : 1));
}

/** Updates of one site: the oldest first, by the model that they started from. */
export function byAge({ stage: a }: BufferedUpdate, { stage: b }: BufferedUpdate): number {
  return a.round - b.round || (a.turn ?? 1) - (b.turn ?? 1);
}

/** True when the update is in the journal and has not been combined yet, or is still to come. */
export function isStillToCombine(state: RunState, stage: Stage, site: string): boolean {
  const waiting = waitingUpdates(state).some((update) => update.site === site && sameStage(update.stage, stage));
  const late = state.going.late.get(site);
  return waiting || (late !== undefined && sameStage(late.stage, stage));
}

/** True when a site trains from the model of an earlier round, or its update has not been combined yet. */
export function isStillStartedFrom(state: RunState, round: number): boolean {
  const begun = [...state.going.late.values(), ...waitingUpdates(state)];
  return begun.some(({ stage }) => stage.kind === 'train' && stage.round - 1 === round);
}

/** In the buffer, or on their way from it into the next model. */
function waitingUpdates({ going, closed, models }: RunState): readonly BufferedUpdate[] {
  const last = closed.at(-1);
  return last && models.length <= last.stage.round ? [...going.buffer, ...last.buffered] : going.buffer;
}

/** True when the journal holds an update of this site for the stage. */
export function hasAccepted(state: RunState, stage: Stage, site: string): boolean {
  // The first weights are asked of one site after the other, each time in a stage of the same name.
  const inResults = stagesOf(state).some(
    (other) => sameStage(other.stage, stage) && other.results.get(site)?.kind === 'update',
  );
  if (inResults && !(state.plan.mode === 'asynchronous' && stage.kind === 'train')) return true;
  const isIt = (update: BufferedUpdate) => update.site === site && sameStage(update.stage, stage);
  return state.going.buffer.some(isIt) || state.closed.some(({ buffered }) => buffered.some(isIt));
}

/** Every update in the journal that may lie in the store. */
export function acceptedUpdates(state: RunState): BufferedUpdate[] {
  const own = stagesOf(state).flatMap((stage) => ownUpdates(state, stage));
  return [...own, ...state.closed.flatMap(({ buffered }) => buffered), ...state.going.buffer];
}

/** The updates that a closed training stage has put into the model of its round, late and asynchronous ones included. */
export function combinedUpdates(state: RunState, stage: ClosedStage): BufferedUpdate[] {
  return [...ownUpdates(state, stage), ...stage.buffered];
}

/** Those that came while their stage was open, and did not go through the buffer. */
function ownUpdates({ plan }: RunState, { stage, results }: OpenStage): BufferedUpdate[] {
  // Of an asynchronous round the results are the newest of each site, and all are in the buffer first.
  if (plan.mode === 'asynchronous' && stage.kind === 'train') return [];
  return [...results].flatMap(([site, result]) => (result.kind === 'update' ? [{ stage, site, result }] : []));
}
