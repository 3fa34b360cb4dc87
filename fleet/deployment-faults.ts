import { ClaraError } from '../base/errors';
import { DeploymentInputError } from '../components/faults';

/** The faults of an infrastructure program as an error of our family; anything else stays what it is. */
export function asClaraError(thrown: unknown): unknown {
  if (!(thrown instanceof DeploymentInputError)) return thrown;
  const [what = ''] = thrown.message.split(' has ');
  return ClaraError.ofFaults(what, thrown.faults);
}
