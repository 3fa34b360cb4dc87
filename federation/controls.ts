import { ClaraError } from '../base/errors';
import { isFloat } from './tensors/dtype';
import type { TensorSpec } from './tensors/layout';

/**
 * Control variates of SCAFFOLD (Karimireddy 2020) beside the tensors of a model. As a file of their own (what the coordinator
 * keeps and a trainer reads and writes) they have the names, shapes and types of the model's floating-point tensors, in its
 * order. In an update that a site sends they follow the model's tensors in the same file, so that both arrive, are resumed and
 * are judged together; there their names begin with {@link CONTROL_PREFIX}.
 */
export const CONTROL_PREFIX = 'scaffold-control/';

interface Tensors {
  readonly tensors: readonly TensorSpec[];
}

export function isControl(name: string): boolean {
  return name.startsWith(CONTROL_PREFIX);
}

/** The tensors of a control variate, as a file of their own or as they are named in an update. */
export function controlsOf({ tensors }: Tensors, prefix: '' | typeof CONTROL_PREFIX = ''): TensorSpec[] {
  return tensors
    .filter(({ dtype }) => isFloat(dtype))
    .map(({ name, dtype, shape }) => ({ name: `${prefix}${name}`, dtype, shape }));
}

/**
 * The tensors of an update with its site's control variate.
 * @throws ClaraError `invalid-input` when the model itself has names that begin like those of controls
 */
export function withControls(model: Tensors): Tensors {
  const faults = model.tensors
    .filter(({ name }) => isControl(name))
    .map(({ name }) => ({ path: name, rule: `must not begin with ${CONTROL_PREFIX} in a run of scaffold; rename it` }));
  if (faults.length > 0) throw ClaraError.ofFaults('the model', faults);
  return { tensors: [...model.tensors, ...controlsOf(model, CONTROL_PREFIX)] };
}
