import * as pulumi from '@pulumi/pulumi';
import { requireAwsProvider } from '../explicit-provider';
import type { CoordinatorService } from '../federation/coordinator-service';
import { METRICS_NAMESPACE } from '../tasks/metrics-collector';
import { type Alarm, AlarmBoard } from './alarm-board';
import { monthlyBudget } from './monthly-budget';

export interface CoordinatorOperationsArgs {
  readonly environment: string;
  readonly service: CoordinatorService;
  readonly keyArn: pulumi.Input<string>;
  readonly alarmEmail?: string;
  readonly monthlyBudgetUsd: number;
  /** Hours after which an open stage of a round counts as stuck. */
  readonly openRoundHours: number;
}

/** What tells people that a federation needs them. */
export class CoordinatorOperations extends pulumi.ComponentResource {
  public readonly topicArn: pulumi.Output<string>;
  public readonly dashboardName: string;

  /** @throws DeploymentInputError without an explicit aws provider */
  constructor(name: string, args: CoordinatorOperationsArgs, opts?: pulumi.ComponentResourceOptions) {
    requireAwsProvider(`CoordinatorOperations ${name}`, opts);
    super('clara-federation:operations:CoordinatorOperations', name, {}, opts);
    const { environment, keyArn, alarmEmail, monthlyBudgetUsd } = args;
    const board = new AlarmBoard(name, {
      stack: environment,
      keyArn,
      email: alarmEmail,
      alarms: coordinatorAlarms(args),
      parent: this,
    });
    monthlyBudget(
      name,
      {
        usd: monthlyBudgetUsd,
        tag: { key: 'Environment', value: environment },
        topicArn: board.topicArn,
        email: alarmEmail,
      },
      { parent: this },
    );
    this.topicArn = board.topicArn;
    this.dashboardName = board.dashboardName;
    this.registerOutputs({ topicArn: this.topicArn, dashboardName: this.dashboardName });
  }
}

function coordinatorAlarms({ environment, service, openRoundHours }: CoordinatorOperationsArgs): Alarm[] {
  const figure = (
    alarm: Pick<Alarm, 'name' | 'description' | 'metric' | 'statistic' | 'breach' | 'minutes'>,
  ): Alarm => ({
    ...alarm,
    namespace: METRICS_NAMESPACE,
    dimensions: { stack: environment },
  });
  return [
    ...Object.entries(service.serviceNames).map(
      ([coordinator, serviceName]): Alarm => ({
        name: `coordinator-${coordinator}-stopped`,
        description: `Coordinator ${coordinator} does not run. While the other one leads nobody notices; see its log and its last deployment.`,
        namespace: 'ECS/ContainerInsights',
        metric: 'RunningTaskCount',
        dimensions: { ClusterName: service.clusterName, ServiceName: serviceName },
        statistic: 'Minimum',
        breach: { below: 1 },
        minutes: 10,
      }),
    ),
    figure({
      name: 'round-stuck',
      description:
        'A stage of a round has been open for too long: `clara-fed run show` names the sites that it waits for.',
      metric: 'clara_open_stage_age_seconds',
      statistic: 'Maximum',
      breach: { above: openRoundHours * 3600 },
      minutes: 15,
    }),
    figure({
      name: 'store-failing',
      description:
        'Calls of the object store fail: see the log, the rights of the task role, and the key of the bucket.',
      metric: 'clara_store_errors_total',
      statistic: 'Sum',
      breach: { above: 20 },
      minutes: 15,
    }),
    figure({
      name: 'certificate-ending',
      description: 'A certificate of the coordinator ends within a week, and replaces itself at ten days: see its log.',
      metric: 'clara_certificate_days_left',
      statistic: 'Minimum',
      breach: { below: 7 },
      minutes: 60,
    }),
  ];
}
