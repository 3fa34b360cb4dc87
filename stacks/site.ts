import * as pulumi from '@pulumi/pulumi';
import { ClaraSite, type ClaraSiteArgs } from '../components/clara-site';
import { ANNOTATION_PORT } from '../components/containers/annotation-program';
import type { GpuFamilyName } from '../components/gpu/gpu-families';
import type { SiteConfiguration } from './configuration';
import { stackProvider } from './stack-provider';
import { zoneNames } from './zone-names';

/** What others read from a site stack. The names that the 2020 Quick Start had keep them. */
export interface SiteOutputs extends Record<string, pulumi.Input<unknown>> {
  /** Scheme, host and secret path: opens the API's page in a browser. */
  readonly ClaraServiceUrl: pulumi.Output<string>;
  /** The same, for the field `Server` of 3D Slicer's module. */
  readonly SlicerServerUrl: pulumi.Output<string>;
  readonly DatasetBucketName: pulumi.Output<string>;
  readonly DatasetBucketArn: pulumi.Output<string>;
  readonly DatasetKeyArn: pulumi.Output<string>;
  readonly ElasticFileSystemId: pulumi.Output<string>;
  readonly ElasticFileSystemDnsName: pulumi.Output<string>;
  /** Access point id by room: `aiaa`, `training`, `agent`. */
  readonly WorkspaceAccessPoints: Readonly<Record<string, pulumi.Output<string>>>;
  readonly WorkspaceClientSecurityGroupId: pulumi.Output<string>;
  /** Commands that can be pasted into a shell with the hospital's credentials. */
  readonly Commands: Readonly<Record<string, pulumi.Output<string>>>;
}

/** The infrastructure of one hospital. */
export async function deploySite(site: SiteConfiguration, stack: string): Promise<SiteOutputs> {
  const provider = stackProvider('site', {
    environment: site.environment,
    accountId: site.accountId,
    region: site.region,
    roleArn: site.deploymentRoleArn,
    session: site.siteId,
    tags: { Site: site.siteId },
  });
  const clara = new ClaraSite(
    site.siteId,
    {
      environment: site.environment,
      siteId: site.siteId,
      network: await networkOf(site, stack, provider),
      datasets: {
        keyArn: site.datasetKeyArn,
        noncurrentVersionDays: site.datasetNoncurrentVersionDays,
        unfinishedUploadDays: site.datasetUnfinishedUploadDays,
      },
      workspace: { retainOnDelete: site.retainWorkspaceOnDelete, backup: site.backUpWorkspace },
      gpu: { families: site.gpuFamilies },
      annotation: {
        server: site.annotationServer,
        loadBalancer: site.loadBalancer,
        clientCidrs: site.clientCidrs,
        certificateArn: site.certificateArn,
        hostName: site.serviceHostName,
        hostedZoneId: site.hostedZoneId,
        insecureHttp: site.insecureHttp,
        dataAreDeidentified: site.dataAreDeidentified,
        gpuFamily: site.annotationGpuFamily ?? (Object.keys(site.gpuFamilies)[0] as GpuFamilyName),
        tasks: site.annotationTasks,
        night: site.nightHours,
      },
      trainers: site.trainers,
      federation: {
        coordinatorHost: site.coordinatorHost,
        via:
          site.coordinatorEndpointService === undefined
            ? { kind: 'public', coordinatorCidrs: site.coordinatorCidrs }
            : {
                kind: 'private',
                serviceName: site.coordinatorEndpointService,
                ...(site.coordinatorRegion !== undefined &&
                  site.coordinatorRegion !== site.region && { serviceRegion: site.coordinatorRegion }),
              },
      },
      agent: { dataset: site.dataset, settings: site.agentSettings },
      preparation: site.preparation,
      operations: { alarmEmail: site.alarmEmail, monthlyBudgetUsd: site.monthlyBudgetUsd },
      images: site.images,
      logDays: site.logRetentionDays,
      bastion: site.bastion,
    },
    { provider },
  );
  const { datasets, workspace, annotation, cluster, agent, bootstrap, bastion } = clara;
  const here = pulumi.interpolate`--region ${site.region} --cluster ${cluster.clusterName}`;
  const taskOf = (serviceName: pulumi.Output<string>) =>
    pulumi.interpolate`$(aws ecs list-tasks ${here} --service-name ${serviceName} --query 'taskArns[0]' --output text)`;
  const shell = (serviceName: pulumi.Output<string>, container: string) =>
    pulumi.interpolate`aws ecs execute-command ${here} --container ${container} --interactive --command sh --task ${taskOf(serviceName)}`;
  // A target of Session Manager inside a task is ecs:CLUSTER_TASK_CONTAINER, the last by its id at run time.
  const forward = (serviceName: pulumi.Output<string>, container: string, port: number) =>
    pulumi.interpolate`task=${taskOf(serviceName)}; aws ssm start-session --region ${site.region} --document-name AWS-StartPortForwardingSession --parameters portNumber=${port},localPortNumber=${port} --target "ecs:${cluster.clusterName}_\${task##*/}_$(aws ecs describe-tasks ${here} --tasks "$task" --query "tasks[0].containers[?name=='${container}'].runtimeId | [0]" --output text)"`;
  return {
    ClaraServiceUrl: annotation.url,
    SlicerServerUrl: annotation.url,
    DatasetBucketName: datasets.bucketName,
    DatasetBucketArn: datasets.bucketArn,
    DatasetKeyArn: datasets.keyArn,
    ElasticFileSystemId: workspace.fileSystemId,
    ElasticFileSystemDnsName: workspace.dnsName,
    WorkspaceAccessPoints: workspace.accessPointIds,
    WorkspaceClientSecurityGroupId: workspace.clientSecurityGroupId,
    Commands: {
      uploadDataset: pulumi.interpolate`aws s3 cp Task09_Spleen.tar s3://${datasets.bucketName}/`,
      putInvitation: pulumi.interpolate`aws secretsmanager put-secret-value --region ${site.region} --secret-id ${agent.invitationSecretArn} --secret-string file://${site.siteId}.invitation`,
      ...Object.fromEntries(
        Object.entries(bootstrap.commands).map(([step, start]) => [
          step,
          pulumi.interpolate`${start} --region ${site.region}`,
        ]),
      ),
      shellInAgent: shell(agent.serviceName, 'agent'),
      shellInAnnotationServer: shell(annotation.serviceName, 'aiaa'),
      administration: forward(annotation.serviceName, 'aiaa', ANNOTATION_PORT),
      ...(bastion && {
        shellOnBastion: pulumi.interpolate`aws ssm start-session --region ${site.region} --target ${bastion.instanceId}`,
      }),
    },
  };
}

async function networkOf(
  site: SiteConfiguration,
  stack: string,
  provider: Parameters<typeof zoneNames>[2],
): Promise<ClaraSiteArgs['network']> {
  if (site.vpcId !== undefined) {
    return {
      existing: {
        vpcId: site.vpcId,
        cidr: site.vpcCidr,
        privateSubnets: site.subnets,
        publicSubnets: site.publicSubnets,
      },
    };
  }
  return {
    cidr: site.vpcCidr,
    zones: await zoneNames(stack, site.zones, provider),
    egress: site.networkEgress,
  };
}
