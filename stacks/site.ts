import type * as pulumi from '@pulumi/pulumi';
import { DatasetBucket } from '../components/dataset-bucket';
import { WorkspaceFileSystem } from '../components/workspace-file-system';
import type { SiteConfiguration } from './configuration';
import { siteProvider } from './site-provider';

/** What others read from a site stack. The names that the 2020 Quick Start had keep them. */
export interface SiteOutputs extends Record<string, pulumi.Input<unknown>> {
  readonly DatasetBucketName: pulumi.Output<string>;
  readonly DatasetBucketArn: pulumi.Output<string>;
  readonly DatasetKeyArn: pulumi.Output<string>;
  readonly ElasticFileSystemId: pulumi.Output<string>;
  readonly ElasticFileSystemDnsName: pulumi.Output<string>;
  /** Access point id by room: `aiaa`, `training`, `agent`. */
  readonly WorkspaceAccessPoints: Readonly<Record<string, pulumi.Output<string>>>;
  readonly WorkspaceClientSecurityGroupId: pulumi.Output<string>;
}

/** The infrastructure of one hospital: where its datasets lie and the file system that its programs share. */
export function deploySite(site: SiteConfiguration): SiteOutputs {
  const provider = siteProvider(site);
  const datasets = new DatasetBucket(
    `${site.siteId}-datasets`,
    {
      keyArn: site.datasetKeyArn,
      noncurrentVersionDays: site.datasetNoncurrentVersionDays,
      unfinishedUploadDays: site.datasetUnfinishedUploadDays,
    },
    { provider },
  );
  const workspace = new WorkspaceFileSystem(
    `${site.siteId}-workspace`,
    {
      vpcId: site.vpcId,
      subnets: site.subnets,
      retainOnDelete: site.retainWorkspaceOnDelete,
      backup: site.backUpWorkspace,
    },
    { provider },
  );
  return {
    DatasetBucketName: datasets.bucketName,
    DatasetBucketArn: datasets.bucketArn,
    DatasetKeyArn: datasets.keyArn,
    ElasticFileSystemId: workspace.fileSystemId,
    ElasticFileSystemDnsName: workspace.dnsName,
    WorkspaceAccessPoints: workspace.accessPointIds,
    WorkspaceClientSecurityGroupId: workspace.clientSecurityGroupId,
  };
}
