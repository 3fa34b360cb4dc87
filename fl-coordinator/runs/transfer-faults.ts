import type { Fault } from '../../base/errors';
import type { Plan } from '../../federation/plan';
import { keptTensors, madeAnew, matchesAny, patternsOf } from '../../federation/sent-tensors';
import type { TensorSpec } from '../../federation/tensors/layout';

/** Whether {@link transferFaults} has anything to look at. */
export function namesTensors(plan: Plan): boolean {
  return plan.frozenTensors.length > 0 || madeAnew(plan).length > 0;
}

/** What a plan says of tensors of its initial model that this model makes impossible, or that means nothing for it. */
export function transferFaults(plan: Plan, { tensors }: { readonly tensors: readonly TensorSpec[] }): Fault[] {
  const { frozenTensors } = plan;
  const anew = madeAnew(plan);
  const names = tensors.map(({ name }) => name);
  const faults: Fault[] = [];
  const unmatched = (path: string, texts: readonly string[]): void => {
    for (const [index, pattern] of patternsOf(texts).entries()) {
      if (names.some((name) => pattern.test(name))) continue;
      faults.push({ path: `${path}.${index}`, value: texts[index], rule: 'matches no tensor of the initial model' });
    }
  };
  unmatched('frozenTensors', frozenTensors);
  unmatched('initialModel.reinitialise', anew);
  const [frozen, fresh, kept] = [patternsOf(frozenTensors), patternsOf(anew), keptTensors(plan)];
  const both = names.filter((name) => matchesAny(name, frozen) && matchesAny(name, fresh));
  if (both.length > 0) {
    const rule = 'is made anew and frozen at once, so it would stay random; correct one of the two';
    faults.push({ path: 'frozenTensors', value: both[0]!, rule });
  }
  if (frozenTensors.length > 0 && names.every((name) => matchesAny(name, kept))) {
    faults.push({ path: 'frozenTensors', rule: 'leaves no tensor to train; freeze fewer' });
  }
  return faults;
}
