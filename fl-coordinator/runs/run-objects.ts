import { isStillStartedFrom, isStillToCombine } from './going';
import type { RunState } from './run-state';
import { type Stage, sameStage, withTurn } from './stage';
import { sendsControls } from './tasks';

/** What a run keeps beside its journal and its models, and what of it is still needed: a function of the state. */

export type RunObject =
  | { readonly kind: 'update'; readonly stage: Stage; readonly site: string }
  /** Of the server: its optimiser's moments, or its control variate, after that round. */
  | { readonly kind: 'server-state'; readonly round: number }
  /** The model of that round as sites have it, encoded or decoded. */
  | { readonly kind: 'wire-model'; readonly round: number };

const BELOW_RUN =
  /^(rounds|alone)\/(\d{4,})\/(?:(?:updates|sent)\/([^/.]+)(?:\.(\d+))?\.safetensors$|moments\/|controls\.safetensors$|(wire)\/)/;

/** What the object under this key is; undefined for models, journal and whatever is not of this run. */
export function runObjectOf(run: string, key: string): RunObject | undefined {
  const prefix = `runs/${run}/`;
  if (!key.startsWith(prefix)) return undefined;
  const [, folder, digits, site, turn, wire] = BELOW_RUN.exec(key.slice(prefix.length)) ?? [];
  if (folder === undefined) return undefined;
  const round = Number(digits);
  if (wire !== undefined) return { kind: 'wire-model', round };
  if (site === undefined) return { kind: 'server-state', round };
  const kind = folder === 'alone' ? 'train-alone' : round === 0 ? 'initialise' : 'train';
  return { kind: 'update', stage: withTurn({ kind, round }, Number(turn ?? 1)), site };
}

/** The round whose folder the object lies in; -1 for what lies in none. */
export function roundOfKey(run: string, key: string): number {
  const [, digits] = /^(?:rounds|alone)\/(\d{4,})\//.exec(key.slice(`runs/${run}/`.length)) ?? [];
  return digits === undefined ? -1 : Number(digits);
}

/** True when the run goes on, or may go on after a crash, only with this object. */
export function isNeeded(state: RunState, object: RunObject): boolean {
  if (state.outcome) return false;
  const newest = state.models.length - 1;
  // Of the newest model; that of the round before stays until it is published.
  if (object.kind === 'server-state') return object.round >= newest;
  if (object.kind === 'wire-model') return object.round >= newest || isStillStartedFrom(state, object.round);
  const { stage, site } = object;
  const { rounds, evaluation } = state.plan;
  if (stage.kind === 'train-alone') {
    // A site goes on from what it had learned alone, and in the end everybody judges the last of these.
    const next: Stage = { kind: 'train-alone', round: stage.round + 1 };
    return !state.closed.some((closed) => sameStage(closed.stage, next));
  }
  // Combined into (or copied as) the model of its round.
  if (stage.round > newest || isStillToCombine(state, stage, site)) return true;
  // Those of the last round may be judged in the end.
  const last = state.plan.earlyStop || state.plan.budget ? newest : rounds;
  if (evaluation.crossSite && stage.round === last) return true;
  // Each later mean of control variates takes the newest one of every site.
  return sendsControls(state.plan, stage) && newest < rounds && stage.round === newestRoundOf(state, site);
}

/** The last federated round to which the site has contributed. */
function newestRoundOf({ closed }: RunState, site: string): number | undefined {
  return closed.findLast(({ stage, contributors }) => stage.kind === 'train' && contributors.includes(site))?.stage
    .round;
}

/** Newest updates of the run: of its last round, and of the last that was trained alone. */
export function isOfLastRound(state: RunState, stage: Stage): boolean {
  const isAlone = stage.kind === 'train-alone';
  const rounds = state.closed.filter((closed) => (closed.stage.kind === 'train-alone') === isAlone);
  return stage.round >= Math.max(0, ...rounds.map((closed) => closed.stage.round));
}

/** Below these prefixes lies everything that {@link runObjectOf} knows. */
export const objectPrefixes = (run: string): readonly string[] => [`runs/${run}/rounds/`, `runs/${run}/alone/`];
