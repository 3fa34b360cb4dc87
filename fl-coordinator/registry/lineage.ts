import { create } from '@bufbuild/protobuf';
import { type LineageStep, LineageStepSchema } from '../../federation/gen/federation/v1/federation_pb';
import type { ModelParent, RegisteredCard } from '../../federation/registered-model';
import { contributingSites } from '../runs/contributing-sites';
import type { RunState } from '../runs/run-state';
import type { RegistryState } from './registry-state';

/** Where a model comes from, back to the weights that nobody had before: derived from journals, which all stay. */

/** What the run started from, when no trainer made it from nothing. */
export function parentsOf(state: RunState, stateOf: (run: string) => RunState | undefined): ModelParent[] {
  const { initialModel } = state.plan;
  switch (initialModel.from) {
    case 'trainer':
      return [];
    case 'file':
      return [{ from: 'file', digest: `sha256:${initialModel.sha256}` }];
    case 'registry': {
      const { model, version } = initialModel;
      return state.start ? [{ from: 'registry', model, version, digest: state.start.digest }] : [];
    }
    case 'run': {
      // Journals of older releases do not say what was found: the last model of a completed run, as today.
      const found = state.start ?? stateOf(initialModel.run)?.models.at(-1);
      if (!found) return [];
      return [{ from: 'run', run: initialModel.run, round: found.round ?? 0, digest: found.digest }];
    }
  }
}

/** From this version back to the root. */
export function lineageOf(
  card: RegisteredCard,
  registry: RegistryState,
  stateOf: (run: string) => RunState | undefined,
): LineageStep[] {
  const steps = [registered(card)];
  let place: { readonly run: string; readonly round: number } | undefined = card;
  // A run starts from what was there before it, so this ends.
  while (place) {
    const state = stateOf(place.run);
    const model = state?.models[place.round];
    if (!state || !model) return steps;
    const { run, round } = place;
    const sites = contributingSites(state, round).map(({ site }) => site);
    steps.push(create(LineageStepSchema, { kind: 'run', run, round, digest: model.digest, sites }));
    const [parent] = parentsOf(state, stateOf);
    place = undefined;
    if (!parent) steps.push(madeByTrainer(state));
    else if (parent.from === 'run') place = parent;
    else if (parent.from === 'file') steps.push(create(LineageStepSchema, { kind: 'file', digest: parent.digest }));
    else {
      const from = registry.models.get(parent.model)?.[parent.version - 1];
      if (from) {
        steps.push(registered(from.card));
        place = from.card;
      }
    }
  }
  return steps;
}

function registered({ model, version, digest, run, round }: RegisteredCard): LineageStep {
  return create(LineageStepSchema, { kind: 'registered', model, version, digest, run, round });
}

function madeByTrainer({ run, models, closed }: RunState): LineageStep {
  const made = closed.findLast(({ stage }) => stage.kind === 'initialise');
  const digest = models[0]?.digest ?? '';
  return create(LineageStepSchema, { kind: 'trainer', run, digest, sites: [...(made?.contributors ?? [])] });
}
