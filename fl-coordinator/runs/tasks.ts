import { deriveSeed } from '../../base/random';
import { isAsItIs } from '../../federation/encodings/encoding';
import type { Plan } from '../../federation/plan';
import { ALONE_MODEL, CONTROLS } from '../../federation/protocol';
import { madeAnew } from '../../federation/sent-tensors';
import { openWork, type Work, workOf } from './going';
import { controlsKey, decodedModelKey, modelKey, updateKey, wireModelKey } from './object-names';
import type { ClosedStage, RunState } from './run-state';
import { expectsUpdate, type Stage, sameRound, sameStage, taskId, taskKindOf } from './stage';

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
const LAST_UPDATE = 'update:';
/** The name of the model whose tensors a trainer takes over when it makes the others anew. */
export const INITIAL_MODEL = 'initial';

/** Every task that the run waits for now; a site has one at most. */
export function openTasks(state: RunState): SiteTask[] {
  return openWork(state).map((work) => taskOf(state, work));
}

/** The task that the run waits for from one site. */
export function openTaskOf(state: RunState, site: string): SiteTask | undefined {
  const work = workOf(state, site);
  return work && taskOf(state, work);
}

/** Whether the run waits for the task of this id, which is one of its own. Asked of every upload after every event. */
export function isOpenTask(state: RunState, id: string): boolean {
  const site = id.slice(id.lastIndexOf('/') + 1);
  const work = workOf(state, site);
  return work !== undefined && taskId(state.run, work.stage, site) === id;
}

/** What a site is asked to do that is at this work. */
export function taskOf(state: RunState, { stage, site, deadline }: Work): SiteTask {
  return {
    id: taskId(state.run, stage, site),
    run: state.run,
    site,
    stage,
    kind: taskKindOf(stage),
    track: stage.kind === 'train-alone' ? 'alone' : 'federated',
    rounds: state.plan.rounds,
    // Training alone draws the same numbers as federated training, so that only the federation differs.
    seed: seedOf(state.plan, stage, site),
    deadline,
    plan: state.plan,
    models: modelsOf(state, stage, site),
  };
}

/** Each turn from the same model draws numbers of its own; a cyclic round has one turn a site. */
function seedOf({ seed, mode }: Plan, stage: Stage, site: string): number {
  const parts = [seed, taskKindOf(stage), stage.round, stage.kind === 'initialise' ? '' : site];
  return deriveSeed(...parts, ...(mode === 'asynchronous' && stage.turn !== undefined ? [stage.turn] : []));
}

function modelsOf(state: RunState, stage: Stage, site: string): readonly TaskModel[] {
  switch (stage.kind) {
    case 'initialise':
      return initialModels(state);
    case 'statistics':
      return [];
    case 'train':
      return [travellingModel(state, stage) ?? sentModel(state, stage.round - 1), ...globalControls(state, stage)];
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

/** In a cyclic round: what the site before has made of the model, decoded. */
function travellingModel(state: RunState, stage: Stage): TaskModel | undefined {
  if (state.plan.mode !== 'cyclic') return undefined;
  const [site, hop] = travelledTo(state, stage) ?? [];
  const model = hop && updateOf(state, hop.stage, site!, LAST_UPDATE);
  return model && { ...model, name: GLOBAL_MODEL };
}

/** The last site of a cyclic round that has delivered, before the given stage, and its stage. */
export function travelledTo({ closed }: RunState, stage: Stage): readonly [string, ClosedStage] | undefined {
  const hop = closed.findLast(
    (before) =>
      sameRound(before.stage, stage) && (before.stage.turn ?? 1) < (stage.turn ?? 1) && before.contributors.length > 0,
  );
  return hop && [hop.contributors[0]!, hop];
}

/** What a trainer takes over of first weights that it does not make from nothing. */
function initialModels({ plan, start }: RunState): readonly TaskModel[] {
  if (!start || madeAnew(plan).length === 0) return [];
  return [{ name: INITIAL_MODEL, key: start.key, digest: start.digest, bytes: start.bytes }];
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

/** The key of the model, as its site had it, from which a federated update of this stage started. */
export function startKeyOf(state: RunState, stage: Stage): string {
  return travellingModel(state, stage)?.key ?? baseKeyOf(state, stage.round - 1);
}

/** Whether updates of this stage arrive encoded. */
export function sendsEncoded({ wire }: Plan, stage: Stage): boolean {
  return stage.kind === 'train' && !isAsItIs(wire.up);
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
  return updateOf(state, { kind: 'train-alone', round }, site, ALONE_MODEL);
}

/** What the site made of the global model in that round; none when it did not contribute. */
function lastUpdate(state: RunState, round: number, site: string): TaskModel | undefined {
  return updateOf(state, { kind: 'train', round }, site, LAST_UPDATE);
}

function updateOf(state: RunState, stage: Stage, site: string, prefix: string): TaskModel | undefined {
  const result = state.closed.find((closed) => sameStage(closed.stage, stage))?.results.get(site);
  if (result?.kind !== 'update') return undefined;
  return {
    name: `${prefix}${site}`,
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
