import { lockFolder } from '../base/process-lock';
import type { FleetVerb } from './stacks-port';

/**
 * Takes an environment for one operator at a time: two would deploy different checkouts in turns, and write one record. Whoever
 * comes second is told who it is. A killed holder holds nothing; on another machine nobody here can know, so its lock stands.
 *
 * @param folder where records are kept
 * @returns gives the environment back
 * @throws ClaraError `precondition-failed` while another call works on the environment
 */
export function lockEnvironment(folder: string, environment: string, verb: FleetVerb): Promise<() => Promise<void>> {
  return lockFolder({
    folder,
    name: environment,
    shared: true,
    refusal: ({ user = 'somebody', host = 'another machine', pid, since = 'an unknown time' }, file) =>
      `${verb} of ${environment} cannot begin: ${user} has worked on it since ${since} (process ${pid} on ${host}); ` +
      `wait for its end, or stop that process, and if ${host} is gone remove ${file}`,
  });
}
