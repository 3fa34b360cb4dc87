import type * as pulumi from '@pulumi/pulumi';
import * as aws from '../aws';

export interface ReplacedServiceOptions
  extends Omit<aws.ecs.ServiceArgs, 'capacityProviderStrategies' | 'networkConfiguration' | 'desiredCount'> {
  /** Where its tasks run. @default FARGATE */
  readonly capacityProvider?: pulumi.Input<string>;
  /** @default 1 */
  readonly tasks?: number;
  readonly subnets: pulumi.Input<string>[];
  readonly securityGroups: pulumi.Input<string>[];
}

/**
 * A service of an ECS cluster whose old tasks go before the new ones come: there is one GPU, one workspace or one address for each, and no
 * room for two. A deployment that does not become healthy is taken back, and people get a shell by ECS Exec.
 */
export function replacedService(
  name: string,
  { capacityProvider = 'FARGATE', tasks = 1, subnets, securityGroups, ...more }: ReplacedServiceOptions,
  child: pulumi.CustomResourceOptions,
): aws.ecs.Service {
  return new aws.ecs.Service(
    name,
    {
      ...more,
      desiredCount: tasks,
      capacityProviderStrategies: [{ capacityProvider, weight: 1, base: 0 }],
      ...(capacityProvider === 'FARGATE' && { platformVersion: 'LATEST' }),
      deploymentMinimumHealthyPercent: 0,
      deploymentMaximumPercent: 100,
      availabilityZoneRebalancing: 'DISABLED',
      deploymentCircuitBreaker: { enable: true, rollback: true },
      enableExecuteCommand: true,
      propagateTags: 'SERVICE',
      networkConfiguration: { subnets, securityGroups, assignPublicIp: false },
    },
    child,
  );
}
