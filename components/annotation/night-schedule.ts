import * as pulumi from '@pulumi/pulumi';
import * as aws from '../aws';
import type { NightHours } from '../setting-rules';

export interface NightScheduleOptions {
  readonly clusterName: pulumi.Input<string>;
  readonly serviceName: pulumi.Input<string>;
  readonly tasks: number;
  readonly night: NightHours;
}

/**
 * Sends a service to sleep at night and over the weekend; its GPU instance follows about 15 minutes later. Scheduled actions of
 * Application Auto Scaling, and no policy by load: a GPU task that is busy says nothing by its CPU.
 */
export function nightSchedule(
  name: string,
  { clusterName, serviceName, tasks, night }: NightScheduleOptions,
  child: pulumi.CustomResourceOptions,
): void {
  const target = new aws.appautoscaling.Target(
    name,
    {
      serviceNamespace: 'ecs',
      resourceId: pulumi.interpolate`service/${clusterName}/${serviceName}`,
      scalableDimension: 'ecs:service:DesiredCount',
      minCapacity: 0,
      maxCapacity: tasks,
    },
    // The schedule moves both, so a deployment at night must not wake the service up.
    { ...child, ignoreChanges: ['minCapacity', 'maxCapacity'] },
  );
  const action = (suffix: string, schedule: string, count: number) =>
    new aws.appautoscaling.ScheduledAction(
      `${name}-${suffix}`,
      {
        serviceNamespace: target.serviceNamespace,
        resourceId: target.resourceId,
        scalableDimension: target.scalableDimension,
        schedule,
        timezone: night.timezone,
        scalableTargetAction: { minCapacity: count, maxCapacity: count },
      },
      child,
    );
  action('sleep', `cron(${cronTime(night.from)} * * ? *)`, 0);
  action('wake', `cron(${cronTime(night.to)} ? * MON-FRI *)`, tasks);
}

/** `06:30` as minute and hour of a cron expression. */
function cronTime(time: string): string {
  const [hour, minute] = time.split(':').map(Number);
  return `${minute} ${hour}`;
}
