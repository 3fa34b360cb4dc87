import { featuresNeeded } from './combiner-needs';
import type { Plan } from './plan';
import { madeAnew } from './sent-tensors';
import type { TrainerFeature } from './trainer-contract';

/** What every site's trainer must support beyond plain training, for its strategy and for what it says of tensors. */
export function featuresOfPlan(plan: Plan): TrainerFeature[] {
  return [
    ...featuresNeeded(plan.strategy),
    ...(plan.frozenTensors.length > 0 ? (['frozen'] as const) : []),
    ...(madeAnew(plan).length > 0 ? (['reinitialise'] as const) : []),
  ];
}
