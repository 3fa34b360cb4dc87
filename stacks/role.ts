import { DeploymentInputError } from '../components/faults';
import { type RawConfiguration, textOf } from './raw-configuration';

/** What a stack can be. One project, one program a role; see the table in README.md. */
const ROLES = ['site', 'coordinator', 'organization'] as const;
const DEPLOYABLE = ['site'] as const;

export type DeployableRole = (typeof DEPLOYABLE)[number];

/** @throws DeploymentInputError when the role is missing, unknown, or not deployable by this version */
export function stackRole(configuration: RawConfiguration, stack: string): DeployableRole {
  const role = textOf(configuration, 'role');
  const deployable = DEPLOYABLE.find((name) => name === role);
  if (deployable !== undefined) return deployable;
  const known = ROLES.some((name) => name === role);
  throw new DeploymentInputError(`The configuration of stack ${stack}`, [
    {
      path: 'clara-federation:role',
      ...(role ? { value: role } : {}),
      rule: known
        ? `this version deploys only sites; choose the stack of a site, for example ${stack}-<site>`
        : `must be site; write the stack's file as Pulumi.<environment>-<site>.yaml`,
    },
  ]);
}
