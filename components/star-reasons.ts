/**
 * Every statement that allows something on `*`, by its Sid, with the reason: there is none narrower. A statement whose Sid
 * is not here may not allow a star; the policy pack and the specs of the stacks hold to it.
 */
export const STAR_REASONS: Readonly<Record<string, string>> = {
  AccountDecidesByIam: 'in a key policy the resource "*" is the key itself, and kms:* keeps it manageable',
  LogsOfThisAccount: 'in a key policy the resource "*" is the key itself; the encryption context names the log groups',
  AlarmsOfThisAccount: 'in a key policy the resource "*" is the key itself; the source account is a condition',
  TrailOfThisAccount: 'in a key policy the resource "*" is the key itself; the encryption context names the trail',
  RegistryToken: 'ecr:GetAuthorizationToken knows no resource; what it opens is in the other statements',
  ShellChannel:
    'the ssmmessages actions of ECS Exec know no resource; who may open a shell is decided by ecs:ExecuteCommand',
  AgentOfTheNode: 'the ECS agent registers instances and polls by endpoints that know no resource',
  FindTraining: 'ecs:ListTasks of a whole cluster knows no resource; the cluster is a condition',
  ImageLayers:
    'image layers come from a bucket of ECR, under identities of ECR that no policy can name; only that bucket is named',
  BuildPlatform:
    'a deployment makes resources that have no name yet; the boundary and the organisation policies limit it',
  CeilingOfStores:
    'a permission boundary grants nothing by itself; it names the actions, and the account is a condition',
  CeilingOfTasks: 'a permission boundary grants nothing by itself; it names the actions of all tasks',
  BoundaryCeiling: 'a permission boundary grants nothing by itself; it is the ceiling of the role',
  OwnAccountOnly:
    'an endpoint policy narrows what passes; the rights are those of the caller, and only of this account',
};
