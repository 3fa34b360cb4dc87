import * as pulumi from '@pulumi/pulumi';
import { METRICS_ADDRESS } from '../containers/program';
import { allow, type Statement } from '../policy-document';
import type { TaskContainer } from './container-task';

/** Namespace of the figures in CloudWatch. */
export const METRICS_NAMESPACE = 'ClaraFederation';

/**
 * A collector beside a service of ours: it reads the figures for Prometheus inside the task and writes them to CloudWatch as log
 * events in the embedded metric format, with the stack as the only dimension, so that alarms of stacks stay apart. AWS Distro
 * for OpenTelemetry, whose whole configuration may be one variable.
 */
export function metricsCollector(
  image: string,
  stack: string,
  logGroupName: pulumi.Input<string>,
  region: pulumi.Input<string>,
): TaskContainer {
  return {
    name: 'collector',
    image,
    command: ['--config=env:AOT_CONFIG_CONTENT'],
    environment: {
      AOT_CONFIG_CONTENT: pulumi.jsonStringify(
        pulumi.all([logGroupName, region]).apply(([group, area]) => configuration(stack, group, area)),
      ),
    },
    memory: 256,
    essential: false,
  };
}

/** What the collector may write. */
export function collectorStatements(logGroupArn: string): Statement[] {
  return [
    allow(
      'WriteFigures',
      ['logs:CreateLogStream', 'logs:PutLogEvents', 'logs:DescribeLogStreams', 'logs:DescribeLogGroups'],
      [logGroupArn, `${logGroupArn}:*`],
    ),
  ];
}

function configuration(stack: string, logGroupName: string, region: string) {
  return {
    receivers: {
      prometheus: {
        config: {
          scrape_configs: [
            { job_name: 'clara', scrape_interval: '60s', static_configs: [{ targets: [METRICS_ADDRESS] }] },
          ],
        },
      },
    },
    processors: {
      filter: { metrics: { include: { match_type: 'regexp', metric_names: ['clara_.*'] } } },
      resource: { attributes: [{ key: 'stack', value: stack, action: 'upsert' }] },
    },
    exporters: {
      awsemf: {
        namespace: METRICS_NAMESPACE,
        region,
        log_group_name: logGroupName,
        log_stream_name: 'figures',
        dimension_rollup_option: 'NoDimensionRollup',
        resource_to_telemetry_conversion: { enabled: true },
        metric_declarations: [{ dimensions: [['stack']], metric_name_selectors: ['^clara_.*'] }],
      },
    },
    service: {
      pipelines: {
        metrics: { receivers: ['prometheus'], processors: ['filter', 'resource'], exporters: ['awsemf'] },
      },
    },
  };
}
