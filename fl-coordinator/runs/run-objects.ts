import type { RunState } from './run-state';
import { type Stage, sameStage } from './stage';
import { sendsControls } from './tasks';

/** What a run keeps beside its journal and its models, and what of it is still needed: a function of the state. */

export type RunObject =
  | { readonly kind: 'update'; readonly stage: Stage; readonly site: string }
  | { readonly kind: 'moments'; readonly round: number };

const BELOW_RUN = /^(rounds|alone)\/(\d{4,})\/(updates|moments)\/([^/]*?)(?:\.safetensors)?$/;

/** What the object under this key is; undefined for models, journal and whatever is not of this run. */
export function runObjectOf(run: string, key: string): RunObject | undefined {
  const prefix = `runs/${run}/`;
  if (!key.startsWith(prefix)) return undefined;
  const [, folder, digits, kind, name = ''] = BELOW_RUN.exec(key.slice(prefix.length)) ?? [];
  if (folder === undefined) return undefined;
  const round = Number(digits);
  if (kind === 'moments') return { kind, round };
  if (folder === 'alone') return { kind: 'update', stage: { kind: 'train-alone', round }, site: name };
  return { kind: 'update', stage: { kind: round === 0 ? 'initialise' : 'train', round }, site: name };
}

/** True when the run goes on, or may go on after a crash, only with this object. */
export function isNeeded(state: RunState, object: RunObject): boolean {
  if (state.outcome) return false;
  const newest = state.models.length - 1;
  // Of the newest model; those of the round before stay until it is published.
  if (object.kind === 'moments') return object.round >= newest;
  const { stage, site } = object;
  const { rounds, evaluation } = state.plan;
  // Combined into (or copied as) the model of its round; those of the last round may be judged in the end.
  if (sendsControls(state.plan, stage) && isNewestOf(state, site, stage.round)) return true;
  if (stage.kind !== 'train-alone') return stage.round > newest || (evaluation.crossSite && stage.round === rounds);
  // A site goes on from what it had learned alone, and in the end everybody judges the last of these.
  const next: Stage = { kind: 'train-alone', round: stage.round + 1 };
  return !state.closed.some((closed) => sameStage(closed.stage, next));
}

/** The site's control variate of this round counts in every round until the site contributes again. */
function isNewestOf({ closed }: RunState, site: string, round: number): boolean {
  const contributed = closed.filter(({ stage, contributors }) => stage.kind === 'train' && contributors.includes(site));
  return contributed.at(-1)?.stage.round === round;
}

/** Newest updates of the run: of its last round, and of the last that was trained alone. */
export function isOfLastRound(state: RunState, stage: Stage): boolean {
  const isAlone = stage.kind === 'train-alone';
  const rounds = state.closed.filter((closed) => (closed.stage.kind === 'train-alone') === isAlone);
  return stage.round >= Math.max(0, ...rounds.map((closed) => closed.stage.round));
}

/** Below these prefixes lies everything that {@link runObjectOf} knows. */
export const objectPrefixes = (run: string): readonly string[] => [`runs/${run}/rounds/`, `runs/${run}/alone/`];
