import type * as pulumi from '@pulumi/pulumi';
import * as aws from '../aws';
import { logGroup } from '../operations/log-group';
import { allow } from '../policy-document';
import { serviceRole } from '../tasks/task-role';

export interface FlowLogOptions {
  readonly vpcId: pulumi.Input<string>;
  readonly retentionDays: number;
  readonly keyArn: pulumi.Input<string>;
}

/** Who talked to whom in a VPC, accepted or refused; no content. */
export function flowLogs(
  name: string,
  { vpcId, retentionDays, keyArn }: FlowLogOptions,
  child: { readonly parent: pulumi.Resource },
): void {
  const group = logGroup(`${name}-flow`, { retentionDays, keyArn }, child);
  const role = serviceRole(
    `${name}-flow`,
    {
      service: 'vpc-flow-logs.amazonaws.com',
      statements: group.arn.apply((arn) => [
        allow('WriteFlows', ['logs:CreateLogStream', 'logs:PutLogEvents', 'logs:DescribeLogStreams'], `${arn}:*`),
      ]),
    },
    child,
  );
  new aws.ec2.FlowLog(
    `${name}-flow`,
    {
      vpcId,
      trafficType: 'ALL',
      logDestinationType: 'cloud-watch-logs',
      logDestination: group.arn,
      iamRoleArn: role.arn,
      maxAggregationInterval: 60,
    },
    child,
  );
}
