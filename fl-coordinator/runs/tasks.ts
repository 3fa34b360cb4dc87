import { deriveSeed } from '../../base/random';
import { isAsItIs } from '../../federation/encodings/encoding';
import type { Plan } from '../../federation/plan';
import { CONTROLS } from '../../federation/protocol';
import { controlsKey, decodedModelKey, modelKey, updateKey, wireModelKey } from './object-names';
import type { RunState } from './run-state';
import { expectsUpdate, type Stage, sameStage, taskId, taskKindOf } from './stage';

/** What a site is asked to do: a function of the state of the run, so it is the same after any restart. */
export interface SiteTask {
  readonly id: string;
  readonly run: string;
  readonly site: string;
  readonly stage: Stage;
  readonly kind: 'initialise' | 'train' | 'evaluate' | 'statistics';
  /** Which private state of the trainer goes on: training alone must not mix with federated training. */
  readonly track: 'federated' | 'alone';
  readonly rounds: number;
  readonly seed: number;
  readonly deadline: string;
  readonly plan: Plan;
  readonly models: readonly TaskModel[];
}

export interface TaskModel {
  readonly name: string;
  readonly key: string;
  readonly digest: string;
  readonly bytes: number;
  /** What the object decodes to; absent when it is the model itself. */
  readonly decoded?: { readonly digest: string; readonly bytes: number };
}

/** The name of the global model in evaluations; what a site learned alone is `site:<id>`, its last update `update:<id>`. */
export const GLOBAL_MODEL = 'global';

/** Every task that the run waits for now. */
export function openTasks(state: RunState): SiteTask[] {
  const { open } = state;
  if (!open || state.outcome) return [];
  return open.cohort
    .filter((site) => !open.results.has(site))
    .map((site) => taskOf(state, open.stage, site, open.deadline));
}

function taskOf(state: RunState, stage: Stage, site: string, deadline: string): SiteTask {
  return {
    id: taskId(state.run, stage, site),
    run: state.run,
    site,
    stage,
    kind: taskKindOf(stage),
    track: stage.kind === 'train-alone' ? 'alone' : 'federated',
    rounds: state.plan.rounds,
    // Training alone draws the same numbers as federated training, so that only the federation differs.
    seed: deriveSeed(state.plan.seed, taskKindOf(stage), stage.round, stage.kind === 'initialise' ? '' : site),
    deadline,
    plan: state.plan,
    models: modelsOf(state, stage, site),
  };
}

function modelsOf(state: RunState, stage: Stage, site: string): readonly TaskModel[] {
  switch (stage.kind) {
    case 'initialise':
    case 'statistics':
      return [];
    case 'train':
      return [sentModel(state, stage.round - 1), ...globalControls(state, stage)];
    case 'train-alone':
      // The baseline is encoded in neither direction.
      return [stage.round === 1 ? globalModel(state, 0) : ownModel(state, stage.round - 1, site)!];
    case 'evaluate':
      return [sentModel(state, stage.round)];
    case 'cross-evaluate':
      return [
        sentModel(state, stage.round),
        ...state.candidates.flatMap((other) => ownModel(state, stage.round, other) ?? []),
        ...(state.plan.evaluation.crossSite
          ? state.candidates.flatMap((other) => lastUpdate(state, stage.round, other) ?? [])
          : []),
      ];
  }
}

function globalModel(state: RunState, round: number): TaskModel {
  const model = state.models[round]!;
  return { name: GLOBAL_MODEL, key: modelKey(state.run, round), digest: model.digest, bytes: model.bytes };
}

/** The global model as sites get it: encoded, when the plan says so. */
function sentModel(state: RunState, round: number): TaskModel {
  const { wire } = state.models[round]!;
  const model = globalModel(state, round);
  return wire ? { ...model, key: wireModelKey(state.run, round), ...wire } : model;
}

/**
 * The key of the model of a round as sites have it, which is what the next round is relative to: what its encoded form decodes
 * to, otherwise the model itself.
 */
export function baseKeyOf({ run, models }: RunState, round: number): string {
  return models[round]?.wire ? decodedModelKey(run, round) : modelKey(run, round);
}

/** Whether updates of this stage arrive encoded. */
export function sendsEncoded({ wire }: Plan, stage: Stage): boolean {
  return stage.kind === 'train' && !isAsItIs(wire.up);
}

/** Tells tensors that the plan excludes. */
export function isExcludedBy({ excludedTensors }: Plan): (name: string) => boolean {
  const patterns = excludedTensors.map((text) => new RegExp(text, 'u'));
  return (name) => patterns.some((pattern) => pattern.test(name));
}

/** The server's control variate that the round starts from; none in round 1, where it is zero. */
function globalControls({ run, plan, models }: RunState, stage: Stage): readonly TaskModel[] {
  const round = stage.round - 1;
  const controls = sendsControls(plan, stage) ? models[round]!.controls : undefined;
  return controls ? [{ name: CONTROLS, key: controlsKey(run, round), ...controls }] : [];
}

/** Whether updates of this stage carry their site's control variate. */
export function sendsControls({ strategy }: Plan, stage: Stage): boolean {
  return stage.kind === 'train' && strategy.clientRule.kind === 'scaffold';
}

/** What the site had learned alone by the end of that round; none when it fell out. */
function ownModel(state: RunState, round: number, site: string): TaskModel | undefined {
  return updateOf(state, { kind: 'train-alone', round }, site, 'site');
}

/** What the site made of the global model in that round; none when it did not contribute. */
function lastUpdate(state: RunState, round: number, site: string): TaskModel | undefined {
  return updateOf(state, { kind: 'train', round }, site, 'update');
}

function updateOf(state: RunState, stage: Stage, site: string, prefix: 'site' | 'update'): TaskModel | undefined {
  const result = state.closed.find((closed) => sameStage(closed.stage, stage))?.results.get(site);
  if (result?.kind !== 'update') return undefined;
  return {
    name: `${prefix}:${site}`,
    key: updateKey(state.run, stage, site),
    digest: result.digest,
    bytes: result.bytes,
  };
}

/** The model whose tensors an update of this stage must have; none for the first weights. */
export function baseModelOf(state: RunState, stage: Stage): TaskModel | undefined {
  if (!expectsUpdate(stage) || stage.kind === 'initialise') return undefined;
  return globalModel(state, stage.kind === 'train' ? stage.round - 1 : 0);
}
