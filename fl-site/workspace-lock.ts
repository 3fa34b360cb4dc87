import { lockFolder } from '../base/process-lock';

/**
 * Takes the workspace for this process: two agents in one workspace would train in the same folders.
 *
 * @returns gives the workspace back
 * @throws ClaraError `precondition-failed` while another agent runs
 */
export function lockWorkspace(workspace: string): Promise<() => Promise<void>> {
  return lockFolder({
    folder: workspace,
    name: 'agent',
    refusal: ({ pid }) =>
      `the workspace ${workspace} is in use by process ${pid}; stop that agent or give this one another workspace`,
  });
}
