import { ClaraError } from '../../base/errors';
import type { Federation, Operations } from '../../federation/gen/federation/v1/federation_pb';
import type { MethodsOf } from '../../federation/services';

/** Who may do what: the whole policy is this table; what is not in it is refused. */

export const OPERATOR_ROLES = ['admin', 'researcher', 'auditor'] as const;
export type OperatorRole = (typeof OPERATOR_ROLES)[number];
export type Role = OperatorRole | 'site';

export type FederationVerb = `federation.${keyof MethodsOf<typeof Federation> & string}`;
export type OperationsVerb = `operations.${keyof MethodsOf<typeof Operations> & string}`;
export type Verb = FederationVerb | OperationsVerb;

/**
 * `admin` runs the federation, `researcher` its runs; `auditor` sees everything that happened and no model; `site` takes
 * part. Which runs and updates a site may touch, the run itself decides.
 */
export const ALLOWED: Readonly<Record<Verb, readonly Role[]>> = {
  'federation.connect': ['site'],
  'federation.download': ['site'],
  'federation.upload': ['site'],
  'federation.uploadStatus': ['site'],
  'federation.renew': ['site'],
  'federation.probe': ['site'],
  'operations.submitRun': ['admin', 'researcher'],
  'operations.listRuns': ['admin', 'researcher', 'auditor'],
  'operations.showRun': ['admin', 'researcher', 'auditor'],
  'operations.watchRun': ['admin', 'researcher', 'auditor'],
  'operations.abortRun': ['admin', 'researcher'],
  'operations.pauseRun': ['admin', 'researcher'],
  'operations.resumeRun': ['admin', 'researcher'],
  'operations.fetchModel': ['admin', 'researcher'],
  'operations.showLedger': ['admin', 'researcher', 'auditor'],
  'operations.showStatistics': ['admin', 'researcher', 'auditor'],
  'operations.uploadModel': ['admin', 'researcher'],
  'operations.registerModel': ['admin', 'researcher'],
  'operations.listModels': ['admin', 'researcher', 'auditor'],
  'operations.showModel': ['admin', 'researcher', 'auditor'],
  // What clinics are shown, and are told that it is good for, is no matter of research.
  'operations.setModelStage': ['admin'],
  'operations.promoteModel': ['admin'],
  'operations.rollbackModel': ['admin'],
  'operations.listSites': ['admin', 'researcher', 'auditor'],
  'operations.inviteSite': ['admin'],
  'operations.revokeSite': ['admin'],
};

export function isAllowed(role: Role, verb: Verb): boolean {
  return Object.hasOwn(ALLOWED, verb) && ALLOWED[verb].includes(role);
}

/** @throws ClaraError `permission-denied`, naming the role, the verb and who may */
export function authorise(role: Role, verb: Verb): void {
  if (isAllowed(role, verb)) return;
  const who = Object.hasOwn(ALLOWED, verb) ? ALLOWED[verb].join(', ') : 'nobody';
  throw new ClaraError('permission-denied', `role ${role} may not call ${verb}; it is for: ${who}`);
}
