/** What an instance runs when it starts for the first time. */
export interface NodeUserData {
  readonly clusterName: string;
}

/**
 * The configuration of the ECS agent on a GPU instance (ECS developer guide, "Amazon ECS container agent configuration").
 * Tasks get no credentials of the instance: with `awsvpc` they would still reach its metadata service otherwise.
 */
export function nodeUserData({ clusterName }: NodeUserData): string {
  return [
    '#!/bin/bash',
    'set -euo pipefail',
    "cat >> /etc/ecs/ecs.config <<'END'",
    `ECS_CLUSTER=${clusterName}`,
    'ECS_ENABLE_GPU_SUPPORT=true',
    'ECS_AWSVPC_BLOCK_IMDS=true',
    'ECS_ENABLE_SPOT_INSTANCE_DRAINING=true',
    'ECS_IMAGE_PULL_BEHAVIOR=prefer-cached',
    'ECS_CONTAINER_STOP_TIMEOUT=2m',
    'END',
    '',
  ].join('\n');
}
