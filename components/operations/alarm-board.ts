import * as pulumi from '@pulumi/pulumi';
import * as aws from '../aws';
import { placeOf } from '../place';
import { denyWithoutTls, type PolicyDocument, policyDocument } from '../policy-document';

export interface Alarm {
  /** Last part of its name; the first is the stack's, so that no two stacks of an account collide. */
  readonly name: string;
  /** What is wrong and where to look, in the mail that somebody gets at night. */
  readonly description: string;
  readonly namespace: string;
  readonly metric: string;
  readonly dimensions: Readonly<Record<string, pulumi.Input<string>>>;
  readonly statistic: 'Minimum' | 'Maximum' | 'Sum';
  readonly breach: { readonly above: number } | { readonly below: number };
  /** How long it must last. A multiple of 5. */
  readonly minutes: number;
}

export interface AlarmBoardOptions {
  readonly stack: string;
  readonly keyArn: pulumi.Input<string>;
  readonly email?: string;
  readonly alarms: readonly Alarm[];
  readonly parent: pulumi.Resource;
}

const PERIOD_MINUTES = 5;

/** Alarms, the topic that they tell, and a dashboard with one graph for each. */
export class AlarmBoard {
  readonly topicArn: pulumi.Output<string>;
  readonly dashboardName: string;

  constructor(name: string, { stack, keyArn, email, alarms, parent }: AlarmBoardOptions) {
    const child = { parent };
    const { accountId, region } = placeOf(parent);
    const topic = new aws.sns.Topic(`${name}-alarms`, { kmsMasterKeyId: keyArn }, child);
    new aws.sns.TopicPolicy(
      `${name}-alarms`,
      {
        arn: topic.arn,
        policy: pulumi.jsonStringify(
          pulumi.all([topic.arn, accountId]).apply(([arn, account]) => alarmTopicPolicy(arn, account)),
        ),
      },
      child,
    );
    if (email !== undefined) {
      new aws.sns.TopicSubscription(`${name}-alarms`, { topic: topic.arn, protocol: 'email', endpoint: email }, child);
    }
    for (const alarm of alarms) {
      new aws.cloudwatch.MetricAlarm(
        `${name}-${alarm.name}`,
        {
          name: `${stack}-${alarm.name}`,
          alarmDescription: alarm.description,
          namespace: alarm.namespace,
          metricName: alarm.metric,
          dimensions: { ...alarm.dimensions },
          statistic: alarm.statistic,
          period: PERIOD_MINUTES * 60,
          evaluationPeriods: alarm.minutes / PERIOD_MINUTES,
          ...('above' in alarm.breach
            ? { comparisonOperator: 'GreaterThanThreshold', threshold: alarm.breach.above }
            : { comparisonOperator: 'LessThanThreshold', threshold: alarm.breach.below }),
          // A service that sleeps reports nothing.
          treatMissingData: 'notBreaching',
          alarmActions: [topic.arn],
          okActions: [topic.arn],
        },
        child,
      );
    }
    const graphs = alarms.map(({ dimensions, ...alarm }) =>
      pulumi.output(dimensions).apply((values) => ({ ...alarm, dimensions: values as Record<string, string> })),
    );
    new aws.cloudwatch.Dashboard(
      name,
      {
        dashboardName: `clara-federation-${stack}`,
        dashboardBody: pulumi.jsonStringify(
          pulumi.all([region, pulumi.all(graphs)]).apply(([area, list]) => dashboardBody(area, list)),
        ),
      },
      child,
    );
    this.topicArn = topic.arn;
    this.dashboardName = `clara-federation-${stack}`;
  }
}

export type Graph = Omit<Alarm, 'dimensions'> & { readonly dimensions: Readonly<Record<string, string>> };

/** Two graphs a row, each with the limit of its alarm (CloudWatch API, "Dashboard body structure and syntax"). */
export function dashboardBody(region: string, graphs: readonly Graph[]) {
  return {
    widgets: graphs.map(({ name, namespace, metric, dimensions, statistic, breach }, index) => ({
      type: 'metric',
      x: (index % 2) * 12,
      y: Math.floor(index / 2) * 6,
      width: 12,
      height: 6,
      properties: {
        title: name,
        region,
        metrics: [[namespace, metric, ...Object.entries(dimensions).flat()]],
        stat: statistic,
        period: PERIOD_MINUTES * 60,
        annotations: { horizontal: [{ label: 'alarm', value: 'above' in breach ? breach.above : breach.below }] },
      },
    })),
  };
}

/** Alarms and budgets of this account may write, over TLS. */
export function alarmTopicPolicy(topicArn: string, accountId: string): PolicyDocument {
  const condition = { StringEquals: { 'aws:SourceAccount': accountId } };
  const publish = (Sid: string, Service: string) =>
    ({
      Sid,
      Effect: 'Allow',
      Principal: { Service },
      Action: 'sns:Publish',
      Resource: topicArn,
      Condition: condition,
    }) as const;
  return policyDocument(
    denyWithoutTls('sns:Publish', topicArn),
    publish('AlarmsPublish', 'cloudwatch.amazonaws.com'),
    publish('BudgetsPublish', 'budgets.amazonaws.com'),
  );
}
