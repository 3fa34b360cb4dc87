import * as pulumi from '@pulumi/pulumi';
import { z } from 'zod';
import type { AnnotationService } from '../annotation/annotation-service';
import { requireAwsProvider } from '../explicit-provider';
import { checked } from '../faults';
import { given } from '../input-rules';
import { EMAIL, USD } from '../setting-rules';
import { type SiteContext, stackPrefix } from '../site-context';
import { METRICS_NAMESPACE } from '../tasks/metrics-collector';
import type { SiteAgent } from '../tasks/site-agent';
import { type Alarm, AlarmBoard } from './alarm-board';
import { monthlyBudget } from './monthly-budget';

export interface SiteOperationsArgs {
  readonly site: SiteContext;
  readonly annotation: AnnotationService;
  readonly agent: SiteAgent;
  /** Who is told. @default nobody; the alarms are on the dashboard */
  readonly alarmEmail?: string;
  /** USD a month for everything with this site's tag; a warning at 80 % and a forecast of more. */
  readonly monthlyBudgetUsd: number;
  /** GiB of the workspace above which somebody should look. @default 2048 */
  readonly workspaceAlarmGib?: number;
}

const ARGUMENTS = z.strictObject({
  site: given,
  annotation: given,
  agent: given,
  alarmEmail: EMAIL.optional(),
  monthlyBudgetUsd: USD,
  workspaceAlarmGib: z.number().int().min(1).default(2048),
});

const GIB = 2 ** 30;

/** What tells people that a site needs them: alarms, a dashboard, a budget. */
export class SiteOperations extends pulumi.ComponentResource {
  public readonly topicArn: pulumi.Output<string>;
  public readonly dashboardName: string;

  /** @throws DeploymentInputError on a broken argument or without an explicit aws provider */
  constructor(name: string, args: SiteOperationsArgs, opts?: pulumi.ComponentResourceOptions) {
    const what = `SiteOperations ${name}`;
    const { alarmEmail, monthlyBudgetUsd, workspaceAlarmGib } = checked(what, ARGUMENTS, args);
    requireAwsProvider(what, opts);
    super('clara-federation:operations:SiteOperations', name, {}, opts);
    const { site } = args;
    const stack = stackPrefix(site);

    const board = new AlarmBoard(name, {
      stack,
      keyArn: site.operationsKeyArn,
      email: alarmEmail,
      alarms: siteAlarms(args, workspaceAlarmGib * GIB),
      parent: this,
    });
    monthlyBudget(
      name,
      { usd: monthlyBudgetUsd, tag: { key: 'Site', value: site.siteId }, topicArn: board.topicArn, email: alarmEmail },
      { parent: this },
    );
    this.topicArn = board.topicArn;
    this.dashboardName = board.dashboardName;
    this.registerOutputs({ topicArn: this.topicArn, dashboardName: this.dashboardName });
  }
}

function siteAlarms({ site, annotation, agent }: SiteOperationsArgs, workspaceBytes: number): Alarm[] {
  const { cluster, workspace } = site;
  const figures = { stack: stackPrefix(site) };
  const balancer = { LoadBalancer: annotation.loadBalancerSuffix, TargetGroup: annotation.targetGroupSuffix };
  return [
    {
      name: 'annotation-unhealthy',
      description: 'The annotation server does not segment: see its log, the last deployment, and the GPU instance.',
      namespace: 'AWS/ApplicationELB',
      metric: 'UnHealthyHostCount',
      dimensions: balancer,
      statistic: 'Maximum',
      breach: { above: 0 },
      minutes: 20,
    },
    {
      name: 'annotation-errors',
      description: 'Requests of radiologists fail: see the log of the annotation server.',
      namespace: 'AWS/ApplicationELB',
      metric: 'HTTPCode_Target_5XX_Count',
      dimensions: balancer,
      statistic: 'Sum',
      breach: { above: 5 },
      minutes: 15,
    },
    {
      name: 'agent-stopped',
      description: 'The agent does not run: the hospital takes part in no round. See its log and its last deployment.',
      namespace: 'ECS/ContainerInsights',
      metric: 'RunningTaskCount',
      dimensions: { ClusterName: cluster.clusterName, ServiceName: agent.serviceName },
      statistic: 'Minimum',
      breach: { below: 1 },
      minutes: 15,
    },
    {
      name: 'agent-disconnected',
      description:
        'The agent runs and does not reach the coordinator: rounds wait for this hospital. Start its preflight task.',
      namespace: METRICS_NAMESPACE,
      metric: 'clara_site_connected',
      dimensions: figures,
      statistic: 'Maximum',
      breach: { below: 1 },
      minutes: 30,
    },
    ...Object.entries(cluster.capacityProviders).map(
      ([family, provider]): Alarm => ({
        name: `gpu-idle-${family}`,
        description: `An instance of family ${family} has had nothing to do for an hour and costs: see the tasks of the cluster.`,
        namespace: 'AWS/ECS/ManagedScaling',
        metric: 'CapacityProviderReservation',
        dimensions: { ClusterName: cluster.clusterName, CapacityProviderName: provider },
        statistic: 'Maximum',
        breach: { below: 100 },
        minutes: 60,
      }),
    ),
    {
      name: 'workspace-large',
      description: 'The workspace is larger than expected: old datasets and task folders can go.',
      namespace: 'AWS/EFS',
      metric: 'StorageBytes',
      dimensions: { FileSystemId: workspace.fileSystemId, StorageClass: 'Total' },
      statistic: 'Maximum',
      breach: { above: workspaceBytes },
      minutes: 60,
    },
  ];
}
