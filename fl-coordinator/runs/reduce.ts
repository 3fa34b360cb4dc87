import { ClaraError } from '../../base/errors';
import type { EventOf, RunEvent } from './events';
import {
  afterBuffering,
  afterClosing,
  afterOpening,
  isAsynchronousRound,
  NOTHING_GOES_ON,
  putOff,
  withLateTask,
  withoutLateTask,
} from './going';
import { runningMillis } from './run-clock';
import type { OpenStage, RunState, SiteAnswer, SiteResult, UpdateResult } from './run-state';
import { type Stage, sameRound, sameStage } from './stage';

/** What is true after one more event. */

/** @throws ClaraError `corrupt` when the event cannot follow: the journal is not one that this program wrote. */
export function reduce(state: RunState | undefined, run: string, event: RunEvent): RunState {
  if (event.seq !== (state?.seq ?? 0) + 1) throw misplaced(run, event, `follows event ${state?.seq ?? 0}`);
  if (!state) {
    if (event.type !== 'run-submitted') throw misplaced(run, event, 'must not be the first');
    return submitted(run, event);
  }
  return { ...apply(state, event), seq: event.seq, changedAt: event.at };
}

function submitted(run: string, event: EventOf<'run-submitted'>): RunState {
  return {
    run,
    seq: event.seq,
    plan: event.plan,
    operator: event.operator,
    submitToken: event.submitToken,
    start: event.start,
    submittedAt: event.at,
    changedAt: event.at,
    candidates: event.cohort,
    answers: new Map(),
    closed: [],
    models: [],
    going: NOTHING_GOES_ON,
    pausedMillis: 0,
  };
}

function apply(state: RunState, event: RunEvent): RunState {
  switch (event.type) {
    case 'run-submitted':
      throw misplaced(state.run, event, 'may only be the first');
    case 'site-approved':
      return answered(state, event.site, { kind: 'approved' });
    case 'site-refused':
      return answered(state, event.site, { kind: 'refused', reason: event.reason });
    case 'stage-opened': {
      if (state.open) throw misplaced(state.run, event, 'needs the stage before it closed');
      const { stage, cohort, deadline, order, at } = event;
      const open = { stage, cohort, deadline, openedAt: at, results: new Map(), ...(order && { order }) };
      return afterOpening(state, open);
    }
    case 'update-accepted': {
      const { digest, bytes, sent, samples, steps, metrics, seconds, peakRssBytes } = event;
      const facts = { samples, steps, metrics, seconds, peakRssBytes };
      return updated(state, event, { kind: 'update', digest, bytes, ...(sent && { sent }), ...facts });
    }
    case 'evaluation-reported': {
      const { samples, evaluations, peakRssBytes } = event;
      return settled(state, event, { kind: 'evaluation', samples, evaluations, peakRssBytes });
    }
    case 'statistics-reported': {
      const { statistics, peakRssBytes } = event;
      return settled(state, event, { kind: 'statistics', statistics, peakRssBytes });
    }
    case 'update-rejected':
      return withoutLateTask(state, event) ?? settled(state, event, { kind: 'rejected', reason: event.reason });
    case 'site-lost': {
      const lost = withoutLateTask(state, event) ?? settled(state, event, { kind: 'lost', reason: event.reason });
      return event.late ? withLateTask(lost, event.site) : lost;
    }
    case 'stage-closed': {
      const open = openStage(state, event);
      const { contributors, bytesToSites, bytesFromSites, transferSeconds, peakRssBytes, at } = event;
      const figures = { bytesToSites, bytesFromSites, transferSeconds, peakRssBytes };
      const { taken: buffered, going } = afterClosing(state, open, event.buffered ?? []);
      const ranMillis = runningMillis(state, Date.parse(at));
      const closed = { ...open, contributors, buffered, ...figures, closedAt: at, ranMillis };
      return { ...state, open: undefined, closed: [...state.closed, closed], going };
    }
    case 'model-published': {
      if (event.round !== state.models.length)
        throw misplaced(state.run, event, `expected round ${state.models.length}`);
      const { round, digest, bytes, controls, wire, seconds, peakRssBytes, at } = event;
      const beside = { ...(controls && { controls }), ...(wire && { wire }) };
      const model = { round, digest, bytes, seconds, peakRssBytes, at, ...beside };
      return { ...state, models: [...state.models, model] };
    }
    case 'run-paused': {
      const { at, until, operator, reason } = event;
      return { ...state, paused: { at, until, operator, reason } };
    }
    case 'run-resumed':
      return resumed(state, event);
    case 'run-completed': {
      const { digest, reason, best } = event;
      return { ...state, outcome: { kind: 'completed', digest, ...(reason && { reason }), ...(best && { best }) } };
    }
    case 'run-aborted':
      return { ...state, open: undefined, outcome: { kind: 'aborted', reason: event.reason } };
    case 'run-failed':
      return { ...state, open: undefined, outcome: { kind: 'failed', reason: event.reason } };
    case 'leader-changed':
      return state; // Its place in the journal is its meaning.
  }
}

function answered(state: RunState, site: string, answer: SiteAnswer): RunState {
  return { ...state, answers: new Map(state.answers).set(site, answer) };
}

function settled(state: RunState, event: RunEvent & { stage: Stage; site: string }, result: SiteResult): RunState {
  const open = openStage(state, event);
  return { ...state, open: { ...open, results: new Map(open.results).set(event.site, result) } };
}

function updated(state: RunState, event: EventOf<'update-accepted'>, result: UpdateResult): RunState {
  const late = withoutLateTask(state, event);
  if (!late && !isAsynchronousRound(state)) return settled(state, event, result);
  const after = late ?? settled(state, event, result);
  const { stage, site } = event;
  return afterBuffering(
    { ...after, going: { ...after.going, buffer: [...after.going.buffer, { stage, site, result }] } },
    site,
  );
}

/** Time stood still for the run: what was to happen is put off by the length of the pause. */
function resumed(state: RunState, event: EventOf<'run-resumed'>): RunState {
  if (!state.paused) throw misplaced(state.run, event, 'needs a pause before it');
  const millis = Math.max(Date.parse(event.at) - Date.parse(state.paused.at), 0);
  return { ...putOff(state, millis), paused: undefined, pausedMillis: state.pausedMillis + millis };
}

function openStage(state: RunState, event: RunEvent & { stage: Stage }): OpenStage {
  const same = isAsynchronousRound(state) ? sameRound : sameStage;
  if (!state.open || !same(state.open.stage, event.stage))
    throw misplaced(state.run, event, 'is for a stage that is not open');
  return state.open;
}

function misplaced(run: string, event: RunEvent, rule: string): ClaraError {
  return new ClaraError('corrupt', `event ${event.seq} (${event.type}) of run ${run} ${rule}; the journal is damaged`);
}
