/**
 * Which VPC endpoints a network without a way to the internet needs. Derived from what runs in it: each interface endpoint
 * costs by the hour and zone, and an idle one is the classic forgotten bill.
 */

export interface NetworkNeeds {
  /** ECS tasks on Fargate. */
  readonly fargate: boolean;
  /** ECS tasks on EC2 instances, which register with the control plane. */
  readonly instances: boolean;
  /** Shells by ECS Exec. */
  readonly shell: boolean;
  /** A shell on an instance by Session Manager. */
  readonly bastion: boolean;
  /** Containers that start other tasks (the site's agent). */
  readonly startsTasks: boolean;
}

/** What AWS services are called in endpoint names, without `com.amazonaws.<region>.`, in order. */
export function interfaceEndpoints(needs: NetworkNeeds): string[] {
  const names = new Set<string>();
  const add = (...services: readonly string[]) => {
    for (const service of services) names.add(service);
  };
  if (needs.fargate || needs.instances) {
    // Images, logs, secrets and the keys that protect them; mounts with IAM sign against the regional STS.
    add('ecr.api', 'ecr.dkr', 'logs', 'secretsmanager', 'kms', 'sts', 'elasticfilesystem', 'monitoring');
  }
  if (needs.instances) add('ecs', 'ecs-agent', 'ecs-telemetry', 'ssm', 'ec2messages');
  if (needs.startsTasks) add('ecs');
  if (needs.shell) add('ssmmessages');
  if (needs.bastion) add('ssm', 'ssmmessages', 'ec2messages');
  return [...names].sort();
}
