import * as pulumi from '@pulumi/pulumi';
import { coordinatorAddresses } from '../components/containers/coordinator-program';
import { dataKey } from '../components/data-key';
import { CoordinatorEntrance } from '../components/federation/coordinator-entrance';
import { CoordinatorSecrets } from '../components/federation/coordinator-secrets';
import { CoordinatorService } from '../components/federation/coordinator-service';
import { FederationStore } from '../components/federation/federation-store';
import { ImageMirror } from '../components/image-mirror';
import { SiteNetwork } from '../components/network/site-network';
import { CoordinatorOperations } from '../components/operations/coordinator-operations';
import type { CoordinatorConfiguration } from './coordinator-configuration';
import { mirroredImage, repositoryName } from './image-names';
import { stackProvider } from './stack-provider';
import { zoneNames } from './zone-names';

/** What others read from an environment's stack. */
export interface CoordinatorOutputs extends Record<string, pulumi.Input<unknown>> {
  /** `host:port` of each coordinator, as sites and operators list them. */
  readonly CoordinatorAddresses: readonly string[];
  /** Goes into the environment's file as `coordinatorEndpointService`, and from there into the files of its sites. */
  readonly EndpointServiceName: pulumi.Output<string>;
  /** Goes into the environment's file as `coordinatorPublicCidrs`; empty without a public entrance. */
  readonly PublicCidrs: readonly pulumi.Output<string>[];
  readonly StoreBucketName: pulumi.Output<string>;
  readonly AuditBucketName: pulumi.Output<string>;
  readonly ImageRepositories: Readonly<Record<string, pulumi.Output<string>>>;
  readonly Commands: Readonly<Record<string, pulumi.Output<string>>>;
}

/** The control plane of an environment. */
export async function deployCoordinator(
  environment: CoordinatorConfiguration,
  stack: string,
): Promise<CoordinatorOutputs> {
  const { accountId, region, coordinatorHost, sites } = environment;
  const name = environment.environment;
  const protect = name === 'prod';
  const provider = stackProvider('platform', {
    environment: name,
    accountId,
    region,
    roleArn: environment.deploymentRoleArn,
    session: name,
  });
  const zones = await zoneNames(stack, environment.zones, provider);
  const opts = { provider };
  // The root of all of it, so that the tree of a plan reads like the one of a site.
  const platform = new Platform(name, opts);
  const child = { parent: platform };

  const operationsKey = dataKey(`${name}-operations-key`, {
    description: `Logs and alarms of ${name}`,
    users: ['logs', 'alarms'],
    retainOnDelete: false,
    parent: platform,
  });
  const network = new SiteNetwork(
    `${name}-network`,
    {
      cidr: environment.vpcCidr,
      zones,
      egress: 'nat',
      needs: { fargate: true, instances: false, shell: true, startsTasks: false, bastion: false },
      flowLogDays: environment.logRetentionDays,
      logKeyArn: operationsKey.arn,
    },
    child,
  );
  const store = new FederationStore(
    `${name}-store`,
    { protect, auditRetentionDays: environment.auditRetentionDays },
    child,
  );
  const secrets = new CoordinatorSecrets(`${name}-coordinator`, { environment: name, protect }, child);
  const regions = [region, ...new Set(sites.map((site) => site.region).filter((other) => other !== region))].sort(
    (a, b) => Number(b === region) - Number(a === region) || (a < b ? -1 : 1),
  );
  const accounts = sites.flatMap((site) => (site.accountId === undefined ? [] : [site.accountId]));
  const mirror = new ImageMirror(
    `${name}-images`,
    {
      repositories: Object.keys(environment.imageDigests)
        .sort()
        .map((image) => repositoryName(name, image)),
      regions,
      pullAccounts: accounts,
    },
    child,
  );
  const publicSites = sites.filter(({ link }) => link === 'public');
  const entrance = new CoordinatorEntrance(
    `${name}-entrance`,
    {
      network,
      hostName: coordinatorHost,
      hostedZoneId: environment.hostedZoneId,
      siteAccounts: sites.flatMap((site) =>
        site.link === 'private' && site.accountId !== undefined ? [site.accountId] : [],
      ),
      otherRegions: regions.slice(1),
      directCidrs: [...environment.operatorCidrs, ...publicSites.flatMap(({ egressCidrs }) => egressCidrs)],
      isPublic: publicSites.length > 0,
    },
    child,
  );
  const image = (what: string) => mirroredImage(environment, what, environment.imageDigests[what], region);
  const service = new CoordinatorService(
    `${name}-coordinator`,
    {
      environment: name,
      federation: environment.federation,
      hostName: coordinatorHost,
      network,
      entrance,
      store,
      secrets,
      images: { coordinator: image('coordinator'), collector: image('collector') },
      logDays: environment.logRetentionDays,
      logKeyArn: operationsKey.arn,
    },
    child,
  );
  new CoordinatorOperations(
    `${name}-watch`,
    {
      environment: name,
      service,
      keyArn: operationsKey.arn,
      alarmEmail: environment.alarmEmail,
      monthlyBudgetUsd: environment.monthlyBudgetUsd,
      openRoundHours: environment.openRoundAlarmHours,
    },
    child,
  );
  platform.finished({ vpcId: network.vpcId });

  const here = pulumi.interpolate`--region ${region} --cluster ${service.clusterName}`;
  return {
    CoordinatorAddresses: coordinatorAddresses(coordinatorHost),
    EndpointServiceName: entrance.endpointServiceName,
    PublicCidrs: entrance.publicCidrs,
    StoreBucketName: store.bucketName,
    AuditBucketName: store.auditBucketName,
    ImageRepositories: mirror.repositoryUrls,
    Commands: {
      fetchOperator: pulumi.interpolate`clara-fed operator fetch --secret ${secrets.operatorArn} --operator ${name}-operator`,
      shellInCoordinator: pulumi.interpolate`aws ecs execute-command ${here} --container coordinator --interactive --command sh --task $(aws ecs list-tasks ${here} --service-name ${service.serviceNames.a} --query 'taskArns[0]' --output text)`,
      pendingSites: pulumi.interpolate`aws ec2 describe-vpc-endpoint-connections --region ${region} --filters Name=vpc-endpoint-state,Values=pendingAcceptance`,
    },
  };
}

/** What an environment's resources hang from. */
class Platform extends pulumi.ComponentResource {
  constructor(name: string, opts: pulumi.ComponentResourceOptions) {
    super('clara-federation:platform:Platform', name, {}, opts);
  }

  finished(outputs: pulumi.Inputs): void {
    this.registerOutputs(outputs);
  }
}
