import type { NewEvent } from './events';
import { bufferingOf, inOrderOfCombination, isAsynchronousRound, isBufferFull, openWork } from './going';
import { type BufferedUpdate, isDelivered, type OpenStage, type RunState, type SiteResult } from './run-state';
import { hopsOf, hopsToCome } from './sequence';

/** When the open stage closes, what it loses on the way, and when it can only fail. */

/** What the coordinator knows beside the journal when it lets a run go on. */
export interface Circumstances {
  readonly now: Date;
  /** Model bytes moved in the open stage so far. */
  readonly bytesToSites: number;
  readonly bytesFromSites: number;
  /** Seconds of the open stage in which at least one model moved. */
  readonly transferSeconds?: number;
  /** Of this process, so far. */
  readonly peakRssBytes?: number;
}

/** How many of `present` sites a stage needs. */
export function quorumOf(state: RunState, present: number): number {
  return state.plan.quorum === 'all' ? present : state.plan.quorum;
}

export function advanceStage(state: RunState, open: OpenStage, circumstances: Circumstances): NewEvent | undefined {
  if (isAsynchronousRound(state)) return advanceAsynchronousRound(state, open, circumstances);
  const { stage } = open;
  const contributors = open.cohort.filter((site) => isDelivered(open.results.get(site)));
  const pending = open.cohort.filter((site) => !open.results.has(site));
  const reason = hopelessness(state, open, contributors.length + pending.length);
  if (reason) return { type: 'run-failed', reason };
  if (pending.length > 0) return hasPassed(state, open, circumstances) ? lose(state, open, pending[0]!) : undefined;
  const buffered = stage.kind === 'train' && isBufferFull(state) ? named(state.going.buffer) : [];
  return closed(open, contributors, buffered, circumstances);
}

/** Closes when the buffer is full, or when nothing more can come in time. */
function advanceAsynchronousRound(state: RunState, open: OpenStage, circumstances: Circumstances) {
  const { buffer } = state.going;
  const nobody = !state.paused && openWork(state).length === 0;
  if (!isBufferFull(state) && !nobody && !hasPassed(state, open, circumstances)) return undefined;
  const needed = quorumOf(state, bufferingOf(state.plan)!.size);
  if (buffer.length < needed) {
    const when = nobody ? 'and no site trains any more' : `at its deadline of ${open.deadline}`;
    const reason = `round ${open.stage.round} has ${buffer.length} of ${needed} updates ${when}${inBrackets(fallen(open))}`;
    return { type: 'run-failed' as const, reason };
  }
  const contributors = state.candidates.filter((site) => buffer.some((update) => update.site === site));
  return closed(open, contributors, named(buffer), circumstances);
}

function closed(
  open: OpenStage,
  contributors: readonly string[],
  buffered: ReturnType<typeof named>,
  { now: _, ...figures }: Circumstances,
): NewEvent {
  const { stage } = open;
  const updates = buffered.length > 0 ? { buffered } : {};
  return { type: 'stage-closed', stage, contributors: [...contributors], ...updates, ...figures };
}

const named = (buffer: readonly BufferedUpdate[]) =>
  inOrderOfCombination(buffer).map(({ stage, site }) => ({ stage, site }));

/** The deadlines of a paused run stand still. */
function hasPassed({ paused }: RunState, { deadline }: OpenStage, { now }: Circumstances): boolean {
  return !paused && now.getTime() >= Date.parse(deadline);
}

/** Where late updates count, the site goes on with what it has begun. */
function lose({ plan }: RunState, { stage, deadline }: OpenStage, site: string): NewEvent {
  const reason = `nothing came before the deadline of ${deadline}`;
  const late = stage.kind === 'train' && bufferingOf(plan) !== undefined;
  return { type: 'site-lost', stage, site, reason, ...(late && { late: true as const }) };
}

/** Why the stage cannot close as the plan wants it; undefined when it can. */
function hopelessness(state: RunState, open: OpenStage, atMost: number): string | undefined {
  const { plan } = state;
  const { kind, round } = open.stage;
  // An initial model may come from the next site; an evaluation may have gaps.
  if (kind !== 'train' && kind !== 'statistics') return undefined;
  const missing = plan.mandatory?.find((site) => open.results.has(site) && !isDelivered(open.results.get(site)));
  if (missing !== undefined) {
    const { reason } = open.results.get(missing) as Extract<SiteResult, { reason: string }>;
    return `round ${round} cannot close without ${missing}, which is mandatory (${missing}: ${reason})`;
  }
  const hops = hopsOf(state, open);
  const asked = open.order?.length ?? open.cohort.length;
  const needed = quorumOf(state, asked);
  const possible = atMost + hops.reduce((sum, hop) => sum + hop.contributors.length, 0) + hopsToCome(open);
  if (possible >= needed) return undefined;
  const lost = [...hops, open].flatMap(fallen);
  return `round ${round} cannot reach its quorum of ${needed} any more (${lost.join('; ')})`;
}

function fallen(open: OpenStage): string[] {
  return open.cohort.flatMap((site) => {
    const result = open.results.get(site);
    return result && (result.kind === 'lost' || result.kind === 'rejected') ? [`${site}: ${result.reason}`] : [];
  });
}

const inBrackets = (reasons: readonly string[]): string => (reasons.length > 0 ? ` (${reasons.join('; ')})` : '');
