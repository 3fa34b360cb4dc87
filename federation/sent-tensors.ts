import { NORMALISATION_STATISTICS } from './normalisation';
import type { Plan } from './plan';
import { encodeHeader, parseHeader } from './tensors/header';
import type { TensorLayout, TensorSpec } from './tensors/layout';

/** Which tensors of the model an update of federated training has: both ends of the wire ask here. */

export type Patterns = readonly RegExp[];

export function patternsOf(texts: readonly string[]): RegExp[] {
  return texts.map((text) => new RegExp(text, 'u'));
}

export function matchesAny(name: string, patterns: Patterns): boolean {
  return patterns.some((pattern) => pattern.test(name));
}

/**
 * Patterns of tensors that updates leave out: those that are frozen, which everybody has. An update that is judged as a model
 * (`crossSite`), that the next site trains on (cyclic), or that carries a control variate beside each tensor (scaffold), is whole.
 */
export function leftOut({ frozenTensors, evaluation, strategy, mode }: Plan): RegExp[] {
  const whole = evaluation.crossSite || mode === 'cyclic' || strategy.clientRule.kind === 'scaffold';
  return whole ? [] : patternsOf(frozenTensors);
}

/** Patterns of tensors of the initial model that a trainer makes anew. */
export function madeAnew({ initialModel }: Pick<Plan, 'initialModel'>): readonly string[] {
  return initialModel.from === 'trainer' ? [] : (initialModel.reinitialise ?? []);
}

type KeptPlan = Pick<Plan, 'excludedTensors' | 'frozenTensors' | 'normalisationStatistics'>;

/** Patterns of tensors that keep the initial model's values, whatever a site sends. */
export function keptTensors(plan: KeptPlan): RegExp[] {
  return [...patternsOf([...plan.excludedTensors, ...plan.frozenTensors]), ...localTensors(plan)];
}

/** Patterns of tensors with which each site goes on by itself; they are kept, too. */
export function localTensors({ normalisationStatistics }: Pick<Plan, 'normalisationStatistics'>): RegExp[] {
  return normalisationStatistics === 'keep-local' ? [NORMALISATION_STATISTICS] : [];
}

/** Patterns of tensors that the next model takes from the first contributor, beside all that hold no fractions. */
export function firstTensors({ normalisationStatistics }: Pick<Plan, 'normalisationStatistics'>): RegExp[] {
  return normalisationStatistics === 'first' ? [NORMALISATION_STATISTICS] : [];
}

/** Tells those tensors; encoded models and updates have them as they are. */
export function isKeptBy(plan: KeptPlan): (name: string) => boolean {
  const patterns = keptTensors(plan);
  return (name) => matchesAny(name, patterns);
}

/** The header of an update of this model, before any encoding. */
export function updateLayout(model: TensorLayout, leftOut: Patterns): TensorLayout {
  const { tensors } = withoutTensors(model, leftOut);
  if (tensors.length === model.tensors.length) return model;
  return parseHeader(encodeHeader(tensors, model.metadata), { name: 'header of an update' });
}

export function withoutTensors<T extends TensorSpec>(
  { tensors }: { readonly tensors: readonly T[] },
  patterns: Patterns,
): { readonly tensors: readonly T[] } {
  return { tensors: tensors.filter(({ name }) => !matchesAny(name, patterns)) };
}
