import { stackOf } from '../properties';
import type { ResourceRule } from '../rule';

export const boundRoles: ResourceRule = {
  name: 'bound-roles',
  rule: 'In production and in the organisation, every role has a boundary: what it may do at most, whatever a later change gives it.',
  *check(resource) {
    if (resource.type !== 'aws:iam/role:Role' || !/^(org|prod)(-|$)/.test(stackOf(resource))) return;
    if (!resource.props.permissionsBoundary) {
      yield {
        field: 'permissionsBoundary',
        value: resource.props.permissionsBoundary,
        wayOut: 'set it to the policy that the organisation makes beside the deployment role',
      };
    }
  },
};
