import * as pulumi from '@pulumi/pulumi';
import * as aws from '../aws';
import { MADE_ROLE_PATH } from '../organization/made-roles';
import { placeOf } from '../place';
import { policyDocument, type Statement, trustService } from '../policy-document';

export interface ServiceRoleOptions {
  /** Who takes the role. @default ECS tasks */
  readonly service?: string;
  readonly statements: pulumi.Input<readonly Statement[]>;
}

/** A role of a service with one inline policy: nothing else can be attached to its rights without a change of this stack. */
export function serviceRole(
  name: string,
  { service = 'ecs-tasks.amazonaws.com', statements }: ServiceRoleOptions,
  child: pulumi.CustomResourceOptions & { readonly parent: pulumi.Resource },
): aws.iam.Role {
  const { accountId } = placeOf(child.parent);
  const role = new aws.iam.Role(
    name,
    {
      path: MADE_ROLE_PATH,
      assumeRolePolicy: pulumi.jsonStringify(accountId.apply((id) => trustService(service, id))),
    },
    child,
  );
  new aws.iam.RolePolicy(
    name,
    {
      role: role.name,
      policy: pulumi.jsonStringify(pulumi.output(statements).apply((list) => policyDocument(...list))),
    },
    child,
  );
  return role;
}
